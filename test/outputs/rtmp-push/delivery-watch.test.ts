import { describe, expect, it } from 'vitest';
import { DeliveryWatch, type Delivery } from '../../../src/outputs/rtmp-push/delivery-watch.ts';

const START_TIMEOUT_MS = 18_000;
const STALL_TIMEOUT_MS = 8000;
const LOOK_MS = 250;
const NOTHING = { bytesAccepted: 0, takesMore: false, waitingBytes: 0, hasBegun: false, isGathering: false };

/** A watch that looks four times a second at what it is told, while its source gives something. */
function newWatch() {
  const watch = new DeliveryWatch(START_TIMEOUT_MS, STALL_TIMEOUT_MS, 0);
  let nowMs = 0;
  return {
    look: (delivery: Partial<Delivery>) => {
      nowMs += LOOK_MS;
      watch.unitGiven();
      return watch.observe({ ...NOTHING, ...delivery }, nowMs * 1000);
    },
    /** The first verdict, and how long it took. */
    lookUntilVerdict: (delivery: Partial<Delivery>, isIdle = false) => {
      for (let passedMs = LOOK_MS; passedMs <= 60_000; passedMs += LOOK_MS) {
        nowMs += LOOK_MS;
        if (!isIdle) watch.unitGiven();
        const verdict = watch.observe({ ...NOTHING, ...delivery }, nowMs * 1000);
        if (verdict) return { verdict, passedMs };
      }
      return undefined;
    },
    freeze: (ms: number) => (nowMs += ms),
  };
}

describe('whether a push may say ACTIVE', () => {
  it('is not so before the destination has accepted and a keyframe has gone out, whatever it takes', () => {
    const { look } = newWatch();
    expect(look({ bytesAccepted: 5000, takesMore: true })).toBeUndefined();
    expect(look({ bytesAccepted: 9000, takesMore: false, hasBegun: true })).toBeUndefined();
    expect(look({ bytesAccepted: 9500, takesMore: true, hasBegun: true })).toBe('active');
    expect(look({ bytesAccepted: 9900, takesMore: true, hasBegun: true })).toBeUndefined();
  });

  it('may come after a minute in which media are gathered', () => {
    const { look, lookUntilVerdict } = newWatch();
    expect(lookUntilVerdict({ isGathering: true })).toBeUndefined();
    expect(look({ bytesAccepted: 5000, takesMore: true, hasBegun: true })).toBe('active');
  });

  it('is given up the same time as ever after media were gathered', () => {
    const { lookUntilVerdict } = newWatch();
    lookUntilVerdict({ isGathering: true });
    expect(lookUntilVerdict({})).toEqual({ verdict: 'never_active', passedMs: START_TIMEOUT_MS + LOOK_MS });
  });

  it('expires when the destination takes nothing of what waits for the stall timeout, and can be so again', () => {
    const { look, lookUntilVerdict } = newWatch();
    look({ bytesAccepted: 5000, takesMore: true, hasBegun: true });
    const stuck = { bytesAccepted: 5000, waitingBytes: 1000, hasBegun: true };
    expect(lookUntilVerdict(stuck)).toEqual({ verdict: 'stalled', passedMs: STALL_TIMEOUT_MS });
    expect(look(stuck)).toBeUndefined();
    expect(look({ bytesAccepted: 15_000, takesMore: true, hasBegun: true })).toBe('active');
  });

  it('does not expire while the source gives nothing, while media are gathered, or while this process was frozen', () => {
    for (const [delivery, isIdle] of [
      [{ bytesAccepted: 5000, hasBegun: true }, true],
      [{ bytesAccepted: 5000, hasBegun: true, isGathering: true }, false],
    ] as const) {
      const { look, lookUntilVerdict } = newWatch();
      look({ bytesAccepted: 5000, takesMore: true, hasBegun: true });
      expect(lookUntilVerdict(delivery, isIdle)).toBeUndefined();
    }
    const { look, freeze } = newWatch();
    look({ bytesAccepted: 5000, takesMore: true, hasBegun: true });
    freeze(60_000);
    expect(look({ bytesAccepted: 5000, waitingBytes: 1000, hasBegun: true })).toBeUndefined();
  });

  it('is given up after the start timeout where it never was so, and not where it was', () => {
    expect(newWatch().lookUntilVerdict({})).toEqual({
      verdict: 'never_active',
      passedMs: START_TIMEOUT_MS + LOOK_MS,
    });
    const { look, lookUntilVerdict } = newWatch();
    look({ bytesAccepted: 5000, takesMore: true, hasBegun: true });
    expect(lookUntilVerdict({ bytesAccepted: 5000, waitingBytes: 1 })).toMatchObject({ verdict: 'stalled' });
    expect(lookUntilVerdict({ bytesAccepted: 5000, waitingBytes: 1 })).toBeUndefined();
  });
});
