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

/**
 * Tells whether the destination takes bytes: a clock since the last real increase, not a comparison of two values. Of a stream
 * of few bytes some are always on their way, so that neither many move in a window nor is there a look at which none wait. For
 * it an increase is real when all that had been given at the one before has been taken since.
 */
export class FlowWatch {
  readonly #stallTimeoutUs: number;
  #bytes = 0;
  /** What had been given by then, of which `#bytes` were taken. */
  #givenBytes = Infinity;
  #sinceUs: number;

  constructor(stallTimeoutMs: number, nowUs: number) {
    this.#stallTimeoutUs = stallTimeoutMs * 1000;
    this.#sinceUs = nowUs;
  }

  /** True while bytes move: at least 4 KiB within the stall timeout, or all that was given, or there is nothing that could. */
  isFlowing({ bytesAccepted, waitingBytes, isSourceIdle }: Flow, nowUs: number): boolean {
    const givenBytes = bytesAccepted + waitingBytes;
    // What waited may have been given up since, or have shrunk on its way: muted sound does.
    this.#givenBytes = Math.min(this.#givenBytes, givenBytes);
    const isNothingLeft = waitingBytes === 0 && isSourceIdle;
    const isAllTaken = bytesAccepted > this.#bytes && bytesAccepted >= this.#givenBytes;
    if (isNothingLeft || isAllTaken || bytesAccepted - this.#bytes >= MIN_BYTES) {
      this.#bytes = bytesAccepted;
      this.#givenBytes = givenBytes;
      this.#sinceUs = nowUs;
    }
    return nowUs - this.#sinceUs < this.#stallTimeoutUs;
  }
}
