import { AmfEcmaArray, type AmfValue } from '../../../src/protocol/amf0/values.ts';
import { encodeAmf0 } from '../../../src/protocol/amf0/encode.ts';
import { buildAacLcConfig } from '../../../src/protocol/aac/audio-specific-config.ts';
import { buildAvcConfiguration } from '../../../src/protocol/h264/avc-configuration.ts';

/** Made by x264. */
export const SPS_360 = Buffer.from('6742c01fda0280bfe5c044000003000400000300f03c60ca80', 'hex');
export const SPS_1080 = Buffer.from('6742c028da01e0089f970110000003001000000303c0f1832a', 'hex');
export const PPS = Buffer.from('68ce3c80', 'hex');
export const IDR = Buffer.from('6588840a', 'hex');
/** Of a P-picture and of an I-picture that is no IDR: first macroblock 0, slice types 5 and 7, parameter set 0. */
export const P_SLICE = Buffer.from('419a2200', 'hex');
export const I_SLICE = Buffer.from('41888400', 'hex');

export function avcConfig(sps: Buffer = SPS_360): Buffer {
  return Buffer.concat([Buffer.from('1700000000', 'hex'), buildAvcConfiguration([sps], [PPS])]);
}

export function avcFrame(nals: readonly Buffer[], { isKey = false, compositionMs = 0 } = {}): Buffer {
  const head = Buffer.from([isKey ? 0x17 : 0x27, 1, 0, 0, 0]);
  head.writeIntBE(compositionMs, 2, 3);
  return Buffer.concat([head, ...nals.flatMap(withLength)]);
}

function withLength(nal: Buffer): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(nal.length);
  return [length, nal];
}

export function keyframe(): Buffer {
  return avcFrame([IDR], { isKey: true });
}

export function deltaFrame(compositionMs = 0): Buffer {
  return avcFrame([P_SLICE], { compositionMs });
}

export function aacConfig(sampleRateHz = 48_000, channels = 2): Buffer {
  return Buffer.concat([Buffer.from('af00', 'hex'), buildAacLcConfig(sampleRateHz, channels)]);
}

export function aacFrame(fill = 1): Buffer {
  return Buffer.concat([Buffer.from('af01', 'hex'), Buffer.alloc(20, fill)]);
}

export function metadata(properties: Readonly<Record<string, AmfValue>>): Buffer {
  return encodeAmf0(['@setDataFrame', 'onMetaData', new AmfEcmaArray(properties)]);
}
