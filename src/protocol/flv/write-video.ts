import { buildAvcConfiguration } from '../h264/avc-configuration.ts';
import { annexBNals } from '../h264/nal.ts';

const KEYFRAME_AVC = 0x17;
const INTER_FRAME_AVC = 0x27;
const PACKET_FRAME = 1;
const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;
const MAX_COMPOSITION_MS = 0x7fffff;
const SEQUENCE_HEADER = Buffer.from([KEYFRAME_AVC, 0, 0, 0, 0]);

/**
 * The body that announces H.264 (Adobe FLV v10.1 §E.4.3.2): before the first frame and whenever the sets change.
 *
 * @throws {ProtocolError} H264_AVC_CONFIGURATION, H264_SPS, H264_BITS
 */
export function avcSequenceHeader(spss: readonly Buffer[], ppss: readonly Buffer[]): Buffer {
  return Buffer.concat([SEQUENCE_HEADER, buildAvcConfiguration(spss, ppss)]);
}

/**
 * The body of one access unit of Annex-B, in parts that are views of it where they are not headers: start codes become
 * four-byte lengths, parameter sets stay in-band (reference/rtmp.md §2.4). Concatenated, or chunked by
 * `ChunkWriter.encodeParts`, they have been copied once. `compositionTimeMs` is PTS − DTS.
 */
export function avcFrame(annexB: Buffer, isKeyframe: boolean, compositionTimeMs: number): Buffer[] {
  const nals = annexBNals(annexB);
  const headers = Buffer.allocUnsafe(HEADER_BYTES + LENGTH_BYTES * nals.length);
  headers[0] = isKeyframe ? KEYFRAME_AVC : INTER_FRAME_AVC;
  headers[1] = PACKET_FRAME;
  headers.writeIntBE(Math.max(-MAX_COMPOSITION_MS, Math.min(MAX_COMPOSITION_MS, compositionTimeMs)), 2, 3);
  const parts: Buffer[] = [];
  let from = 0;
  let at = HEADER_BYTES;
  for (const nal of nals) {
    at = headers.writeUInt32BE(nal.length, at);
    parts.push(headers.subarray(from, at), nal);
    from = at;
  }
  return parts.length > 0 ? parts : [headers];
}
