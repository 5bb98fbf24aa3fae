import { ProtocolError } from '../../domain/errors.ts';

const INITIAL_BYTES = 64 * 1024;

/** Collects the bytes of one frame in memory that is kept for the next one, because frames of a stream are alike in size. */
export class FrameBytes {
  readonly #maxBytes: number;
  readonly #errorCode: string;
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  /** @param errorCode of the ProtocolError that is thrown when a frame grows beyond `maxBytes` */
  constructor(maxBytes: number, errorCode: string) {
    this.#maxBytes = maxBytes;
    this.#errorCode = errorCode;
  }

  get length(): number {
    return this.#length;
  }

  append(source: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#maxBytes) {
      throw new ProtocolError(this.#errorCode, `frame of more than ${this.#maxBytes} bytes`);
    }
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(length, this.#bytes.length * 2)));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    source.copy(this.#bytes, this.#length, start, end);
    this.#length = length;
  }

  /** Forgets everything from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** A view, valid until the next `append`. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
