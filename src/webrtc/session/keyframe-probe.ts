import { ProtocolError } from '../../domain/errors.ts';
import type { VideoCodec } from '../../domain/media.ts';
import { isH264KeyframeStart } from '../../protocol/h264/keyframe-start.ts';
import { NAL_SPS, NAL_STAP_A } from '../../protocol/h264/nal.ts';
import { parseSps } from '../../protocol/h264/sps.ts';
import { isVp8KeyframeStart, vp8DataOffset, vp8KeyframeSize } from '../../protocol/vp8/descriptor.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Looks into single RTP payloads, whether or not anybody needs whole frames. */
export interface KeyframeProbe {
  startsKeyframe(packet: Buffer, start: number, end: number): boolean;
  /** The picture's size where this payload says it; `undefined` where it does not or did so already with the same bytes. */
  sizeOf(packet: Buffer, start: number, end: number): PictureSize | undefined;
}

export function keyframeProbe(codec: VideoCodec): KeyframeProbe {
  return codec === 'h264' ? new H264Probe() : vp8Probe;
}

const vp8Probe: KeyframeProbe = {
  startsKeyframe: isVp8KeyframeStart,
  sizeOf(packet, start, end) {
    if (!isVp8KeyframeStart(packet, start, end)) return undefined;
    return vp8KeyframeSize(packet.subarray(vp8DataOffset(packet, start, end), end));
  },
};

class H264Probe implements KeyframeProbe {
  #lastSps: Buffer = Buffer.alloc(0);

  startsKeyframe(packet: Buffer, start: number, end: number): boolean {
    return isH264KeyframeStart(packet, start, end);
  }

  sizeOf(packet: Buffer, start: number, end: number): PictureSize | undefined {
    const sps = findSps(packet, start, end);
    if (!sps || sps.equals(this.#lastSps)) return undefined;
    this.#lastSps = Buffer.from(sps);
    return readSize(sps);
  }
}

/** An SPS that cannot be read says nothing; the packet is forwarded all the same. */
function readSize(sps: Buffer): PictureSize | undefined {
  try {
    const { width, height } = parseSps(sps);
    return { width, height };
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** RFC 6184 §5.6 and §5.7.1; an SPS is too small to be fragmented. */
function findSps(packet: Buffer, start: number, end: number): Buffer | undefined {
  const type = packet[start]! & 0x1f;
  if (type === NAL_SPS) return packet.subarray(start, end);
  if (type !== NAL_STAP_A) return undefined;
  let at = start + 1;
  while (at + 3 <= end) {
    const next = at + 2 + packet.readUInt16BE(at);
    if (next > end) return undefined;
    if ((packet[at + 2]! & 0x1f) === NAL_SPS) return packet.subarray(at + 2, next);
    at = next;
  }
  return undefined;
}
