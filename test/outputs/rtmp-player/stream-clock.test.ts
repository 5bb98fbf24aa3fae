import { expect, it } from 'vitest';
import { StreamClock } from '../../../src/outputs/rtmp-player/stream-clock.ts';

it('the times of a stream count from its first unit, and go back within no kind', () => {
  const clock = new StreamClock();
  expect(clock.timestampMs('video', 5_000_999)).toBe(0);
  expect(clock.timestampMs('video', 5_041_998)).toBe(40);
  expect(clock.timestampMs('audio', 5_021_000)).toBe(20);
  expect(clock.timestampMs('video', 5_030_000)).toBe(40);
  expect(clock.timestampMs('audio', 4_000_000)).toBe(20);
});

it('a picture is shown at its own time, but not before it is decoded', () => {
  const clock = new StreamClock();
  clock.zeroUs(1_000_000);
  expect(clock.compositionTimeMs(1_120_000, 40)).toBe(80);
  expect(clock.compositionTimeMs(1_020_000, 40)).toBe(0);
});
