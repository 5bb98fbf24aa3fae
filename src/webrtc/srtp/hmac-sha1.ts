import { hash } from 'node:crypto';

/** Block size of SHA-1, and so the room that a message needs in front of it (see `HmacSha1`). */
export const HMAC_PREFIX_BYTES = 64;

const DIGEST_BYTES = 20;

/** HMAC-SHA1 (RFC 2104) by two one-shot hashes: cheaper than an Hmac object per packet. */
export class HmacSha1 {
  readonly #inner: Buffer;
  readonly #outer = Buffer.alloc(HMAC_PREFIX_BYTES + DIGEST_BYTES);

  /** `key` has at most 64 bytes. */
  constructor(key: Buffer) {
    this.#inner = hmacPad(key, 0x36);
    hmacPad(key, 0x5c).copy(this.#outer);
  }

  /**
   * Digest of the message that begins `HMAC_PREFIX_BYTES` after the start of `buffer` and ends at `end`. The bytes
   * before the message are overwritten.
   */
  digest(buffer: Buffer, end: number): Buffer {
    this.#inner.copy(buffer);
    hash('sha1', buffer.subarray(0, end), 'buffer').copy(this.#outer, HMAC_PREFIX_BYTES);
    return hash('sha1', this.#outer, 'buffer');
  }
}

/** The first block of an inner (0x36) or outer (0x5c) hash of HMAC (RFC 2104 §2). */
export function hmacPad(key: Buffer, filler: 0x36 | 0x5c): Buffer {
  const pad = Buffer.alloc(HMAC_PREFIX_BYTES, filler);
  for (let at = 0; at < key.length; at++) pad[at]! ^= key[at]!;
  return pad;
}
