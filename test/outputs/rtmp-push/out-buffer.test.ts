import { describe, expect, it } from 'vitest';
import type { AudioUnit } from '../../../src/domain/media.ts';
import { OutBuffer, type OutBufferSettings } from '../../../src/outputs/rtmp-push/out-buffer.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const DEFAULTS: OutBufferSettings = { initialSizeMs: 2000, startSizeMs: 300, pollingTimeMs: 50, maxBufferings: -1 };
const FRAME_MS = 20;

function start(settings: Partial<OutBufferSettings> & { maxBytes?: number } = {}) {
  const clock = new ManualClock();
  const released: { readonly mediaMs: number; readonly atMs: number }[] = [];
  let takesMore = true;
  const buffer = new OutBuffer({
    ...DEFAULTS,
    maxBytes: 1 << 20,
    ...settings,
    clock,
    release: (unit) => {
      released.push({ mediaMs: unit.ptsUs / 1000, atMs: clock.monotonicUs() / 1000 });
      return takesMore;
    },
  });
  const unit = (mediaMs: number): AudioUnit => ({
    kind: 'audio',
    codec: 'aac',
    ptsUs: mediaMs * 1000,
    durationUs: FRAME_MS * 1000,
    data: Buffer.alloc(100),
  });
  return {
    clock,
    buffer,
    released,
    push: (mediaMs: number) => buffer.push(unit(mediaMs)),
    /** A source that gives a frame at each of its times. */
    feed(fromMs: number, toMs: number): void {
      for (let mediaMs = fromMs; mediaMs < toMs; mediaMs += FRAME_MS) {
        buffer.push(unit(mediaMs));
        clock.advance(FRAME_MS);
      }
    },
    setTaking: (isTaking: boolean) => void (takesMore = isTaking),
  };
}

describe('the outgoing buffer', () => {
  it('gathers the initial size, then gives every unit in order at the pace of its timestamps', () => {
    const { feed, released, buffer } = start();
    feed(0, 1980);
    expect([released.length, buffer.bufferedMs, buffer.isGathering]).toEqual([0, 1960, true]);
    feed(1980, 6000);
    const delays = released.map(({ mediaMs, atMs }) => atMs - mediaMs);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(2000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(2000 + DEFAULTS.pollingTimeMs);
    expect(released.map(({ mediaMs }) => mediaMs)).toEqual(released.map((_, index) => index * FRAME_MS));
    expect([buffer.bufferings, buffer.isGathering]).toEqual([1, false]);
  });

  it('hides a pause of the source that is shorter than what is held', () => {
    const { feed, push, released, clock, buffer } = start();
    feed(0, 4000);
    clock.advance(1500);
    for (let mediaMs = 4000; mediaMs < 5500; mediaMs += FRAME_MS) push(mediaMs);
    feed(5500, 8000);
    const gaps = released.slice(1).map(({ atMs }, index) => atMs - released[index]!.atMs);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(DEFAULTS.pollingTimeMs);
    expect(buffer.bufferings).toBe(1);
  });

  it('gathers the start size after it ran empty', () => {
    const { feed, released, clock, buffer } = start();
    feed(0, 4000);
    clock.advance(5000);
    expect([released.at(-1)!.mediaMs, buffer.isGathering, buffer.bufferings]).toEqual([3980, true, 2]);
    const resumedMs = clock.monotonicUs() / 1000;
    const before = released.length;
    feed(9000, 10_000);
    expect(released[before]!.mediaMs).toBe(9000);
    expect(released[before]!.atMs - resumedMs).toBe(300);
  });

  it('gathers no more often than it may, and then gives units as they come', () => {
    const { feed, released, clock, buffer } = start({ maxBufferings: 1 });
    feed(0, 3000);
    clock.advance(5000);
    const before = released.length;
    feed(8000, 8100);
    expect(released.length - before).toBe(5);
    expect([buffer.bufferings, buffer.bufferedMs]).toEqual([1, 0]);
    const never = start({ maxBufferings: 0 });
    never.feed(0, 100);
    expect(never.released.map(({ mediaMs, atMs }) => atMs - mediaMs)).toEqual([0, 0, 0, 0, 0]);
  });

  it('holds no more media and no more bytes than its bounds, and drops none', () => {
    const { push, released, buffer } = start();
    for (let mediaMs = 0; mediaMs < 10_000; mediaMs += FRAME_MS) push(mediaMs);
    expect(buffer.bufferedMs).toBe(3000);
    expect(released.length).toBe((10_000 - 3020) / FRAME_MS);
    const small = start({ maxBytes: 1000 });
    for (let mediaMs = 0; mediaMs < 1000; mediaMs += FRAME_MS) small.push(mediaMs);
    expect(small.released.length).toBe(40);
    expect(small.buffer.isGathering).toBe(false);
  });

  it('keeps what its taker cannot take, says so, and goes on when it can', () => {
    const { feed, push, released, clock, buffer, setTaking } = start();
    feed(0, 2000);
    setTaking(false);
    feed(2000, 2500);
    const before = released.length;
    expect(push(2500)).toBe(false);
    clock.advance(1000);
    expect(released.length).toBe(before);
    setTaking(true);
    buffer.resume();
    expect(released.length).toBeGreaterThan(before + 40);
    expect(released.map(({ mediaMs }) => mediaMs)).toEqual(released.map((_, index) => index * FRAME_MS));
  });

  it('leaves no timer behind', () => {
    const { clock, buffer } = start();
    buffer.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
