import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import type { AudioTrack, MediaUnit, Tracks } from '../../src/domain/media.ts';
import { LiveStream } from '../../src/hub/live-stream.ts';
import type { SourceFrame } from '../../src/hub/source-frame.ts';
import type { Reader, ReaderOptions } from '../../src/hub/unit-source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { audioUnit, keyUnit, shape, videoUnit } from './units.ts';

const OPUS: AudioTrack = { codec: 'opus', sampleRateHz: 48_000, channels: 2 };
const H264 = { codec: 'h264', width: 0, height: 0 } as const;
/** Opus, CELT, 20 ms. */
const SOUND = Buffer.from('fc0102', 'hex');

class Publisher {
  readonly clock = new ManualClock();
  readonly requestsMs: number[] = [];
  readonly wanted: boolean[] = [];
  readonly stream: LiveStream;
  #videoRtp = 1_000_000;
  #audioRtp = 500;

  constructor(tracks: Tracks = { video: H264, audio: OPUS }, isLiveEncoder = true) {
    const setFramesWanted = (wanted: boolean): void => void this.wanted.push(wanted);
    const requestKeyframe = (): void => void this.requestsMs.push(this.clock.monotonicUs() / 1000);
    const source = isLiveEncoder ? { setFramesWanted, requestKeyframe } : { setFramesWanted };
    this.stream = new LiveStream({ name: 's', id: 'id', source, tracks, clock: this.clock, logger: silentLogger });
  }

  video(isKeyframe = false): void {
    this.stream.writeFrame({
      ...this.#frame('video', this.#videoRtp),
      isKeyframe,
    });
    this.#videoRtp += 3600;
  }

  audio(): void {
    this.stream.writeFrame(this.#frame('audio', this.#audioRtp));
    this.#audioRtp += 960;
  }

  read(options: Partial<ReaderOptions> = {}): { units: MediaUnit[]; ended: string[]; reader: Reader } {
    const units: MediaUnit[] = [];
    const ended: string[] = [];
    const reader = this.stream.addReader({
      label: 'test',
      fromCachedGop: true,
      maxQueueBytes: 1_000_000,
      onUnit: (unit) => units.push(unit) > 0,
      onEnd: (reason) => ended.push(reason),
      ...options,
    });
    return { units, ended, reader };
  }

  #frame(kind: 'video' | 'audio', rtpTime: number): SourceFrame {
    const arrivalUs = this.clock.monotonicUs();
    return kind === 'video'
      ? {
          kind,
          codec: 'h264',
          rtpTime,
          clockRateHz: 90_000,
          arrivalUs,
          isKeyframe: false,
          width: 640,
          height: 360,
          data: SOUND,
        }
      : {
          kind,
          codec: 'opus',
          rtpTime,
          clockRateHz: 48_000,
          arrivalUs,
          isKeyframe: true,
          width: 0,
          height: 0,
          data: SOUND,
        };
  }
}

function audioTimes(units: readonly MediaUnit[]): number[] {
  return units.filter((unit) => unit.kind === 'audio').map((unit) => unit.ptsUs / 1000);
}

