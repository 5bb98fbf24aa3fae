import { createHmac, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ProtocolError } from '../../domain/errors.ts';

/** Message types that ICE uses: method Binding with each class (RFC 8489 §5). */
export const STUN_TYPE = { request: 0x0001, indication: 0x0011, success: 0x0101, error: 0x0111 } as const;

/** Attribute types (RFC 8489 §18.3, RFC 8445 §16.1). */
export const STUN_ATTRIBUTE = {
  mappedAddress: 0x0001,
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  realm: 0x0014,
  nonce: 0x0015,
  messageIntegritySha256: 0x001c,
  passwordAlgorithm: 0x001d,
  userhash: 0x001e,
  xorMappedAddress: 0x0020,
  priority: 0x0024,
  useCandidate: 0x0025,
  fingerprint: 0x8028,
  iceControlled: 0x8029,
  iceControlling: 0x802a,
} as const;

export const STUN_MAGIC_COOKIE = 0x2112a442;
export const STUN_HEADER_BYTES = 20;
const FINGERPRINT_XOR = 0x5354554e;
const INTEGRITY_BYTES = 20;
const MAX_ATTRIBUTES = 64;

/** A parsed message. `packet` is the caller's buffer, not a copy; offsets point into it. */
export interface StunMessage {
  readonly type: number;
  /** 12 bytes, a view of `packet`. */
  readonly transactionId: Buffer;
  readonly packet: Buffer;
  /** In the order of the wire, up to MESSAGE-INTEGRITY; behind that only FINGERPRINT counts (RFC 8489 §14.5). */
  readonly attributes: readonly StunAttribute[];
}

export interface StunAttribute {
  readonly type: number;
  /** Offset of the attribute's own header in `packet`. */
  readonly offset: number;
  /** A view of `packet` without the padding. */
  readonly value: Buffer;
}

/**
 * Parses one datagram as a STUN message (RFC 8489 §5). Throws ProtocolError: `STUN_HEADER` for what is not STUN,
 * `STUN_LENGTH` for a wrong or unpadded length, `STUN_ATTRIBUTE` for an attribute that does not fit or too many of them.
 */
export function parseStun(packet: Buffer): StunMessage {
  if (packet.length < STUN_HEADER_BYTES || packet[0]! > 3 || packet.readUInt32BE(4) !== STUN_MAGIC_COOKIE) {
    throw new ProtocolError('STUN_HEADER', 'not a STUN message');
  }
  const bodyBytes = packet.readUInt16BE(2);
  if (bodyBytes % 4 !== 0 || packet.length !== STUN_HEADER_BYTES + bodyBytes) {
    throw new ProtocolError('STUN_LENGTH', `STUN length ${bodyBytes} in a datagram of ${packet.length} bytes`);
  }
  const attributes: StunAttribute[] = [];
  let afterIntegrity = false;
  for (let offset = STUN_HEADER_BYTES; offset < packet.length;) {
    if (offset + 4 > packet.length || attributes.length >= MAX_ATTRIBUTES) {
      throw new ProtocolError('STUN_ATTRIBUTE', `STUN attribute at ${offset} does not fit`);
    }
    const type = packet.readUInt16BE(offset);
    const valueBytes = packet.readUInt16BE(offset + 2);
    const end = offset + 4 + valueBytes;
    if (end > packet.length) throw new ProtocolError('STUN_ATTRIBUTE', `STUN attribute ${type} does not fit`);
    if (!afterIntegrity || type === STUN_ATTRIBUTE.fingerprint) {
      attributes.push({ type, offset, value: packet.subarray(offset + 4, end) });
    }
    afterIntegrity ||= type === STUN_ATTRIBUTE.messageIntegrity;
    offset = end + (-valueBytes & 3);
  }
  return { type: packet.readUInt16BE(0), transactionId: packet.subarray(8, 20), packet, attributes };
}

/** The first attribute of a type; duplicates do not count (RFC 8489 §14). */
export function findAttribute(message: StunMessage, type: number): StunAttribute | undefined {
  return message.attributes.find((attribute) => attribute.type === type);
}

/** True if MESSAGE-INTEGRITY is there and was made with this short-term password (RFC 8489 §14.5). */
export function hasValidIntegrity(message: StunMessage, password: string): boolean {
  const attribute = findAttribute(message, STUN_ATTRIBUTE.messageIntegrity);
  if (attribute?.value.length !== INTEGRITY_BYTES) return false;
  return timingSafeEqual(integrity(message.packet, attribute.offset, password), attribute.value);
}

/** True if FINGERPRINT is absent, or is the last attribute and right (RFC 8489 §14.7). */
export function hasNoBadFingerprint(message: StunMessage): boolean {
  const attribute = findAttribute(message, STUN_ATTRIBUTE.fingerprint);
  if (!attribute) return true;
  if (attribute.value.length !== 4 || attribute.offset + 8 !== message.packet.length) return false;
  return attribute.value.readUInt32BE(0) === fingerprint(message.packet.subarray(0, attribute.offset));
}

/** HMAC-SHA1 over everything in front of the attribute, with the header's length as if the message ended behind it. */
export function integrity(packet: Buffer, attributeOffset: number, password: string): Buffer {
  const header = Buffer.from(packet.subarray(0, STUN_HEADER_BYTES));
  header.writeUInt16BE(attributeOffset + 4 + INTEGRITY_BYTES - STUN_HEADER_BYTES, 2);
  return createHmac('sha1', password)
    .update(header)
    .update(packet.subarray(STUN_HEADER_BYTES, attributeOffset))
    .digest();
}

/** CRC-32 of the message up to the FINGERPRINT attribute; the header's length must already count that attribute. */
export function fingerprint(packetBefore: Buffer): number {
  return (crc32(packetBefore) ^ FINGERPRINT_XOR) >>> 0;
}
