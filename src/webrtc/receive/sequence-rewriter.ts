const RUNS = 256;
const NONE = -1;

/**
 * Maps the packet indexes of a source to those that viewers see, closing the gaps of packets that are not forwarded on
 * purpose (padding, video that a slow viewer does not get), and back again for the viewers' NACKs. Lost packets keep their
 * gap, so late ones and retransmissions still fit in. Remembers the last 256 closed gaps.
 */
export class SequenceRewriter {
  /** Ring of runs with constant shift: a run begins at `#starts[i]` and ends where the next one's gap begins. */
  readonly #starts = new Float64Array(RUNS);
  readonly #shifts = new Float64Array(RUNS);
  #firstRun = 0;
  #lastRun = 0;
  #highest = NONE;

  /** The outgoing index of a source index; -1 when it was dropped, or is older than the gaps that are remembered. */
  map(index: number): number {
    if (index > this.#highest) this.#highest = index;
    const run = this.#runOf(index);
    if (run < 0 || index >= this.#endOf(run)) return NONE;
    return index - this.#shifts[run % RUNS]!;
  }

  /**
   * Declares that a source packet is not forwarded. False when later packets have been mapped already: its gap cannot be
   * closed any more, and the packet should be forwarded after all if a gap would hurt.
   */
  drop(index: number): boolean {
    if (index <= this.#highest) return false;
    this.#closeGap(index, 1);
    return true;
  }

  /**
   * Declares that nothing between the newest packet and `index` will come any more, because the hole is too long to be
   * repaired or the sender began anew. One missing packet is left of it: decoders must see that something is lost.
   */
  skipTo(index: number): void {
    const skipped = index - this.#highest - 2;
    if (this.#highest !== NONE && skipped > 0) this.#closeGap(index - 1, skipped);
  }

  /**
   * The newest source index whose outgoing index has these low 16 bits, for a NACK; -1 when it is unknown. A viewer with an
   * offset of its own subtracts that first.
   */
  sourceOf(outgoingSequence: number): number {
    const highestOutgoing = this.#highest - this.#shifts[this.#lastRun % RUNS]!;
    const outgoing = highestOutgoing - ((highestOutgoing - outgoingSequence) & 0xffff);
    if (outgoing < 0) return NONE;
    for (let run = this.#lastRun; run >= this.#firstRun; run--) {
      const index = outgoing + this.#shifts[run % RUNS]!;
      if (index >= this.#starts[run % RUNS]!) return index < this.#endOf(run) ? index : NONE;
    }
    return NONE;
  }

  /** The `count` packets up to `last` are not forwarded. */
  #closeGap(last: number, count: number): void {
    this.#highest = last;
    const run = this.#lastRun % RUNS;
    const shift = this.#shifts[run]! + count;
    // The neighbour of the last gap: the same one grows.
    if (this.#starts[run] !== last - count + 1 || this.#lastRun === this.#firstRun) this.#lastRun += 1;
    if (this.#lastRun - this.#firstRun >= RUNS) this.#firstRun += 1;
    this.#starts[this.#lastRun % RUNS] = last + 1;
    this.#shifts[this.#lastRun % RUNS] = shift;
  }

  #runOf(index: number): number {
    for (let run = this.#lastRun; run >= this.#firstRun; run--) {
      if (index >= this.#starts[run % RUNS]!) return run;
    }
    return NONE;
  }

  /** The index after the last one of a run: where the next gap begins. */
  #endOf(run: number): number {
    if (run === this.#lastRun) return Number.POSITIVE_INFINITY;
    const next = (run + 1) % RUNS;
    const gapLength = this.#shifts[next]! - this.#shifts[run % RUNS]!;
    return this.#starts[next]! - gapLength;
  }
}
