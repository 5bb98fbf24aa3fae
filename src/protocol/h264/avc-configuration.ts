import { ProtocolError } from '../../domain/errors.ts';
import { parseSps } from './sps.ts';

/** AVCDecoderConfigurationRecord, "avcC" (ISO/IEC 14496-15 §5.3.3.1). */
export interface AvcConfiguration {
  readonly profileIdc: number;
  readonly constraintFlags: number;
  readonly levelIdc: number;
  /** 1 to 4. */
  readonly nalLengthBytes: number;
  readonly spss: readonly Buffer[];
  readonly ppss: readonly Buffer[];
}

const MAX_SPS_COUNT = 31;
const MAX_PPS_COUNT = 255;
/** Profiles whose record ends in chroma format and bit depths. */
const EXTENDED_PROFILES = new Set([100, 110, 122, 144, 244]);

/** Throws `H264_AVC_CONFIGURATION` for what is no complete record. The parameter sets are views. */
export function parseAvcConfiguration(record: Buffer): AvcConfiguration {
  if (record.length < 7 || record[0] !== 1) malformed('no version 1 record');
  const { sets: spss, end } = readSets(record, 6, record[5]! & 0x1f);
  if (end >= record.length) malformed('no PPS count');
  const { sets: ppss } = readSets(record, end + 1, record[end]!);
  return {
    profileIdc: record[1]!,
    constraintFlags: record[2]!,
    levelIdc: record[3]!,
    nalLengthBytes: (record[4]! & 0x03) + 1,
    spss,
    ppss,
  };
}

/** The record for four-byte lengths. Profile and level are those of the first SPS; throws as `parseSps`. */
export function buildAvcConfiguration(spss: readonly Buffer[], ppss: readonly Buffer[]): Buffer {
  if (spss.length === 0 || spss.length > MAX_SPS_COUNT || ppss.length > MAX_PPS_COUNT) {
    malformed(`${spss.length} SPS and ${ppss.length} PPS`);
  }
  const sps = parseSps(spss[0]!);
  const parts = [
    Buffer.from([1, sps.profileIdc, sps.constraintFlags, sps.levelIdc, 0xff, 0xe0 | spss.length]),
    ...spss.flatMap(withLength),
    Buffer.from([ppss.length]),
    ...ppss.flatMap(withLength),
  ];
  if (EXTENDED_PROFILES.has(sps.profileIdc)) {
    parts.push(
      Buffer.from([0xfc | sps.chromaFormatIdc, 0xf8 | (sps.bitDepthLuma - 8), 0xf8 | (sps.bitDepthChroma - 8), 0]),
    );
  }
  return Buffer.concat(parts);
}

function readSets(record: Buffer, start: number, count: number): { sets: Buffer[]; end: number } {
  const sets: Buffer[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const dataAt = at + 2;
    if (dataAt > record.length) malformed('parameter set without length');
    at = dataAt + record.readUInt16BE(dataAt - 2);
    if (at > record.length) malformed('parameter set ends outside of the record');
    sets.push(record.subarray(dataAt, at));
  }
  return { sets, end: at };
}

function withLength(set: Buffer): Buffer[] {
  if (set.length > 0xffff) malformed(`parameter set of ${set.length} bytes`);
  return [Buffer.from([set.length >> 8, set.length & 0xff]), set];
}

function malformed(what: string): never {
  throw new ProtocolError('H264_AVC_CONFIGURATION', `avcC: ${what}`);
}
