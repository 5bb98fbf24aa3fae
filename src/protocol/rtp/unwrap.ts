/** How far back a packet may lie before it is taken for a restart of the sequence (MAX_MISORDER of RFC 3550 A.1, with room for retransmissions). */
const MAX_MISORDER = 3000;
const NONE = -1;

/**
 * Extends 16-bit sequence numbers to packet indexes of up to 48 bits (roll-over counter · 65536 + sequence). The first
 * number seen has roll-over counter 0, as in SRTP (RFC 3711 §3.3.1).
 */
export class SequenceUnwrapper {
  #highest = NONE;
  #restartSequence = NONE;

  /** The highest index so far, -1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /**
   * The index of `sequence`; -1 when it belongs to no index: it lies before the very first one, or is so far back that the
   * sender may have restarted. Two such packets in a row prove the restart, which continues in the next cycle (RFC 3550 A.1).
   */
  unwrap(sequence: number): number {
    if (this.#highest === NONE) {
      this.#highest = sequence;
      return sequence;
    }
    const step = (sequence - this.#highest) & 0xffff;
    if (step < 0x8000) {
      this.#restartSequence = NONE;
      this.#highest += step;
      return this.#highest;
    }
    const index = this.#highest + step - 0x10000;
    if (this.#highest - index <= MAX_MISORDER) return index < 0 ? NONE : index;
    if (sequence !== this.#restartSequence) {
      this.#restartSequence = (sequence + 1) & 0xffff;
      return NONE;
    }
    this.#restartSequence = NONE;
    this.#highest = index + 0x10000;
    return this.#highest;
  }
}

/** Extends 32-bit RTP timestamps so that they neither wrap nor jump: the nearest value to the last one. Starts at the first value. */
export class TimestampUnwrapper {
  #last = Number.NaN;

  /** May step backwards (B-frames, reordering), and below 0 only around the very first value. */
  unwrap(timestamp: number): number {
    this.#last = this.near(timestamp);
    return this.#last;
  }

  /** As `unwrap`, but the value is not the one that the next is measured by. For times that are not those of media. */
  near(timestamp: number): number {
    if (Number.isNaN(this.#last)) return timestamp;
    // `| 0` makes the difference signed and modular; `%` keeps the low 32 bits of values beyond 2^32.
    return this.#last + ((timestamp - (this.#last % 0x1_0000_0000)) | 0);
  }
}
