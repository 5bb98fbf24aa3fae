/** A connection that keeps up a few control messages is not a broadcast; less than this in a window is nothing. */
const MIN_BYTES = 4096;

/** Tells whether the destination takes bytes: a clock since the last real increase, not a comparison of two values. */
export class FlowWatch {
  readonly #stallTimeoutUs: number;
  #bytes = 0;
  #sinceUs: number;

  constructor(stallTimeoutMs: number, nowUs: number) {
    this.#stallTimeoutUs = stallTimeoutMs * 1000;
    this.#sinceUs = nowUs;
  }

  /** True while bytes move: at least 4 KiB within the stall timeout. */
  isFlowing(bytesAccepted: number, nowUs: number): boolean {
    if (bytesAccepted - this.#bytes >= MIN_BYTES) {
      this.#bytes = bytesAccepted;
      this.#sinceUs = nowUs;
    }
    return nowUs - this.#sinceUs < this.#stallTimeoutUs;
  }
}
