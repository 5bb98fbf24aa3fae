import { BitReader } from '../../protocol/h264/bit-reader.ts';
import {
  NAL_IDR,
  NAL_PPS,
  NAL_SLICE,
  NAL_SPS,
  START_CODE,
  isDispensableNal,
  nalType,
  requireFewNals,
} from '../../protocol/h264/nal.ts';
import { ParameterSets } from '../../protocol/h264/parameter-sets.ts';
import type { SequenceParameterSet } from '../../protocol/h264/sps.ts';

/** One access unit as the hub takes it: Annex-B, with SPS and PPS in front of every keyframe. A copy. */
export interface AccessUnit {
  readonly isKeyframe: boolean;
  readonly sps: SequenceParameterSet;
  readonly data: Buffer;
}

/** Makes Annex-B access units of the NAL units of one publisher. What precedes the first keyframe is dropped. */
export class AvcInput {
  #sets = new ParameterSets();
  /** Of the last keyframe; undefined before it, and where its sets are not known. */
  #sps: SequenceParameterSet | undefined;

  /** Replaces all parameter sets by those of a new configuration. Throws H264_SPS, H264_PPS and H264_BITS. */
  configure(parameterSets: readonly Buffer[]): void {
    const sets = new ParameterSets();
    for (const set of parameterSets) sets.remember(set);
    this.#sets = sets;
  }

  /**
   * The access unit of these NAL units, which are views; undefined where they hold no picture or none that can be decoded.
   * Throws H264_NAL_COUNT. `isMarkedKey` is what the sender says of it: an I-picture that is no IDR counts as a keyframe where it says so.
   */
  accessUnit(nals: readonly Buffer[], isMarkedKey: boolean): AccessUnit | undefined {
    const kept: Buffer[] = [];
    let slice: Buffer | undefined;
    let hasNewSets = false;
    for (const nal of nals) {
      const type = nalType(nal);
      if (type === NAL_SPS || type === NAL_PPS) hasNewSets = this.#sets.remember(nal) || hasNewSets;
      else if (!isDispensableNal(type)) kept.push(START_CODE, nal);
      if (type >= NAL_SLICE && type <= NAL_IDR) slice ??= nal;
    }
    if (slice === undefined) return undefined;
    const isKeyframe = nalType(slice) === NAL_IDR || (isMarkedKey && isIntra(slice));
    if (isKeyframe) this.#sps = this.#sets.spsOfSlice(slice);
    if (this.#sps === undefined) return undefined;
    const prefix = isKeyframe || hasNewSets ? this.#sets.annexB() : undefined;
    const data = Buffer.concat(prefix === undefined ? kept : [prefix, ...kept]);
    requireFewNals(data);
    return { isKeyframe, sps: this.#sps, data };
  }
}

/** slice_type 2, 4, 7 and 9 are I and SI (ITU-T H.264 table 7-6). */
function isIntra(slice: Buffer): boolean {
  const bits = new BitReader(slice, 1);
  bits.ue(); // first_mb_in_slice
  const type = bits.ue() % 5;
  return type === 2 || type === 4;
}
