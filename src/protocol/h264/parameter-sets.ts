import { ProtocolError } from '../../domain/errors.ts';
import { BitReader } from './bit-reader.ts';
import { NAL_PPS, NAL_SPS, START_CODE, nalType } from './nal.ts';
import { parseSps } from './sps.ts';
import type { SequenceParameterSet } from './sps.ts';

/** Real sets have some ten bytes, or some hundred with scaling lists. */
const MAX_SET_BYTES = 4096;
/** All sets of a stream: they stand in front of every keyframe, so 256 large ones would make each frame a megabyte larger. */
const MAX_TOTAL_BYTES = 16 * 1024;
const MAX_PPS_ID = 255;

interface StoredPps {
  readonly nal: Buffer;
  readonly spsId: number;
}

/** The parameter sets of one stream by id, because a sender may give them once and in packets of their own. */
export class ParameterSets {
  readonly #spss = new Map<number, { readonly nal: Buffer; readonly parsed: SequenceParameterSet }>();
  readonly #ppss = new Map<number, StoredPps>();
  #totalBytes = 0;
  #prefix: Buffer | undefined;

  /**
   * Remembers a copy of an SPS or PPS; other NAL units are ignored. True when it is new or differs from what was known.
   * Throws `H264_SPS`, `H264_PPS` or `H264_BITS`, also where all sets together become too large; what was known stays.
   */
  remember(nal: Buffer): boolean {
    const type = nalType(nal);
    if (type !== NAL_SPS && type !== NAL_PPS) return false;
    if (nal.length > MAX_SET_BYTES) {
      throw new ProtocolError(type === NAL_SPS ? 'H264_SPS' : 'H264_PPS', `parameter set of ${nal.length} bytes`);
    }
    const isNew = type === NAL_SPS ? this.#rememberSps(nal) : this.#rememberPps(nal);
    if (isNew) this.#prefix = undefined;
    return isNew;
  }

  /** All SPS, then all PPS, each with a four-byte start code; `undefined` while one of the two is missing. */
  annexB(): Buffer | undefined {
    if (this.#spss.size === 0 || this.#ppss.size === 0) return undefined;
    this.#prefix ??= Buffer.concat(
      [...this.#spss.values(), ...this.#ppss.values()].flatMap(({ nal }) => [START_CODE, nal]),
    );
    return this.#prefix;
  }

  /** The SPS that a slice NAL unit refers to by way of its PPS (§7.3.3); `undefined` when one of them is unknown. */
  spsOfSlice(slice: Buffer): SequenceParameterSet | undefined {
    const bits = new BitReader(slice, 1);
    bits.ue(); // first_mb_in_slice
    bits.ue(); // slice_type
    const pps = this.#ppss.get(bits.ue());
    return pps === undefined ? undefined : this.#spss.get(pps.spsId)?.parsed;
  }

  #rememberSps(nal: Buffer): boolean {
    const parsed = parseSps(nal);
    const known = this.#spss.get(parsed.id)?.nal;
    if (known?.equals(nal) === true) return false;
    this.#reserve(nal, known, 'H264_SPS');
    this.#spss.set(parsed.id, { nal: Buffer.from(nal), parsed });
    return true;
  }

  #rememberPps(nal: Buffer): boolean {
    const bits = new BitReader(nal, 1);
    const id = bits.ue();
    const spsId = bits.ue();
    if (id > MAX_PPS_ID) throw new ProtocolError('H264_PPS', `pic_parameter_set_id ${id} is above ${MAX_PPS_ID}`);
    const known = this.#ppss.get(id)?.nal;
    if (known?.equals(nal) === true) return false;
    this.#reserve(nal, known, 'H264_PPS');
    this.#ppss.set(id, { nal: Buffer.from(nal), spsId });
    return true;
  }

  #reserve(nal: Buffer, replaced: Buffer | undefined, code: string): void {
    const totalBytes = this.#totalBytes + nal.length - (replaced?.length ?? 0);
    if (totalBytes > MAX_TOTAL_BYTES) throw new ProtocolError(code, `parameter sets of ${totalBytes} bytes`);
    this.#totalBytes = totalBytes;
  }
}

/** The NAL units of an SDP `sprop-parameter-sets` value (RFC 6184 §8.1): base64, separated by commas. */
export function parseSpropParameterSets(value: string): Buffer[] {
  return value
    .split(',')
    .map((set) => Buffer.from(set, 'base64'))
    .filter((set) => set.length > 0);
}
