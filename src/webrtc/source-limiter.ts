import type { Clock } from '../domain/clock.ts';

const WINDOW_US = 1_000_000;
/** Sources counted one by one in a window; those beyond share one count, so that memory is bounded. */
const MAX_SOURCES = 4096;
const OTHERS = '';

/** Counts offences per source address in windows of one second. */
export class SourceLimiter {
  readonly #clock: Clock;
  readonly #maxPerSecond: number;
  readonly #counts = new Map<string, number>();
  #windowEndUs = 0;

  constructor(options: { readonly clock: Clock; readonly maxPerSecond: number }) {
    this.#clock = options.clock;
    this.#maxPerSecond = options.maxPerSecond;
  }

  /** True while the source's offences of this second leave it a hearing. */
  allows(address: string): boolean {
    const nowUs = this.#clock.monotonicUs();
    if (nowUs >= this.#windowEndUs) {
      this.#windowEndUs = nowUs + WINDOW_US;
      this.#counts.clear();
    }
    return (this.#counts.get(this.#key(address)) ?? 0) < this.#maxPerSecond;
  }

  charge(address: string): void {
    const key = this.#key(address);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  #key(address: string): string {
    return this.#counts.has(address) || this.#counts.size < MAX_SOURCES ? address : OTHERS;
  }
}
