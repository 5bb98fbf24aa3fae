/** Who looks does so several times a second; a longer step is a pause of the process itself. */
const MAX_STEP_US = 1_000_000;

/**
 * Time as one who looks regularly has seen it pass. While the process is frozen or its event loop blocked, nothing can arrive and
 * nobody looks: that time is nobody else's fault and counts as one step, after which is looked again before anything is said.
 */
export class AwakeTime {
  #us = 0;
  #lastUs: number;

  /** `nowUs` is monotonic, here and below. */
  constructor(nowUs: number) {
    this.#lastUs = nowUs;
  }

  /** As of the last look. */
  get us(): number {
    return this.#us;
  }

  /** A look: returns the time that has passed since the beginning. */
  advance(nowUs: number): number {
    this.#us += Math.min(nowUs - this.#lastUs, MAX_STEP_US);
    this.#lastUs = nowUs;
    return this.#us;
  }
}
