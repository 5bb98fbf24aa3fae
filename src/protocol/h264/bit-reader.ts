import { ProtocolError } from '../../domain/errors.ts';

/** Reads the bits of a NAL unit; emulation prevention bytes are skipped (ITU-T H.264 §7.3.1). Throws `H264_BITS` at the end. */
export class BitReader {
  readonly #bytes: Buffer;
  #at: number;
  #bit = 0;
  #zeros = 0;

  constructor(bytes: Buffer, start = 0) {
    this.#bytes = bytes;
    this.#at = start;
  }

  bit(): number {
    if (this.#bit === 0 && this.#zeros >= 2 && this.#bytes[this.#at] === 3) {
      this.#at += 1;
      this.#zeros = 0;
    }
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new ProtocolError('H264_BITS', 'NAL unit ends too early');
    const value = (byte >> (7 - this.#bit)) & 1;
    this.#bit += 1;
    if (this.#bit === 8) {
      this.#bit = 0;
      this.#at += 1;
      this.#zeros = byte === 0 ? this.#zeros + 1 : 0;
    }
    return value;
  }

  flag(): boolean {
    return this.bit() === 1;
  }

  /** u(n), n up to 32. */
  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = value * 2 + this.bit();
    return value;
  }

  /** ue(v) (§9.1). */
  ue(): number {
    let leadingZeros = 0;
    while (this.bit() === 0) {
      leadingZeros += 1;
      if (leadingZeros > 31) throw new ProtocolError('H264_BITS', 'Exp-Golomb code of more than 32 bits');
    }
    return 2 ** leadingZeros - 1 + this.bits(leadingZeros);
  }

  /** se(v) (§9.1.1). */
  se(): number {
    const code = this.ue();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }
}
