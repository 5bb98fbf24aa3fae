import { rtpPayloadEnd, rtpPayloadOffset } from '../../protocol/rtp/packet.ts';
import type { PacketStore } from './packet-store.ts';

const DEFAULT_MAX_WAIT_US = 500_000;
const NOT_STARTED = -1;

export interface ReorderBufferOptions {
  /** Holds the waiting packets, so bytes are bounded by its slab and nothing is copied twice. */
  readonly store: PacketStore;
  /** One packet, in order. The view holds as long as the store keeps it; take what is needed during the call. */
  readonly onPacket: (packet: Buffer, index: number, arrivalUs: number) => void;
  /** Packets from `firstIndex` on are given up; the next packet delivered comes after them. */
  readonly onLost: (firstIndex: number, count: number) => void;
  /** How long a hole may wait for its repair. */
  readonly maxWaitUs?: number;
  /** How far ahead of a hole packets are held; at most the store's capacity, by default half of it. */
  readonly maxPackets?: number;
}

/**
 * Puts the packets of one stream in order while retransmissions repair the holes. The first packet that comes is the first
 * delivered. Packets without payload (padding) take their place in the order but are not delivered.
 */
export class ReorderBuffer {
  readonly #store: PacketStore;
  readonly #onPacket: ReorderBufferOptions['onPacket'];
  readonly #onLost: ReorderBufferOptions['onLost'];
  readonly #maxWaitUs: number;
  readonly #maxPackets: number;
  #next = NOT_STARTED;
  #highest = NOT_STARTED;
  /** When the packet at `#next` was first known to be missing; Infinity while nothing is held. */
  #holeSinceUs = Number.POSITIVE_INFINITY;

  constructor(options: ReorderBufferOptions) {
    this.#store = options.store;
    this.#onPacket = options.onPacket;
    this.#onLost = options.onLost;
    this.#maxWaitUs = options.maxWaitUs ?? DEFAULT_MAX_WAIT_US;
    this.#maxPackets = Math.min(options.maxPackets ?? options.store.capacity / 2, options.store.capacity);
  }

  /** The packet that is delivered next; everything before it was delivered or given up. -1 before the first packet. */
  get nextIndex(): number {
    return this.#next;
  }

  /**
   * Stores one packet under its 48-bit index and delivers what is in order now. False for duplicates and for packets that
   * the store refuses. A packet that comes after its hole was given up is stored (viewers may ask for it), not delivered.
   */
  push(packet: Buffer, index: number, nowUs: number): boolean {
    if (index < 0) return false;
    if (this.#next === NOT_STARTED) this.#next = index;
    // Room is made first: the packet may take the slot of one that is still to be delivered.
    while (index - this.#next >= this.#maxPackets) this.#giveUpHole(index);
    if (!this.#store.put(packet, index, nowUs)) return false;
    if (index > this.#highest) this.#highest = index;
    if (index === this.#next) {
      this.#deliverRun();
    } else if (index > this.#next) {
      this.#holeSinceUs = Math.min(this.#holeSinceUs, nowUs);
    }
    return true;
  }

  /** Gives up the holes that have waited too long. To be called about every 10 ms. */
  poll(nowUs: number): void {
    while (nowUs - this.#holeSinceUs >= this.#maxWaitUs) this.#giveUpHole(this.#highest);
  }

  /** Skips the hole at `#next`, whose end is a held packet or `limit`, whichever is first; delivers what follows. */
  #giveUpHole(limit: number): void {
    const first = this.#next;
    let end = first;
    const heldEnd = Math.min(limit, this.#highest + 1);
    while (end < heldEnd && !this.#store.has(end)) end++;
    // Nothing is held before `limit`: all of it is one hole.
    if (end >= heldEnd) end = limit;
    this.#next = end;
    if (end > first) this.#onLost(first, end - first);
    this.#deliverRun();
  }

  #deliverRun(): void {
    for (;;) {
      const packet = this.#store.get(this.#next);
      if (packet === undefined) break;
      const index = this.#next++;
      if (rtpPayloadEnd(packet) > rtpPayloadOffset(packet)) {
        this.#onPacket(packet, index, this.#store.arrivalUs(index));
      }
    }
    this.#holeSinceUs = this.#earliestHeldUs();
  }

  /** A hole is known since the first arrival of any packet beyond it. */
  #earliestHeldUs(): number {
    let earliestUs = Number.POSITIVE_INFINITY;
    for (let index = this.#next + 1; index <= this.#highest; index++) {
      if (this.#store.has(index)) earliestUs = Math.min(earliestUs, this.#store.arrivalUs(index));
    }
    return earliestUs;
  }
}
