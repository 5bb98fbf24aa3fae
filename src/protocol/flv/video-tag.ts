import { ProtocolError } from '../../domain/errors.ts';
import { type AvcConfiguration, parseAvcConfiguration } from '../h264/avc-configuration.ts';
import { videoCodecName } from './codec-names.ts';
import { ENHANCED_PACKET, readEnhancedPacket } from './enhanced-header.ts';

/**
 * What the body of a video tag says (Adobe FLV v10.1 §E.4.3, Enhanced RTMP v2). `avcc` holds NAL units behind length fields.
 * `other` is video of a codec that is not read, with its name; `nothing` carries no video.
 */
export type FlvVideo =
  | { readonly kind: 'avc-config'; readonly configuration: AvcConfiguration }
  | {
      readonly kind: 'avc-frame';
      readonly isKeyframe: boolean;
      readonly compositionTimeMs: number;
      readonly avcc: Buffer;
    }
  | { readonly kind: 'avc-end' }
  | { readonly kind: 'other'; readonly codec: string }
  | { readonly kind: 'nothing' };

const CODEC_AVC = 7;
const FOUR_CC_AVC = 'avc1';
const FRAME_TYPE_KEY = 1;
/** A command of the sender's to the player, such as the start of seeking. */
const FRAME_TYPE_COMMAND = 5;
const EXTENDED_HEADER = 0x80;
const ENHANCED_MULTITRACK = 6;
const COMPOSITION_TIME_BYTES = 3;

/** Throws FLV_VIDEO_TRUNCATED and H264_AVC_CONFIGURATION. An empty AVC configuration, of encoders whose sets are in-band, carries nothing. */
export function parseFlvVideo(body: Buffer): FlvVideo {
  const first = body[0];
  if (first === undefined) throw new ProtocolError('FLV_VIDEO_TRUNCATED', 'a video tag is empty');
  if (((first >> 4) & 7) === FRAME_TYPE_COMMAND) return { kind: 'nothing' };
  if ((first & EXTENDED_HEADER) !== 0) return parseEnhancedVideo(body);
  const codecId = first & 15;
  if (codecId !== CODEC_AVC) return { kind: 'other', codec: videoCodecName(codecId) };
  if (body.length < 5) throw new ProtocolError('FLV_VIDEO_TRUNCATED', 'an AVC tag has no header');
  const data = body.subarray(5);
  if (body[1] === 0) return avcConfig(data);
  if (body[1] === 2) return { kind: 'avc-end' };
  const isKeyframe = first >> 4 === FRAME_TYPE_KEY;
  return { kind: 'avc-frame', isKeyframe, compositionTimeMs: body.readIntBE(2, COMPOSITION_TIME_BYTES), avcc: data };
}

function parseEnhancedVideo(body: Buffer): FlvVideo {
  const packet = readEnhancedPacket(body, ENHANCED_MULTITRACK);
  if (!packet || packet.packetType > ENHANCED_PACKET.codedFramesX) return { kind: 'nothing' };
  const { packetType, fourCc, data } = packet;
  if (fourCc !== FOUR_CC_AVC) return { kind: 'other', codec: videoCodecName(fourCc) };
  const isKeyframe = ((body[0]! >> 4) & 7) === FRAME_TYPE_KEY;
  switch (packetType) {
    case ENHANCED_PACKET.sequenceStart:
      return avcConfig(data);
    case ENHANCED_PACKET.sequenceEnd:
      return { kind: 'avc-end' };
    case ENHANCED_PACKET.codedFramesX:
      return { kind: 'avc-frame', isKeyframe, compositionTimeMs: 0, avcc: data };
    default: {
      if (data.length < COMPOSITION_TIME_BYTES) {
        throw new ProtocolError('FLV_VIDEO_TRUNCATED', 'coded frames of AVC have no composition time');
      }
      const avcc = data.subarray(COMPOSITION_TIME_BYTES);
      return { kind: 'avc-frame', isKeyframe, compositionTimeMs: data.readIntBE(0, COMPOSITION_TIME_BYTES), avcc };
    }
  }
}

function avcConfig(record: Buffer): FlvVideo {
  if (record.length === 0) return { kind: 'nothing' };
  return { kind: 'avc-config', configuration: parseAvcConfiguration(record) };
}
