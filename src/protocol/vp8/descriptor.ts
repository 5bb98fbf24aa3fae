/** Bits of a VP8 payload descriptor (RFC 7741 §4.2). */
const EXTENDED = 0x80;
const START_OF_PARTITION = 0x10;
const PARTITION_MASK = 0x0f;
const HAS_PICTURE_ID = 0x80;
const HAS_TL0_PICTURE_INDEX = 0x40;
const HAS_TEMPORAL_ID_OR_KEY_INDEX = 0x30;
const LONG_PICTURE_ID = 0x80;

/** Frame tag, start code and size of a keyframe (RFC 6386 §9.1). */
const KEYFRAME_HEADER_BYTES = 10;
const START_CODE = 0x9d012a;

/** Where the VP8 data begins in the RTP payload `packet[start..end)`; -1 when the descriptor leaves none or is cut. */
export function vp8DataOffset(packet: Buffer, start: number, end: number): number {
  if (start >= end) return -1;
  let at = start + 1;
  if ((packet[start]! & EXTENDED) !== 0) {
    if (at >= end) return -1;
    const extension = packet[at++]!;
    if ((extension & HAS_PICTURE_ID) !== 0) {
      if (at >= end) return -1;
      at += (packet[at]! & LONG_PICTURE_ID) === 0 ? 1 : 2;
    }
    if ((extension & HAS_TL0_PICTURE_INDEX) !== 0) at += 1;
    if ((extension & HAS_TEMPORAL_ID_OR_KEY_INDEX) !== 0) at += 1;
  }
  return at < end ? at : -1;
}

/** Whether the payload begins a frame: the start of partition 0 (RFC 7741 §4.2). */
export function isVp8FrameStart(packet: Buffer, start: number): boolean {
  return (packet[start]! & START_OF_PARTITION) !== 0 && (packet[start]! & PARTITION_MASK) === 0;
}

/** Whether the RTP payload in `packet[start..end)` begins a keyframe. */
export function isVp8KeyframeStart(packet: Buffer, start: number, end: number): boolean {
  const dataAt = vp8DataOffset(packet, start, end);
  return dataAt >= 0 && isVp8FrameStart(packet, start) && (packet[dataAt]! & 0x01) === 0;
}

/** Size of the picture from the beginning of a keyframe; `undefined` for other frames and damaged keyframes. */
export function vp8KeyframeSize(frame: Buffer): { width: number; height: number } | undefined {
  if (frame.length < KEYFRAME_HEADER_BYTES || (frame[0]! & 0x01) !== 0) return undefined;
  if (frame.readUIntBE(3, 3) !== START_CODE) return undefined;
  const width = frame.readUInt16LE(6) & 0x3fff;
  const height = frame.readUInt16LE(8) & 0x3fff;
  return width === 0 || height === 0 ? undefined : { width, height };
}
