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

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicUs: () => Math.round(performance.now() * 1000),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  },
  every(periodMs, fire) {
    const timer = setInterval(fire, periodMs);
    return () => clearInterval(timer);
  },
};
