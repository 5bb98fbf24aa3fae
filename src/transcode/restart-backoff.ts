const FIRST_DELAY_US = 1_000_000;
const MAX_DELAY_US = 30_000_000;
const STABLE_US = 30_000_000;
const MAX_FAILURES = 10;

/**
 * When a transcoder that died may start again: at once after the first death, then after 1 s, 2 s … 30 s. Half a minute of
 * life makes the next death a first one. It owns no timer: callers ask whenever input comes. Times are monotonic microseconds.
 */
export class RestartBackoff {
  #failures = 0;
  #startedAtUs = 0;
  #nextStartUs = Number.NEGATIVE_INFINITY;

  mayStart(nowUs: number): boolean {
    return nowUs >= this.#nextStartUs;
  }

  started(nowUs: number): void {
    this.#startedAtUs = nowUs;
  }

  died(nowUs: number): void {
    if (nowUs - this.#startedAtUs >= STABLE_US) this.#failures = 0;
    this.#failures++;
    const delayUs = this.#failures === 1 ? 0 : FIRST_DELAY_US * 2 ** (this.#failures - 2);
    this.#nextStartUs = nowUs + Math.min(delayUs, MAX_DELAY_US);
  }

  /** About two and a half minutes of deaths without a stable life between them: trying on is pointless. */
  get isExhausted(): boolean {
    return this.#failures >= MAX_FAILURES;
  }
}
