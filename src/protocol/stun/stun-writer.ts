import { fingerprint, integrity, STUN_ATTRIBUTE, STUN_HEADER_BYTES, STUN_MAGIC_COOKIE } from './stun-message.ts';

const MAX_MESSAGE_BYTES = 1024;

/** Builds one STUN message (RFC 8489 §5). Values longer than the 1,024 bytes of a message throw a RangeError. */
export class StunWriter {
  readonly #packet = Buffer.alloc(MAX_MESSAGE_BYTES);
  #length = STUN_HEADER_BYTES;

  constructor(type: number, transactionId: Buffer) {
    this.#packet.writeUInt16BE(type, 0);
    this.#packet.writeUInt32BE(STUN_MAGIC_COOKIE, 4);
    transactionId.copy(this.#packet, 8, 0, 12);
  }

  /** Adds an attribute; the value is padded to four bytes. */
  add(type: number, value: Buffer): this {
    this.#packet.writeUInt16BE(type, this.#length);
    this.#packet.writeUInt16BE(value.length, this.#length + 2);
    const end = this.#length + 4 + value.length + (-value.length & 3);
    if (end > MAX_MESSAGE_BYTES) throw new RangeError('STUN message too long');
    value.copy(this.#packet, this.#length + 4);
    this.#length = end;
    return this;
  }

  /** Closes the message with MESSAGE-INTEGRITY (short-term password) and FINGERPRINT, in this order (RFC 8445 §7.1). */
  finish(password: string): Buffer {
    this.add(STUN_ATTRIBUTE.messageIntegrity, integrity(this.#packet, this.#length, password));
    this.#packet.writeUInt16BE(this.#length + 8 - STUN_HEADER_BYTES, 2);
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(fingerprint(this.#packet.subarray(0, this.#length)));
    this.add(STUN_ATTRIBUTE.fingerprint, crc);
    return this.#packet.subarray(0, this.#length);
  }
}

/** An error response's ERROR-CODE value (RFC 8489 §14.8). */
export function encodeErrorCode(code: number, reason: string): Buffer {
  return Buffer.concat([Buffer.from([0, 0, Math.floor(code / 100), code % 100]), Buffer.from(reason)]);
}
