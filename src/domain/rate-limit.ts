import type { Clock } from './clock.ts';

export interface RateLimitOptions {
  readonly perSecond: number;
  /** How many may come at once after a pause. */
  readonly burst: number;
}

/** A token bucket. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #options: RateLimitOptions;
  #tokens: number;
  #filledUs: number;

  constructor(clock: Clock, options: RateLimitOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledUs = clock.monotonicUs();
  }

  /** False when so many more are too many; then none is counted. */
  take(count = 1): boolean {
    const nowUs = this.#clock.monotonicUs();
    const { perSecond, burst } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((nowUs - this.#filledUs) * perSecond) / 1_000_000);
    this.#filledUs = nowUs;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
