import { ProtocolError } from '../domain/errors.ts';

const LENGTH_BYTES = 2;

/**
 * Cuts a TCP byte stream into packets by their 16-bit length (RFC 4571 §2, used by ICE-TCP, RFC 6544 §3). Holds at most one
 * unfinished frame of `maxFrameBytes`; a longer one throws ProtocolError `ICE_TCP_FRAME`. Empty frames are keep-alives
 * and are skipped.
 */
export class FrameSplitter {
  readonly #maxFrameBytes: number;
  /** Begins at a length field; `#heldBytes` of it are filled. */
  readonly #held: Buffer;
  #heldBytes = 0;

  constructor(options: { readonly maxFrameBytes: number }) {
    this.#maxFrameBytes = options.maxFrameBytes;
    this.#held = Buffer.alloc(LENGTH_BYTES + options.maxFrameBytes);
  }

  /** The frames that `bytes` completes, without their lengths. They are the receiver's to keep. */
  push(bytes: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let offset = 0;
    while (offset < bytes.length) {
      if (this.#heldBytes < LENGTH_BYTES) {
        this.#held[this.#heldBytes++] = bytes[offset++]!;
        if (this.#heldBytes < LENGTH_BYTES) continue;
      }
      const frameBytes = this.#held.readUInt16BE(0);
      if (frameBytes > this.#maxFrameBytes) {
        throw new ProtocolError('ICE_TCP_FRAME', `frame of ${frameBytes} bytes; ${this.#maxFrameBytes} are allowed`);
      }
      const missing = LENGTH_BYTES + frameBytes - this.#heldBytes;
      const copied = bytes.copy(this.#held, this.#heldBytes, offset, offset + missing);
      offset += copied;
      this.#heldBytes += copied;
      if (copied < missing) break;
      if (frameBytes > 0) frames.push(Buffer.from(this.#held.subarray(LENGTH_BYTES, this.#heldBytes)));
      this.#heldBytes = 0;
    }
    return frames;
  }
}

/** A packet with its length in front, in memory of its own. */
export function frame(packet: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + packet.length);
  framed.writeUInt16BE(packet.length, 0);
  packet.copy(framed, LENGTH_BYTES);
  return framed;
}
