import { rtpSequence } from '../../protocol/rtp/packet.ts';

const DEFAULT_CAPACITY_PACKETS = 2048;
const SLOT_BYTES = 1500;
const EMPTY = -1;

/**
 * The last packets of one stream, in one preallocated slab: source of retransmissions for all viewers and memory of the
 * reorder buffer. A packet is copied in once; what is given out are views that hold until the slot is used again, one
 * capacity later.
 */
export class PacketStore {
  readonly capacity: number;
  readonly #slab: Buffer;
  readonly #indexes: Float64Array;
  readonly #arrivalsUs: Float64Array;
  readonly #lengths: Uint16Array;
  readonly #mask: number;
  #highest = EMPTY;

  /** @param capacity in packets, a power of two. Audio needs fewer than video. */
  constructor(capacity = DEFAULT_CAPACITY_PACKETS) {
    if (capacity < 1 || capacity > 0x8000 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`packet store capacity ${capacity} is not a power of two up to 32768`);
    }
    this.capacity = capacity;
    this.#mask = capacity - 1;
    this.#slab = Buffer.allocUnsafeSlow(capacity * SLOT_BYTES);
    this.#indexes = new Float64Array(capacity).fill(EMPTY);
    this.#arrivalsUs = new Float64Array(capacity);
    this.#lengths = new Uint16Array(capacity);
  }

  /** Highest index stored, -1 when empty. */
  get highest(): number {
    return this.#highest;
  }

  /**
   * Copies a plain RTP packet in under its 48-bit index. False, and nothing is stored, when it is there already, is larger
   * than 1,500 bytes, or is so old that its slot belongs to a newer packet.
   */
  put(packet: Buffer, index: number, arrivalUs: number): boolean {
    const slot = index & this.#mask;
    if (packet.length > SLOT_BYTES || index < 0 || this.#indexes[slot]! >= index) return false;
    packet.copy(this.#slab, slot * SLOT_BYTES);
    this.#indexes[slot] = index;
    this.#arrivalsUs[slot] = arrivalUs;
    this.#lengths[slot] = packet.length;
    if (index > this.#highest) this.#highest = index;
    return true;
  }

  has(index: number): boolean {
    return index >= 0 && this.#indexes[index & this.#mask] === index;
  }

  get(index: number): Buffer | undefined {
    if (!this.has(index)) return undefined;
    const start = (index & this.#mask) * SLOT_BYTES;
    return this.#slab.subarray(start, start + this.#lengths[index & this.#mask]!);
  }

  /** Arrival of a packet that is stored. */
  arrivalUs(index: number): number {
    return this.#arrivalsUs[index & this.#mask]!;
  }

  /** The newest possible index for a 16-bit sequence number, as a NACK names it; -1 when that packet is not stored. */
  indexOf(sequence: number): number {
    const index = this.#highest - ((this.#highest - sequence) & 0xffff);
    return this.has(index) ? index : EMPTY;
  }

  /** The packet for a 16-bit sequence number. */
  find(sequence: number): Buffer | undefined {
    const packet = this.get(this.indexOf(sequence));
    return packet !== undefined && rtpSequence(packet) === sequence ? packet : undefined;
  }
}
