const UINT32 = 0x100000000;

/**
 * Counts what came from a peer and says when it wants an Acknowledgement (RTMP 1.0 §5.4.3): each time its window is full.
 * Until the peer names a window, none is due.
 */
export class AcknowledgementCounter {
  #receivedBytes = 0;
  #acknowledgedBytes = 0;
  #windowBytes = 0;

  setWindow(windowBytes: number): void {
    this.#windowBytes = windowBytes;
  }

  /** The sequence number to acknowledge now (total bytes modulo 2^32), or undefined. */
  received(byteLength: number): number | undefined {
    this.#receivedBytes += byteLength;
    if (this.#windowBytes === 0 || this.#receivedBytes - this.#acknowledgedBytes < this.#windowBytes) return undefined;
    this.#acknowledgedBytes = this.#receivedBytes;
    return this.#receivedBytes % UINT32;
  }
}
