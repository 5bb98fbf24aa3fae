/** Time is a parameter: policies are tested on a manual clock, mechanics on real processes (design §3). */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970; may step. For rows, events and logs only. */
  nowMs(): number;
  /** Monotonic time in microseconds from an arbitrary start; never steps. For every duration and deadline. */
  monotonicUs(): number;
  /** Calls `fire` once after `delayMs`. The returned function cancels it and may be called any number of times. */
  after(delayMs: number, fire: () => void): CancelTimer;
  /** Calls `fire` every `periodMs`. */
  every(periodMs: number, fire: () => void): CancelTimer;
}

export type CancelTimer = () => void;

/** `setTimeout` fires at once for more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicUs: () => Math.round(performance.now() * 1000),
  after(delayMs, fire) {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const isLong = leftMs > MAX_TIMEOUT_MS;
      timer = isLong ? setTimeout(() => wait(leftMs - MAX_TIMEOUT_MS), MAX_TIMEOUT_MS) : setTimeout(fire, leftMs);
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
  every(periodMs, fire) {
    const timer = setInterval(fire, periodMs);
    return () => clearInterval(timer);
  },
};
