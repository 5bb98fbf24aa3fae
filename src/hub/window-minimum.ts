/**
 * The least value of the last one to two windows, without keeping the values. Of `arrival − media time` it is the delay
 * of the quickest frames: jitter only ever adds to it, clock skew moves it slowly.
 */
export class WindowMinimum {
  readonly #windowUs: number;
  #startedUs = -Infinity;
  #previous = Infinity;
  #current = Infinity;

  constructor(windowUs: number) {
    this.#windowUs = windowUs;
  }

  /** Infinity before the first `add`. */
  get value(): number {
    return Math.min(this.#previous, this.#current);
  }

  add(value: number, atUs: number): void {
    const ageUs = atUs - this.#startedUs;
    if (ageUs >= this.#windowUs) {
      this.#previous = ageUs >= 2 * this.#windowUs ? Infinity : this.#current;
      this.#current = Infinity;
      this.#startedUs = atUs;
    }
    if (value < this.#current) this.#current = value;
  }

  reset(): void {
    this.#startedUs = -Infinity;
    this.#previous = Infinity;
    this.#current = Infinity;
  }
}
