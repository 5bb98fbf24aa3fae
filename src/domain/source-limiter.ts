import type { Clock } from './clock.ts';

/** Sources counted one by one in a window; those beyond share one count, so that memory is bounded. */
const MAX_SOURCES = 4096;
const OTHERS = '';

export interface SourceLimiterOptions {
  readonly clock: Clock;
  /** Offences of one source in one window. */
  readonly max: number;
  readonly windowMs: number;
}

/** Counts offences per source address in windows that are the same for all. */
export class SourceLimiter {
  readonly #options: SourceLimiterOptions;
  readonly #counts = new Map<string, number>();
  #windowEndUs = 0;

  constructor(options: SourceLimiterOptions) {
    this.#options = options;
  }

  /** True while the source's offences of this window leave it a hearing. */
  allows(address: string): boolean {
    const { clock, max, windowMs } = this.#options;
    const nowUs = clock.monotonicUs();
    if (nowUs >= this.#windowEndUs) {
      this.#windowEndUs = nowUs + windowMs * 1000;
      this.#counts.clear();
    }
    return (this.#counts.get(this.#key(address)) ?? 0) < max;
  }

  /** Until everybody has a hearing again. */
  get remainingMs(): number {
    return Math.max(0, (this.#windowEndUs - this.#options.clock.monotonicUs()) / 1000);
  }

  charge(address: string): void {
    const key = this.#key(address);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  #key(address: string): string {
    return this.#counts.has(address) || this.#counts.size < MAX_SOURCES ? address : OTHERS;
  }
}
