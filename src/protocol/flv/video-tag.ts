import { ProtocolError } from '../../domain/errors.ts';
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

/** AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1), as far as it is needed to make Annex-B. */
export interface AvcConfiguration {
  readonly profile: number;
  readonly level: number;
  readonly nalLengthBytes: number;
  readonly sps: readonly Buffer[];
  readonly pps: readonly Buffer[];
}

const CODEC_AVC = 7;
const FOUR_CC_AVC = 'avc1';
const FRAME_TYPE_KEY = 1;
/** A command of the sender's to the player, such as the start of seeking. */
const FRAME_TYPE_COMMAND = 5;
const EXTENDED_HEADER = 0x80;
const ENHANCED_MULTITRACK = 6;
const COMPOSITION_TIME_BYTES = 3;
const START_CODE = Buffer.from([0, 0, 0, 1]);

/** Throws FLV_VIDEO_TRUNCATED and AVC_CONFIG. An empty AVC configuration, of encoders whose sets are in-band, carries nothing. */
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

function parseAvcConfiguration(bytes: Buffer): AvcConfiguration {
  if (bytes.length < 7 || bytes[0] !== 1)
    throw new ProtocolError('AVC_CONFIG', 'the AVC configuration record is not valid');
  let offset = 5;
  const takeSets = (count: number): Buffer[] => {
    const sets: Buffer[] = [];
    for (let index = 0; index < count; index++) {
      const end = offset + 2 <= bytes.length ? offset + 2 + bytes.readUInt16BE(offset) : Infinity;
      if (end > bytes.length) throw new ProtocolError('AVC_CONFIG', 'a parameter set is cut off');
      sets.push(bytes.subarray(offset + 2, end));
      offset = end;
    }
    return sets;
  };
  const sps = takeSets(bytes[offset++]! & 31);
  if (offset >= bytes.length) throw new ProtocolError('AVC_CONFIG', 'the number of picture parameter sets is missing');
  const pps = takeSets(bytes[offset++]!);
  return { profile: bytes[1]!, level: bytes[3]!, nalLengthBytes: (bytes[4]! & 3) + 1, sps, pps };
}

/** SPS and PPS as Annex-B, to stand in front of every IDR. */
export function parameterSetsAnnexB(configuration: AvcConfiguration): Buffer {
  return Buffer.concat([...configuration.sps, ...configuration.pps].flatMap((set) => [START_CODE, set]));
}

/** Replaces length fields by four-byte start codes (ISO/IEC 14496-10 Annex B), behind `prefix`. Throws AVC_NAL_LENGTH. */
export function avccToAnnexB(avcc: Buffer, nalLengthBytes: number, prefix?: Buffer): Buffer {
  let total = prefix?.length ?? 0;
  for (let offset = 0; offset < avcc.length;) {
    const nalBytes = nalLength(avcc, offset, nalLengthBytes);
    total += START_CODE.length + nalBytes;
    offset += nalLengthBytes + nalBytes;
  }
  const annexB = Buffer.allocUnsafe(total);
  let written = prefix?.copy(annexB) ?? 0;
  for (let offset = 0; offset < avcc.length;) {
    const nalBytes = nalLength(avcc, offset, nalLengthBytes);
    offset += nalLengthBytes;
    written += START_CODE.copy(annexB, written);
    written += avcc.copy(annexB, written, offset, offset + nalBytes);
    offset += nalBytes;
  }
  return annexB;
}

function nalLength(avcc: Buffer, offset: number, nalLengthBytes: number): number {
  if (offset + nalLengthBytes > avcc.length) throw new ProtocolError('AVC_NAL_LENGTH', 'a NAL length is cut off');
  const length = avcc.readUIntBE(offset, nalLengthBytes);
  if (offset + nalLengthBytes + length > avcc.length)
    throw new ProtocolError('AVC_NAL_LENGTH', 'a NAL unit is cut off');
  return length;
}
