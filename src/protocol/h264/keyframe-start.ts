import { NAL_FU_A, NAL_IDR, NAL_SPS, NAL_STAP_A } from './nal.ts';

/**
 * Whether the RTP payload in `packet[start..end)` belongs to the beginning of a keyframe: SPS, or the first slice of an IDR,
 * alone, aggregated or fragmented (RFC 6184 §5.2). Several packets of one keyframe may say so (SPS, then IDR): the first of
 * them with a new RTP timestamp is where it begins.
 */
export function isH264KeyframeStart(packet: Buffer, start: number, end: number): boolean {
  if (end - start < 2) return false;
  const type = packet[start]! & 0x1f;
  if (type === NAL_FU_A) {
    const fuHeader = packet[start + 1]!;
    return (fuHeader & 0x80) !== 0 && isStart(fuHeader & 0x1f, packet, start + 2, end);
  }
  if (type !== NAL_STAP_A) return isStart(type, packet, start + 1, end);
  let at = start + 1;
  while (at + 3 <= end) {
    const next = at + 2 + packet.readUInt16BE(at);
    if (next > end) return false;
    if (isStart(packet[at + 2]! & 0x1f, packet, at + 3, next)) return true;
    at = next;
  }
  return false;
}

function isStart(type: number, packet: Buffer, bodyAt: number, end: number): boolean {
  if (type === NAL_SPS) return true;
  // The first bit of a slice header is 1 exactly when first_mb_in_slice is 0 (ITU-T H.264 §7.3.3).
  return type === NAL_IDR && bodyAt < end && (packet[bodyAt]! & 0x80) !== 0;
}
