import * as fc from 'fast-check';
import { it, expect } from 'vitest';
import { REPLAY_WINDOW_PACKETS, ReplayWindow } from '../../../src/webrtc/srtp/replay-window.ts';

it('tells seen, unseen and too old indexes apart as a plain set does, over jumps of any size', () => {
  const anyStep = fc.oneof(fc.integer({ min: -1100, max: 40 }), fc.integer({ min: 900, max: 1200 }), fc.nat(70_000));
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 300 }), (steps) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      let newest = 5000;
      for (const step of steps) {
        const index = Math.max(0, newest + step);
        const tooOld = seen.size > 0 && index <= Math.max(...seen) - REPLAY_WINDOW_PACKETS;
        expect(window.isReplay(index)).toBe(tooOld || seen.has(index));
        if (tooOld) continue;
        window.mark(index);
        seen.add(index);
        newest = Math.max(newest, index);
      }
    }),
  );
});

it('forgets a packet when its place in the window comes round again', () => {
  const window = new ReplayWindow();
  window.mark(7);
  window.mark(REPLAY_WINDOW_PACKETS);
  window.mark(REPLAY_WINDOW_PACKETS + 10);
  expect(window.isReplay(REPLAY_WINDOW_PACKETS + 7)).toBe(false);
  expect(window.isReplay(REPLAY_WINDOW_PACKETS)).toBe(true);
});

it('estimates the cycle that puts a sequence number nearest to the newest index', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 65_536, max: 2 ** 47 }),
      fc.integer({ min: -32_767, max: 32_767 }),
      (newest, step) => {
        const window = new ReplayWindow();
        window.mark(newest);
        expect(window.estimateIndex((newest + step) % 65_536)).toBe(newest + step);
      },
    ),
  );
});
