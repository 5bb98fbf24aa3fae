import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PublisherTimeline } from '../../../src/inputs/rtmp-publisher/publisher-timeline.ts';

type Kind = 'video' | 'audio';
/** Timestamp and arrival in milliseconds. */
type Message = readonly [kind: Kind, timestampMs: number, arrivalMs: number];

/** The times that the messages get, in milliseconds after the headroom. */
function place(messages: readonly Message[]): number[] {
  const timeline = new PublisherTimeline();
  return messages.map(
    ([kind, timestampMs, arrivalMs]) => (timeline.place(kind, timestampMs >>> 0, arrivalMs * 1000) - 1_000_000) / 1000,
  );
}

/** Video each 40 ms and audio each 20 ms in between, from these timestamps on, for so many pictures. */
function encoder(startMs: number, arrivalMs: number, pictures: number): Message[] {
  return Array.from({ length: pictures }, (_, index) => index * 40).flatMap((ms) => [
    ['video', startMs + ms, arrivalMs + ms] as const,
    ['audio', startMs + ms + 1, arrivalMs + ms] as const,
    ['audio', startMs + ms + 21, arrivalMs + ms + 20] as const,
  ]);
}

const PATTERN = encoder(0, 0, 10).map(([, ms]) => ms);

describe('the timeline of an RTMP publisher', () => {
  it.each([
    ['2^24, where the short timestamp field ends', 2 ** 24],
    ['2^31, where it turns negative', 2 ** 31],
    ['2^32, where it wraps', 2 ** 32],
  ])('goes on past %s', (_, edge) => {
    expect(place(encoder(edge - 100, 0, 10))).toEqual(PATTERN);
  });

  it('goes on for half a year, with video and audio together', () => {
    const timeline = new PublisherTimeline();
    const stepMs = 2 ** 31 - 12_345;
    for (let ms = 0; ms < 2 ** 34; ms += stepMs) {
      for (const kind of ['video', 'audio'] as const) {
        expect(timeline.place(kind, ms % 2 ** 32, ms * 1000)).toBe(1_000_000 + ms * 1000);
      }
    }
  });

  it.each([
    ['back to zero', 3_600_000, 0],
    ['back by half a second', 3_600_000, 3_599_900],
    ['far ahead', 0, 3_600_000],
    ['from beyond 2^31 to zero', 2 ** 31 + 5, 0],
  ])(
    'takes a restart of the clock %s without a jump, and with the tracks as far apart as before',
    (_, before, after) => {
      const first = encoder(before, 0, 10);
      const times = place([...first, ...encoder(after, 500, 10)]);
      expect(times.slice(0, 30)).toEqual(PATTERN);
      const startMs = times[30]!;
      expect(times.slice(30)).toEqual(PATTERN.map((ms) => startMs + ms));
      // The newest time was that of the last sound, at 381 ms, which came at 380 ms; 120 ms have passed.
      expect(startMs).toBe(501);
    },
  );

  it('leaves a track on the old clock until it jumps too', () => {
    const times = place([
      ...encoder(50_000, 0, 10),
      ['video', 0, 400],
      ['audio', 50_401, 400],
      ['audio', 50_421, 420],
      ['video', 40, 440],
      ['audio', 41, 440],
    ]);
    expect(times.slice(30)).toEqual([401, 401, 421, 441, 442]);
  });

  it('takes a track that goes back by less than is a restart for restarted, where the other one is', () => {
    const times = place([
      ['video', 1_000, 0],
      ['audio', 900, 0],
      ['video', 790, 40],
      ['audio', 790, 40],
    ]);
    expect(times).toEqual([0, -100, 40, 40]);
  });

  it('takes the sound of an encoder that begins it with zero to where its pictures are', () => {
    const times = place([
      ['audio', 0, 0],
      ['video', 5_000_000, 10],
      ['audio', 5_000_010, 20],
      ['audio', 5_000_030, 40],
    ]);
    expect(times).toEqual([0, 10, 20, 40]);
  });

  it('keeps the tracks together when the network stalls and the encoder drops pictures but no sound', () => {
    const sound = Array.from({ length: 500 }, (_, index): Message => ['audio', 400 + index * 20, 10_400]);
    const times = place([...encoder(0, 0, 10), ...sound, ['video', 9_000, 10_400], ['audio', 10_400, 10_401]]);
    expect(times.slice(30)).toEqual([...sound.map(([, ms]) => ms), 9_000, 10_400]);
  });

  it('never goes below zero, and after a jump follows the pace of arrival, whatever the timestamps are', () => {
    const message = fc.tuple(fc.constantFrom<Kind>('video', 'audio'), fc.nat(2 ** 32 - 1), fc.nat(100));
    fc.assert(
      fc.property(fc.array(message, { maxLength: 100 }), (messages) => {
        const timeline = new PublisherTimeline();
        const lastUs = { video: 0, audio: 0 };
        let arrivalUs = 0;
        for (const [kind, timestampMs, waitMs] of messages) {
          arrivalUs += waitMs * 1000;
          const timeUs = timeline.place(kind, timestampMs, arrivalUs);
          expect(timeUs).toBeGreaterThanOrEqual(Math.max(0, lastUs[kind] - 3_000_000));
          expect(timeUs).toBeLessThanOrEqual(1_000_000 + arrivalUs + messages.length * 3_000_000);
          lastUs[kind] = timeUs;
        }
      }),
    );
  });
});