describe('LiveStream', () => {
  it('gives video and audio of an RTP source on one timeline', () => {
    const publisher = new Publisher();
    const { units } = publisher.read();
    publisher.video(true);
    publisher.audio();
    publisher.clock.advance(20);
    publisher.audio();
    publisher.clock.advance(20);
    publisher.video();
    publisher.audio();
    expect(shape(units)).toBe('K0 a0 a20 v40 a40');
    expect(publisher.stream.tracks.video).toEqual({ codec: 'h264', width: 640, height: 360 });
  });

  it('gives silent Opus from the start to a stream without audio', () => {
    const publisher = new Publisher({ video: H264 });
    expect(publisher.stream.tracks.audio).toEqual(OPUS);
    const { units } = publisher.read();
    publisher.video(true);
    for (let ms = 0; ms < 1000; ms += 20) publisher.clock.advance(20);
    const silence = units.filter((unit) => unit.kind === 'audio');
    expect(silence.every((unit) => unit.data.toString('hex') === 'f8fffe')).toBe(true);
    expect(audioTimes(units)).toEqual(Array.from({ length: 44 }, (_, i) => i * 20));
  });

  it('gives silence while a microphone is missing and sound from when it comes, without a gap', () => {
    const publisher = new Publisher();
    const { units } = publisher.read();
    publisher.video(true);
    publisher.clock.advance(20_000);
    publisher.audio();
    publisher.clock.advance(20);
    publisher.audio();
    expect(audioTimes(units)).toEqual(Array.from({ length: 1002 }, (_, i) => i * 20));
    expect(units.at(-1)?.data).toBe(SOUND);
  });

  it('keeps G.711 as it is, with G.711 silence', () => {
    const track: AudioTrack = { codec: 'pcma', sampleRateHz: 8000, channels: 1 };
    const publisher = new Publisher({ video: H264, audio: track });
    const { units } = publisher.read();
    publisher.video(true);
    publisher.clock.advance(200);
    expect(publisher.stream.tracks.audio).toEqual(track);
    const silence = units.find((unit) => unit.kind === 'audio');
    expect(silence).toMatchObject({ codec: 'pcma', durationUs: 20_000, data: Buffer.alloc(160, 0xd5) });
  });

  it('wants frames only while there are readers, two seconds longer, and begins anew afterwards', async () => {
    const publisher = new Publisher();
    publisher.video(true);
    const first = publisher.read();
    expect(first.units).toEqual([]);
    publisher.video(true);
    first.reader.close();
    publisher.clock.advance(1999);
    const second = publisher.read();
    await Promise.resolve();
    expect(shape(second.units)).toMatch(/^K0/);
    expect(publisher.wanted).toEqual([true]);
    second.reader.close();
    publisher.clock.advance(2000);
    expect(publisher.wanted).toEqual([true, false]);
    expect(publisher.clock.pendingTimers).toBe(0);
    publisher.clock.advance(3_600_000);
    const third = publisher.read();
    publisher.video(true);
    publisher.audio();
    await Promise.resolve();
    expect(shape(third.units)).toBe('K0 a0');
  });

  it('asks for one keyframe per 500 ms, however many ask', () => {
    const publisher = new Publisher();
    for (let i = 0; i < 20; i += 1) publisher.read({ video: 'decode' });
    publisher.clock.advance(100);
    publisher.stream.framesLost();
    publisher.stream.requestKeyframe();
    publisher.clock.advance(2000);
    expect(publisher.requestsMs).toEqual([0, 500]);
  });

  it('forgets a waiting keyframe request when a keyframe comes', () => {
    const publisher = new Publisher();
    publisher.read({ video: 'decode' });
    publisher.stream.requestKeyframe();
    publisher.video(true);
    publisher.clock.advance(5000);
    expect(publisher.requestsMs).toEqual([0]);
  });

  it('keeps keyframes at most 2.5 s apart while H.264 is copied, and only then', () => {
    const publisher = new Publisher();
    const { reader } = publisher.read();
    publisher.video(true);
    publisher.clock.advance(2250);
    expect(publisher.requestsMs).toEqual([0, 2000]);
    publisher.video(true);
    publisher.clock.advance(1000);
    reader.close();
    publisher.read({ video: 'decode' });
    publisher.clock.advance(20_000);
    expect(publisher.requestsMs).toEqual([0, 2000]);
  });

  it('asks nobody for keyframes where no live encoder listens', () => {
    const publisher = new Publisher(undefined, false);
    publisher.read();
    publisher.clock.advance(10_000);
    expect(publisher.requestsMs).toEqual([]);
  });

  it('keeps the times of a source with a timeline, makes them increase and its audio continuous', async () => {
    const publisher = new Publisher({ video: H264, audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 } }, false);
    for (const unit of [keyUnit(1000), videoUnit(1033), videoUnit(1033), videoUnit(1066)]) {
      publisher.stream.writeUnit(unit);
    }
    const { units } = publisher.read();
    await Promise.resolve();
    expect(shape(units)).toBe('K1000 v1033 v1034 v1066');
    const frame = { ...audioUnit(1000, 50, 'aac'), durationUs: 21_333 };
    publisher.stream.writeUnit(frame);
    publisher.stream.writeUnit({ ...frame, ptsUs: 1_064_000 });
    const sound = units.filter((unit) => unit.kind === 'audio');
    expect(sound.map((unit) => unit.ptsUs)).toEqual([1_000_000, 1_021_333, 1_042_667, 1_064_000]);
    expect(sound.map((unit) => unit.data.length)).toEqual([50, 6, 6, 50]);
  });

  it('keeps the times of AAC that begins beside the first picture, behind silence from that picture on', async () => {
    const tracks: Tracks = { video: H264, audio: { codec: 'aac', sampleRateHz: 8000, channels: 1 } };
    const publisher = new Publisher(tracks, false);
    const { units } = publisher.read();
    publisher.stream.writeUnit(keyUnit(1000));
    publisher.stream.writeUnit({ ...audioUnit(1190, 50, 'aac'), durationUs: 128_000 });
    const sound = units.filter((unit) => unit.kind === 'audio');
    expect(sound.map((unit) => [unit.ptsUs, unit.data.length])).toEqual([
      [1_062_000, 4],
      [1_190_000, 50],
    ]);
  });

  it('asks for frames only after addReader has returned', async () => {
    const publisher = new Publisher();
    publisher.read();
    expect(publisher.wanted).toEqual([]);
    await Promise.resolve();
    expect(publisher.wanted).toEqual([true]);
  });

  it('ends its readers once and leaves no timer behind', async () => {
    const publisher = new Publisher();
    const { ended } = publisher.read();
    await Promise.resolve();
    publisher.stream.end('publisher left');
    publisher.stream.end('again');
    publisher.video(true);
    expect(ended).toEqual(['publisher left']);
    expect(publisher.clock.pendingTimers).toBe(0);
    expect(publisher.wanted).toEqual([true, false]);
  });
});
