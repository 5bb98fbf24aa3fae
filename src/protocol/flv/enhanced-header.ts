/** Packet types of Enhanced RTMP v2; those of video and audio have the same numbers where both have them. */
export const ENHANCED_PACKET = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  /** Video: coded frames without a composition time. */
  codedFramesX: 3,
} as const;

const MOD_EX = 7;
const FOUR_CC_BYTES = 4;
const SIZE_BYTES = 3;
const ONE_TRACK = 0;
const MANY_TRACKS_MANY_CODECS = 2;

/** What an extended tag header says: the kind of packet, its codec, and its data. */
export interface EnhancedPacket {
  readonly packetType: number;
  readonly fourCc: string;
  readonly data: Buffer;
}

/**
 * Reads an extended tag header (Enhanced RTMP v2, "Extended VideoTagHeader" and "Extended AudioTagHeader"). Modifiers are
 * passed over. Of several tracks, track 0 is taken. `undefined` where there is no such track, where the header is of a form that
 * nobody has defined, or cut off: what is not understood is ignored (reference/rtmp.md §2.6).
 */
export function readEnhancedPacket(body: Buffer, multitrackType: number): EnhancedPacket | undefined {
  let packetType = body[0]! & 0x0f;
  let at = 1;
  while (packetType === MOD_EX) {
    if (at + 3 > body.length) return undefined;
    let dataBytes = body[at]! + 1;
    at += 1;
    if (dataBytes === 256) {
      dataBytes = body.readUInt16BE(at) + 1;
      at += 2;
    }
    at += dataBytes;
    if (at >= body.length) return undefined;
    packetType = body[at]! & 0x0f;
    at += 1;
  }
  if (packetType === multitrackType) return firstTrack(body, at, multitrackType);
  const dataAt = at + FOUR_CC_BYTES;
  if (dataAt > body.length) return undefined;
  return { packetType, fourCc: body.toString('latin1', at, dataAt), data: body.subarray(dataAt) };
}

function firstTrack(body: Buffer, headerAt: number, multitrackType: number): EnhancedPacket | undefined {
  let at = headerAt;
  if (at >= body.length) return undefined;
  const tracksType = body[at]! >> 4;
  const packetType = body[at]! & 0x0f;
  at += 1;
  if (tracksType > MANY_TRACKS_MANY_CODECS || packetType === multitrackType || packetType === MOD_EX) return undefined;
  let fourCc = '';
  const readFourCc = (): void => {
    fourCc = body.toString('latin1', at, at + FOUR_CC_BYTES);
    at += FOUR_CC_BYTES;
  };
  if (tracksType !== MANY_TRACKS_MANY_CODECS) readFourCc();
  while (at < body.length) {
    if (tracksType === MANY_TRACKS_MANY_CODECS) readFourCc();
    if (at >= body.length) return undefined;
    const trackId = body[at]!;
    at += 1;
    let dataBytes = body.length - at;
    if (tracksType !== ONE_TRACK) {
      if (at + SIZE_BYTES > body.length) return undefined;
      dataBytes = body.readUIntBE(at, SIZE_BYTES);
      at += SIZE_BYTES;
    }
    if (at + dataBytes > body.length) return undefined;
    if (trackId === 0) return { packetType, fourCc, data: body.subarray(at, at + dataBytes) };
    if (tracksType === ONE_TRACK) return undefined;
    at += dataBytes;
  }
  return undefined;
}
