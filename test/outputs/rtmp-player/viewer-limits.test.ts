import { expect, it } from 'vitest';
import { Batch } from '../../../src/outputs/rtmp-player/batch.ts';
import { USUAL_VIEWER_BOUNDS, ViewerLimits } from '../../../src/outputs/rtmp-player/viewer-limits.ts';

const batch = (timestampMs: number, bytes: number): Batch =>
  new Batch(0, [{ kind: 'video', isKeyframe: false, timestampMs, bytes: Buffer.alloc(bytes) }], undefined);

it('a viewer may have seconds of the stream on its way, and at least so many bytes', () => {
  const limits = new ViewerLimits(USUAL_VIEWER_BOUNDS);
  limits.push(batch(0, 10));
  expect([limits.softBytes, limits.hardBytes]).toEqual([32 * 1024, 4 << 20]);
  // 25 pictures of 40 kB a second.
  for (let ms = 40; ms < 4_960; ms += 40) limits.push(batch(ms, 40_000));
  expect(limits.softBytes / 2_000_000).toBeCloseTo(1, 1);
  expect(limits.hardBytes / 10_000_000).toBeCloseTo(1, 1);
});

it('one picture, however large, is no backlog until five to ten seconds later', () => {
  const limits = new ViewerLimits(USUAL_VIEWER_BOUNDS);
  limits.push(batch(0, 3_000_000));
  // What all of it amounts to in a second is more than twice its size at first.
  for (let ms = 40; ms < 5_000; ms += 40) limits.push(batch(ms, 100));
  expect([limits.softBytes, limits.hardBytes]).toEqual([6_000_000, 12_000_000]);
  for (let ms = 5_000; ms <= 10_000; ms += 40) limits.push(batch(ms, 100));
  expect([limits.softBytes, limits.hardBytes]).toEqual([32 * 1024, 4 << 20]);
});
