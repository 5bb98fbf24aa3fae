/** A connection that keeps up a few control messages is not a broadcast; less than this in a window is nothing. */
const MIN_BYTES = 4096;

export interface Flow {
  /** Taken by the destination so far. */
  readonly bytesAccepted: number;
  /** Given by the source and not taken yet, wherever it waits. */
  readonly waitingBytes: number;
  /** The source gives nothing at the moment. */
  readonly isSourceIdle: boolean;
}

/** Tells whether the destination takes bytes: a clock since the last real increase, not a comparison of two values. */
export class FlowWatch {
  readonly #stallTimeoutUs: number;
  #bytes = 0;
  #sinceUs: number;

  constructor(stallTimeoutMs: number, nowUs: number) {
    this.#stallTimeoutUs = stallTimeoutMs * 1000;
    this.#sinceUs = nowUs;
  }

  /** True while bytes move: at least 4 KiB within the stall timeout, or all there is, or there is nothing that could. */
  isFlowing({ bytesAccepted, waitingBytes, isSourceIdle }: Flow, nowUs: number): boolean {
    const isAllTaken = waitingBytes === 0 && (isSourceIdle || bytesAccepted > this.#bytes);
    if (isAllTaken || bytesAccepted - this.#bytes >= MIN_BYTES) {
      this.#bytes = bytesAccepted;
      this.#sinceUs = nowUs;
    }
    return nowUs - this.#sinceUs < this.#stallTimeoutUs;
  }
}
