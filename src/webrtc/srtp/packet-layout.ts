/** Largest protected or plain packet that is handled; more than any path MTU that WebRTC uses. */
export const MAX_PACKET_BYTES = 2048;

/** The part of an RTCP packet that stays in clear: header and SSRC of the first report (RFC 3711 §3.4). */
export const RTCP_CLEAR_BYTES = 8;

/** Bit of the SRTCP index word that says that the packet is encrypted (RFC 3711 §3.4). */
export const RTCP_ENCRYPTED_FLAG = 0x80000000;

/** RTP header without CSRCs and extension. */
export const RTP_FIXED_BYTES = 12;

/** Offset of the payload after CSRCs and header extension (RFC 3550 §5.1), or -1 where `length` bytes cannot hold them. */
export function rtpHeaderBytes(packet: Buffer, length: number): number {
  if (length < RTP_FIXED_BYTES || packet[0]! >> 6 !== 2) return -1;
  let headerBytes = RTP_FIXED_BYTES + 4 * (packet[0]! & 0x0f);
  if ((packet[0]! & 0x10) !== 0) {
    if (headerBytes + 4 > length) return -1;
    headerBytes += 4 + 4 * packet.readUInt16BE(headerBytes + 2);
  }
  return headerBytes <= length ? headerBytes : -1;
}
