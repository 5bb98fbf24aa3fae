/**
 * Packets behind the newest one that are still told apart. A browser without RTX repeats a lost packet under its old
 * sequence number, a round trip or two later, so the 64 packets that RFC 3711 §3.3.2 asks for are far too few.
 */
export const REPLAY_WINDOW_PACKETS = 1024;

const SEQUENCE_CYCLE = 0x10000;
const HALF_CYCLE = 0x8000;

/** Which packet indexes of one SSRC were received (RFC 3711 §3.3.2). Only authenticated packets may be marked. */
export class ReplayWindow {
  #newest = -1;
  readonly #seen = new Uint32Array(REPLAY_WINDOW_PACKETS / 32);

  isReplay(index: number): boolean {
    if (index > this.#newest) return false;
    if (index <= this.#newest - REPLAY_WINDOW_PACKETS) return true;
    return (this.#seen[wordOf(index)]! & bitOf(index)) !== 0;
  }

  mark(index: number): void {
    if (index - this.#newest >= REPLAY_WINDOW_PACKETS) this.#seen.fill(0);
    else
      for (let skipped = this.#newest + 1; skipped < index; skipped++) this.#seen[wordOf(skipped)]! &= ~bitOf(skipped);
    this.#seen[wordOf(index)]! |= bitOf(index);
    if (index > this.#newest) this.#newest = index;
  }

  /**
   * The 48-bit index that a sequence number most likely has (RFC 3711 §3.3.1, appendix A). A roll-over counter starts at
   * 0, so the estimate that would be negative there is the packet of the first cycle.
   */
  estimateIndex(sequenceNumber: number): number {
    if (this.#newest < 0) return sequenceNumber;
    const cycle = this.#newest - (this.#newest % SEQUENCE_CYCLE);
    const distance = sequenceNumber - (this.#newest - cycle);
    if (distance < -HALF_CYCLE) return cycle + SEQUENCE_CYCLE + sequenceNumber;
    if (distance > HALF_CYCLE && cycle > 0) return cycle - SEQUENCE_CYCLE + sequenceNumber;
    return cycle + sequenceNumber;
  }
}

function wordOf(index: number): number {
  return (index % REPLAY_WINDOW_PACKETS) >>> 5;
}

function bitOf(index: number): number {
  return 1 << (index & 31);
}
