import { ProtocolError } from '../../domain/errors.ts';

/** NAL unit types (ITU-T H.264 table 7-1) and the aggregation types of RTP (RFC 6184 §5.2). */
export const NAL_SLICE = 1;
export const NAL_IDR = 5;
export const NAL_SPS = 7;
export const NAL_PPS = 8;
export const NAL_AUD = 9;
export const NAL_FILLER = 12;
export const NAL_STAP_A = 24;
export const NAL_FU_A = 28;

export const START_CODE = Buffer.from([0, 0, 0, 1]);
export const SHORT_START_CODE = Buffer.from([0, 0, 1]);

/**
 * No encoder makes more of one picture, which of 4K in slices for single packets are some 2,000. Taking apart what has millions of tiny
 * ones would stop the process for seconds and fill its memory.
 */
export const MAX_NALS = 4096;

/** The type in the NAL unit's first byte; 0 for an empty buffer. */
export function nalType(nal: Buffer): number {
  return (nal[0] ?? 0) & 0x1f;
}

/** Types 9 to 12, which are delimiters, ends of sequence and stream, and filler: they carry no picture, and decoders and containers do without them. */
export function isDispensableNal(type: number): boolean {
  return type >= NAL_AUD && type <= NAL_FILLER;
}

/**
 * The NAL units of an Annex-B byte stream (ITU-T H.264 annex B), as views without start codes and trailing zeros. Bytes
 * before the first start code are skipped, empty NAL units too.
 */
export function annexBNals(stream: Buffer): Buffer[] {
  const nals: Buffer[] = [];
  let codeAt = stream.indexOf(SHORT_START_CODE);
  while (codeAt >= 0) {
    const start = codeAt + SHORT_START_CODE.length;
    codeAt = stream.indexOf(SHORT_START_CODE, start);
    let end = codeAt < 0 ? stream.length : codeAt;
    // A NAL unit never ends in a zero byte: these are trailing zeros or the first byte of a long start code.
    while (end > start && stream[end - 1] === 0) end--;
    if (end > start) nals.push(stream.subarray(start, end));
  }
  return nals;
}

/**
 * The NAL units of an access unit with length prefixes (ISO/IEC 14496-15 §5.3.4.2), as views; empty ones are skipped.
 * Throws `H264_NAL_LENGTH` when a length leads out of the unit, and `H264_NAL_COUNT` when there are more than `MAX_NALS`.
 */
export function avccNals(accessUnit: Buffer, nalLengthBytes: number): Buffer[] {
  const nals: Buffer[] = [];
  let at = 0;
  while (at < accessUnit.length) {
    const start = at + nalLengthBytes;
    const end = start > accessUnit.length ? Infinity : start + accessUnit.readUIntBE(at, nalLengthBytes);
    if (end > accessUnit.length) {
      throw new ProtocolError('H264_NAL_LENGTH', `NAL unit at byte ${at} ends outside of its access unit`);
    }
    if (end > start) nals.push(accessUnit.subarray(start, end));
    if (nals.length > MAX_NALS) throw tooManyNals();
    at = end;
  }
  return nals;
}

/** To be asked of what comes from outside before it is taken apart: a NAL unit of any length may hide start codes. Throws `H264_NAL_COUNT`. */
export function requireFewNals(annexB: Buffer): void {
  let count = 0;
  for (let at = annexB.indexOf(SHORT_START_CODE); at >= 0; at = annexB.indexOf(SHORT_START_CODE, at + 3)) {
    if (++count > MAX_NALS) throw tooManyNals();
  }
}

function tooManyNals(): ProtocolError {
  return new ProtocolError('H264_NAL_COUNT', `a picture has more than ${MAX_NALS} NAL units`);
}

/** NAL units with four-byte start codes. */
export function joinAnnexB(nals: readonly Buffer[]): Buffer {
  return Buffer.concat(nals.flatMap((nal) => [START_CODE, nal]));
}

/** Lengths to four-byte start codes, behind `prefix`, in one copy; throws `H264_NAL_LENGTH`. */
export function avccToAnnexB(accessUnit: Buffer, nalLengthBytes: number, prefix?: Buffer): Buffer {
  const nals = avccNals(accessUnit, nalLengthBytes).flatMap((nal) => [START_CODE, nal]);
  return Buffer.concat(prefix ? [prefix, ...nals] : nals);
}
