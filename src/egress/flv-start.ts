import { ProtocolError } from '../domain/errors.ts';
import { decodeAmf0 } from '../protocol/amf0/decode.ts';
import { amfProperties } from '../protocol/amf0/values.ts';
import { MESSAGE_TYPE } from '../protocol/rtmp/raw-message.ts';
import type { RawMessage } from '../protocol/rtmp/raw-message.ts';

const KEYFRAME = 1;
const AVC = 7;
const AAC = 10;
const SEQUENCE_HEADER = 0;
const CODED_FRAMES = 1;
const CODED_FRAMES_X = 3;

export interface Metadata {
  readonly declaresVideo: boolean;
}

/** Whether a video message holds a keyframe and not only a decoder configuration (FLV §E.4.3, Enhanced RTMP v2 §video). */
export function isVideoKeyframe(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  const head = payload[0]!;
  if ((head & 0x80) !== 0) {
    const packetType = head & 0x0f;
    return ((head >> 4) & 0x07) === KEYFRAME && (packetType === CODED_FRAMES || packetType === CODED_FRAMES_X);
  }
  if (head >> 4 !== KEYFRAME) return false;
  return (head & 0x0f) !== AVC || payload[1] === CODED_FRAMES;
}

/** Whether an audio message holds sound and not only a decoder configuration (FLV §E.4.2). */
export function isAudioFrame(payload: Buffer): boolean {
  if (payload.length < 2) return false;
  return payload[0]! >> 4 !== AAC || payload[1] !== SEQUENCE_HEADER;
}

/** What `@setDataFrame onMetaData` (or bare `onMetaData`) says; undefined for any other message. */
export function parseMetadata({ typeId, payload }: RawMessage): Metadata | undefined {
  const amf = typeId === MESSAGE_TYPE.dataAmf3 && payload[0] === 0 ? payload.subarray(1) : payload;
  try {
    const values = decodeAmf0(amf);
    if (values[0] === '@setDataFrame') values.shift();
    if (values[0] !== 'onMetaData') return undefined;
    return { declaresVideo: amfProperties(values[1])?.['videocodecid'] !== undefined };
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
