import type { StoredPackets } from './media-source.ts';

const EMPTY = -1;

export interface UnitPacketsOptions {
  /** At most so many are kept; a power of two. */
  readonly capacity: number;
  /** So many of the newest are kept for repairs, whatever else is. */
  readonly recent: number;
}

/** Packets that are made here, and therefore come in order and are never changed: what repairs and replays are made of. */
export class UnitPackets implements StoredPackets {
  readonly #recent: number;
  readonly #mask: number;
  readonly #ring: (Buffer | undefined)[];
  #lowest = 0;
  #highest = EMPTY;
  #keptFrom = Number.POSITIVE_INFINITY;

  constructor({ capacity, recent }: UnitPacketsOptions) {
    this.#recent = recent;
    this.#mask = capacity - 1;
    this.#ring = Array.from({ length: capacity }, () => undefined);
  }

  get highest(): number {
    return this.#highest;
  }

  /** Keeps it under the next index, and not a copy of it. */
  push(packet: Buffer): void {
    this.#highest += 1;
    this.#ring[this.#highest & this.#mask] = packet;
    const { length: capacity } = this.#ring;
    const recentFrom = this.#highest - this.#recent + 1;
    const from = Math.max(Math.min(this.#keptFrom, recentFrom), this.#highest - capacity + 1);
    for (; this.#lowest < from; this.#lowest++) {
      // Its place may have been taken.
      if (this.#lowest > this.#highest - capacity) this.#ring[this.#lowest & this.#mask] = undefined;
    }
  }

  /** Packets from this index on are kept beyond the recent ones, as long as there is room. */
  keepFrom(index: number): void {
    this.#keptFrom = index;
  }

  has(index: number): boolean {
    return index >= this.#lowest && index <= this.#highest;
  }

  get(index: number): Buffer | undefined {
    return this.has(index) ? this.#ring[index & this.#mask] : undefined;
  }
}
