import { NAL_PPS, NAL_SPS, annexBNals, joinAvcc, nalType } from '../../protocol/h264/nal.ts';
import { buildAvcConfiguration } from '../../protocol/h264/avc-configuration.ts';

export function aacSequenceHeader(audioSpecificConfig: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xaf, 0]), audioSpecificConfig]);
}

export function aacFrame(frame: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xaf, 1]), frame]);
}

export function avcSequenceHeader(sps: readonly Buffer[], pps: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0x17, 0, 0, 0, 0]), buildAvcConfiguration(sps, pps)]);
}

export function avcFrame(annexB: Buffer, isKeyframe: boolean, compositionTimeMs: number): Buffer {
  const head = Buffer.from([isKeyframe ? 0x17 : 0x27, 1, 0, 0, 0]);
  head.writeIntBE(compositionTimeMs, 2, 3);
  return Buffer.concat([head, joinAvcc(annexBNals(annexB))]);
}

export function parameterSetsOf(annexB: Buffer): { sps: Buffer[]; pps: Buffer[] } {
  const nals = annexBNals(annexB);
  return {
    sps: nals.filter((nal) => nalType(nal) === NAL_SPS),
    pps: nals.filter((nal) => nalType(nal) === NAL_PPS),
  };
}
