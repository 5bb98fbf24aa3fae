import { hash } from 'node:crypto';

/** Block size of SHA-1, and so the room that a message needs in front of it (see `HmacSha1`). */
export const HMAC_PREFIX_BYTES = 64;

const DIGEST_BYTES = 20;

/**
 * HMAC-SHA1 (RFC 2104) by two one-shot hashes, which cost a tenth of an Hmac object per packet. Digests travel as binary
 * strings: a Buffer from node:crypto costs more than the hash of a block.
 */
export class HmacSha1 {
  readonly #inner: Buffer;
  readonly #outer = Buffer.alloc(HMAC_PREFIX_BYTES + DIGEST_BYTES);

  /** `key` has at most 64 bytes. */
  constructor(key: Buffer) {
    this.#inner = hmacPad(key, 0x36);
    hmacPad(key, 0x5c).copy(this.#outer);
  }

  /**
   * Writes the first `tagBytes` of the digest to `target`. The message begins `HMAC_PREFIX_BYTES` after the start of
   * `buffer`, whose bytes before it are overwritten, and ends at `end`.
   */
  writeTag(buffer: Buffer, end: number, target: Buffer, targetStart: number, tagBytes: number): void {
    this.#inner.copy(buffer);
    this.#outer.write(hash('sha1', buffer.subarray(0, end), 'binary'), HMAC_PREFIX_BYTES, 'latin1');
    target.write(hash('sha1', this.#outer, 'binary'), targetStart, tagBytes, 'latin1');
  }
}

/** The first block of an inner (0x36) or outer (0x5c) hash of HMAC (RFC 2104 §2). */
export function hmacPad(key: Buffer, filler: 0x36 | 0x5c): Buffer {
  const pad = Buffer.alloc(HMAC_PREFIX_BYTES, filler);
  for (let at = 0; at < key.length; at++) pad[at]! ^= key[at]!;
  return pad;
}
