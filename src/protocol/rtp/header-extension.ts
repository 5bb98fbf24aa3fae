import { RTP_HEADER_BYTES, rtpPayloadOffset } from './packet.ts';

const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;

/**
 * Position of the data of the header extension element `id`, or -1 (RFC 8285 §4.2 one-byte and §4.3 two-byte headers).
 * Its length is `headerExtensionBytes(packet, position)`.
 */
export function findHeaderExtension(packet: Buffer, id: number): number {
  const end = rtpPayloadOffset(packet);
  if (end < 0 || (packet[0]! & 0x10) === 0) return -1;
  const start = RTP_HEADER_BYTES + (packet[0]! & 0x0f) * 4;
  const profile = packet.readUInt16BE(start);
  if (profile === ONE_BYTE_PROFILE) return findOneByte(packet, id, start + 4, end);
  if ((profile & 0xfff0) === TWO_BYTE_PROFILE) return findTwoByte(packet, id, start + 4, end);
  return -1;
}

/** Length of the element whose data begins at `position`, as found by `findHeaderExtension` in the same packet. */
export function headerExtensionBytes(packet: Buffer, position: number): number {
  const profileAt = RTP_HEADER_BYTES + (packet[0]! & 0x0f) * 4;
  const header = packet[position - 1]!;
  return packet.readUInt16BE(profileAt) === ONE_BYTE_PROFILE ? (header & 0x0f) + 1 : header;
}

/**
 * The transport-wide sequence number in extension `id` (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2), or -1 when
 * the packet carries none.
 */
export function transportSequence(packet: Buffer, id: number): number {
  const position = findHeaderExtension(packet, id);
  return position < 0 || headerExtensionBytes(packet, position) < 2 ? -1 : packet.readUInt16BE(position);
}

function findOneByte(packet: Buffer, id: number, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const header = packet[at]!;
    if (header === 0) {
      at += 1;
      continue;
    }
    const elementId = header >> 4;
    // Id 15 ends the list (RFC 8285 §4.2).
    if (elementId === 15) return -1;
    const next = at + 2 + (header & 0x0f);
    if (next > end) return -1;
    if (elementId === id) return at + 1;
    at = next;
  }
  return -1;
}

function findTwoByte(packet: Buffer, id: number, start: number, end: number): number {
  let at = start;
  while (at < end) {
    if (packet[at] === 0) {
      at += 1;
      continue;
    }
    if (at + 2 > end) return -1;
    const next = at + 2 + packet[at + 1]!;
    if (next > end) return -1;
    if (packet[at] === id) return at + 2;
    at = next;
  }
  return -1;
}
