import {
  rtpPayloadEnd,
  rtpPayloadOffset,
  setRtpPayloadType,
  setRtpSequence,
  setRtpSsrc,
} from '../../protocol/rtp/packet.ts';

/** Original sequence number in front of the retransmitted payload (RFC 4588 §4). */
const OSN_BYTES = 2;

/**
 * Turns a retransmission into the packet it repeats, in place: the header moves up over the original sequence number.
 * `undefined` for what repeats nothing: malformed packets and the padding that senders use as probes on the RTX stream.
 */
export function unwrapRtx(packet: Buffer, mediaSsrc: number, mediaPayloadType: number): Buffer | undefined {
  const headerBytes = rtpPayloadOffset(packet);
  if (headerBytes < 0 || rtpPayloadEnd(packet) - headerBytes < OSN_BYTES) return undefined;
  const sequence = packet.readUInt16BE(headerBytes);
  packet.copyWithin(OSN_BYTES, 0, headerBytes);
  const original = packet.subarray(OSN_BYTES);
  setRtpSequence(original, sequence);
  setRtpSsrc(original, mediaSsrc);
  setRtpPayloadType(original, mediaPayloadType);
  return original;
}

export interface RtxStream {
  readonly ssrc: number;
  readonly payloadType: number;
  /** Sequence number of this packet on the RTX stream. */
  readonly sequence: number;
  /** Sequence number under which the receiver knows the original. */
  readonly originalSequence: number;
}

/**
 * Writes the retransmission of `original` to `target` and returns its length, which is two bytes more than the original's;
 * -1 when the original is malformed or `target` is too small.
 */
export function writeRtx(original: Buffer, target: Buffer, rtx: RtxStream): number {
  const headerBytes = rtpPayloadOffset(original);
  if (headerBytes < 0 || original.length + OSN_BYTES > target.length) return -1;
  original.copy(target, 0, 0, headerBytes);
  target.writeUInt16BE(rtx.originalSequence & 0xffff, headerBytes);
  original.copy(target, headerBytes + OSN_BYTES, headerBytes);
  setRtpPayloadType(target, rtx.payloadType);
  setRtpSequence(target, rtx.sequence);
  setRtpSsrc(target, rtx.ssrc);
  return original.length + OSN_BYTES;
}
