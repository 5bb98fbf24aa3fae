/** RTP fixed header fields read and written in place (RFC 3550 §5.1). No objects: these run once or more per packet. */

export const RTP_HEADER_BYTES = 12;

/** Where the payload begins, after CSRCs and header extension; -1 when the buffer is not a well-formed RTP header. */
export function rtpPayloadOffset(packet: Buffer): number {
  if (packet.length < RTP_HEADER_BYTES || packet[0]! >> 6 !== 2) return -1;
  let offset = RTP_HEADER_BYTES + (packet[0]! & 0x0f) * 4;
  if ((packet[0]! & 0x10) !== 0) {
    if (offset + 4 > packet.length) return -1;
    offset += 4 + packet.readUInt16BE(offset + 2) * 4;
  }
  return offset > packet.length ? -1 : offset;
}

/**
 * Where the payload ends, before the padding; -1 when header or padding are malformed. Equal to `rtpPayloadOffset` for a
 * padding-only packet.
 */
export function rtpPayloadEnd(packet: Buffer): number {
  const offset = rtpPayloadOffset(packet);
  if (offset < 0) return -1;
  if ((packet[0]! & 0x20) === 0) return packet.length;
  if (offset === packet.length) return -1;
  const paddingBytes = packet[packet.length - 1]!;
  const end = packet.length - paddingBytes;
  return paddingBytes === 0 || end < offset ? -1 : end;
}

export function rtpMarker(packet: Buffer): boolean {
  return (packet[1]! & 0x80) !== 0;
}

export function rtpPayloadType(packet: Buffer): number {
  return packet[1]! & 0x7f;
}

/** 16 bits. */
export function rtpSequence(packet: Buffer): number {
  return (packet[2]! << 8) | packet[3]!;
}

/** 32 bits. */
export function rtpTimestamp(packet: Buffer): number {
  return ((packet[4]! << 24) | (packet[5]! << 16) | (packet[6]! << 8) | packet[7]!) >>> 0;
}

export function rtpSsrc(packet: Buffer): number {
  return ((packet[8]! << 24) | (packet[9]! << 16) | (packet[10]! << 8) | packet[11]!) >>> 0;
}

/** Leaves the marker as it is. */
export function setRtpPayloadType(packet: Buffer, payloadType: number): void {
  packet[1] = (packet[1]! & 0x80) | (payloadType & 0x7f);
}

/** Takes any integer and writes its low 16 bits. */
export function setRtpSequence(packet: Buffer, sequence: number): void {
  packet[2] = sequence >>> 8;
  packet[3] = sequence;
}

/** Takes any integer and writes its low 32 bits. */
export function setRtpTimestamp(packet: Buffer, timestamp: number): void {
  packet.writeUInt32BE(timestamp >>> 0, 4);
}

export function setRtpSsrc(packet: Buffer, ssrc: number): void {
  packet.writeUInt32BE(ssrc >>> 0, 8);
}

export interface RtpHeaderFields {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
}

/** Writes the fixed header without CSRCs, extension or padding to the first 12 bytes of `target`. */
export function writeRtpHeader(target: Buffer, fields: RtpHeaderFields): void {
  target[0] = 0x80;
  target[1] = (fields.marker ? 0x80 : 0) | (fields.payloadType & 0x7f);
  setRtpSequence(target, fields.sequence);
  setRtpTimestamp(target, fields.timestamp);
  setRtpSsrc(target, fields.ssrc);
}

/** RTP and RTCP on one port are told apart by the second byte: 192–223 is RTCP (RFC 5761 §4). */
export function isRtcp(packet: Buffer): boolean {
  return packet.length >= 2 && packet[1]! >= 192 && packet[1]! <= 223;
}
