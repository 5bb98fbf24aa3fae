import { describe, expect, it } from 'vitest';
import { DeliveryWatch, type Delivery } from '../../../src/outputs/rtmp-push/delivery-watch.ts';
import { ManualClock } from '../../support/manual-clock.ts';

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

/** How often a socket is looked up in the kernel's tables (`SendQueues`). */
const KERNEL_LOOK_MS = 500;
/** A muted frame of AAC with its chunk header. */
const FRAME_BYTES = 18;

interface MutedSound {
  readonly sampleRateHz: number;
  readonly roundTripMs: number;
  readonly stallTimeoutMs: number;
}

/** A push of nothing but muted sound, to a destination from which an acknowledgement takes a round trip. */
function pushMutedSound({ sampleRateHz, roundTripMs, stallTimeoutMs }: MutedSound) {
  const clock = new ManualClock();
  const watch = new DeliveryWatch(START_TIMEOUT_MS, stallTimeoutMs, clock.monotonicUs());
  const verdicts: { verdict: string; atMs: number }[] = [];
  let isFrozen = false;
  let written = 0;
  let acknowledged = 0;
  let seen = { bytesAccepted: 0, waitingBytes: 0 };
  let reported = 0;
  clock.every(1_024_000 / sampleRateHz, () => {
    watch.unitGiven();
    written += FRAME_BYTES;
    clock.after(roundTripMs, () => {
      if (!isFrozen) acknowledged += FRAME_BYTES;
    });
  });
  clock.every(KERNEL_LOOK_MS, () => (seen = { bytesAccepted: acknowledged, waitingBytes: written - acknowledged }));
  clock.every(LOOK_MS, () => {
    const takesMore = seen.bytesAccepted > reported;
    reported = seen.bytesAccepted;
    const verdict = watch.observe({ ...seen, takesMore, hasBegun: true, isGathering: false }, clock.monotonicUs());
    if (verdict) verdicts.push({ verdict, atMs: clock.monotonicUs() / 1000 });
  });
  return {
    clock,
    verdicts: () => verdicts.map(({ verdict }) => verdict),
    /** The destination takes nothing from now on; how long it took to be noticed. */
    freeze: () => {
      const frozenMs = clock.monotonicUs() / 1000;
      isFrozen = true;
      clock.advance(60_000);
      return verdicts.at(-1)!.atMs - frozenMs;
    },
  };
}

const LOW_RATES: MutedSound[] = [
  { sampleRateHz: 24_000, roundTripMs: 60, stallTimeoutMs: 8000 },
  { sampleRateHz: 8000, roundTripMs: 150, stallTimeoutMs: 8000 },
  { sampleRateHz: 48_000, roundTripMs: 60, stallTimeoutMs: 1000 },
  { sampleRateHz: 48_000, roundTripMs: 300, stallTimeoutMs: 4000 },
];

describe('a push of muted sound, of which there is always some on its way', () => {
  it.each(LOW_RATES)('stays ACTIVE as long as it is taken: %o', (sound) => {
    const push = pushMutedSound(sound);
    push.clock.advance(600_000);
    expect(push.verdicts()).toEqual(['active']);
  });

  it.each(LOW_RATES)('is stalled within its timeout when the destination takes no more: %o', (sound) => {
    const push = pushMutedSound(sound);
    push.clock.advance(60_000);
    const noticedMs = push.freeze();
    expect(push.verdicts()).toEqual(['active', 'stalled']);
    expect(noticedMs).toBeLessThanOrEqual(sound.stallTimeoutMs + KERNEL_LOOK_MS + LOOK_MS);
    expect(noticedMs).toBeGreaterThan(sound.stallTimeoutMs - KERNEL_LOOK_MS - LOOK_MS);
  });
});

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
