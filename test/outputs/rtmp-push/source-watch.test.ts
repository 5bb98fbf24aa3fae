import { describe, expect, it } from 'vitest';
import { SourceWatch } from '../../../src/outputs/rtmp-push/source-watch.ts';

const EMPTY = { queuedBytes: 0, droppedVideo: 0 };

describe('the watch over the source of a push', () => {
  it('calls it frozen after 3 s without a unit, until the next one', () => {
    const watch = new SourceWatch(0);
    expect(watch.isFrozen(EMPTY, 3_000_000)).toBe(false);
    watch.given(2_000_000);
    expect([watch.isFrozen(EMPTY, 5_000_000), watch.isFrozen(EMPTY, 5_000_001)]).toEqual([false, true]);
    watch.given(6_000_000);
    expect(watch.isFrozen(EMPTY, 6_000_000)).toBe(false);
  });

  it('does not call it frozen while the reader keeps or drops what it gives', () => {
    const watch = new SourceWatch(0);
    for (let second = 1; second < 20; second++) {
      const state = second < 10 ? { queuedBytes: 9, droppedVideo: 0 } : { queuedBytes: 0, droppedVideo: second };
      expect(watch.isFrozen(state, second * 1_000_000)).toBe(false);
    }
    expect(watch.isFrozen({ queuedBytes: 0, droppedVideo: 19 }, 23_000_000)).toBe(true);
  });
});
