import { ProtocolError } from '../../domain/errors.ts';
import { BitReader } from './bit-reader.ts';
import { NAL_SPS, nalType } from './nal.ts';

/** What is used of a sequence parameter set (ITU-T H.264 §7.3.2.1.1). */
export interface SequenceParameterSet {
  readonly id: number;
  readonly profileIdc: number;
  /** The constraint_set flags as one byte, as in `profile-level-id`. */
  readonly constraintFlags: number;
  readonly levelIdc: number;
  readonly chromaFormatIdc: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  /** Pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /**
   * How many pictures may precede one in decoding order and follow it in output order; 0 = no B-frame reordering. From the
   * VUI, else the largest value that the profile and level allow (§E.2.1).
   */
  readonly maxNumReorderFrames: number;
  /** The same, only where the VUI says it. Many encoders without B-frames say nothing. */
  readonly declaredReorderFrames: number | undefined;
  /** Frames only: neither fields nor macroblock pairs of fields (frame_mbs_only_flag). */
  readonly isProgressive: boolean;
}

const MAX_SIDE_PIXELS = 16_384;
const EXTENDED_SAR = 255;
const CONSTRAINT_SET3 = 0x10;

/** Profiles whose SPS has chroma format, bit depths and scaling lists (§7.3.2.1.1). */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
/** Profiles whose constraint_set3 means intra only (§E.2.1). */
const INTRA_PROFILES = new Set([44, 86, 100, 110, 122, 244]);
const BASELINE_PROFILE = 66;

/** MaxDpbMbs by level_idc (table A-1). */
const MAX_DPB_MBS = new Map<number, number>([
  [9, 396],
  [10, 396],
  [11, 900],
  [12, 2376],
  [13, 2376],
  [20, 2376],
  [21, 4752],
  [22, 8100],
  [30, 8100],
  [31, 18_000],
  [32, 20_480],
  [40, 32_768],
  [41, 32_768],
  [42, 34_816],
  [50, 110_400],
  [51, 184_320],
  [52, 184_320],
  [60, 696_320],
  [61, 696_320],
  [62, 696_320],
]);
const MAX_DPB_FRAMES = 16;

/** Parses one SPS NAL unit, header byte included. Throws `H264_SPS` or `H264_BITS`. */
export function parseSps(nal: Buffer): SequenceParameterSet {
  if (nalType(nal) !== NAL_SPS) throw new ProtocolError('H264_SPS', `NAL unit type ${nalType(nal)} is no SPS`);
  const bits = new BitReader(nal, 1);
  const profileIdc = bits.bits(8);
  const constraintFlags = bits.bits(8);
  const levelIdc = bits.bits(8);
  const id = limited(bits.ue(), 31, 'seq_parameter_set_id');
  const format = HIGH_PROFILES.has(profileIdc)
    ? readHighProfileFormat(bits)
    : { chromaFormatIdc: 1, bitDepthLuma: 8, bitDepthChroma: 8, chromaArrayType: 1 };

  limited(bits.ue(), 12, 'log2_max_frame_num_minus4');
  const pocType = limited(bits.ue(), 2, 'pic_order_cnt_type');
  skipPictureOrderCount(bits, pocType);
  limited(bits.ue(), MAX_DPB_FRAMES, 'max_num_ref_frames');
  bits.flag(); // gaps_in_frame_num_value_allowed_flag

  const widthMbs = bits.ue() + 1;
  const heightMapUnits = bits.ue() + 1;
  const frameMbsOnly = bits.bit();
  const heightMbs = (2 - frameMbsOnly) * heightMapUnits;
  if (widthMbs * 16 > MAX_SIDE_PIXELS || heightMbs * 16 > MAX_SIDE_PIXELS) {
    throw new ProtocolError('H264_SPS', `picture of ${widthMbs} by ${heightMbs} macroblocks is too large`);
  }
  if (frameMbsOnly === 0) bits.flag(); // mb_adaptive_frame_field_flag
  bits.flag(); // direct_8x8_inference_flag

  const crop = readCropping(bits, format.chromaArrayType, frameMbsOnly);
  const width = widthMbs * 16 - crop.horizontal;
  const height = heightMbs * 16 - crop.vertical;
  if (width <= 0 || height <= 0) throw new ProtocolError('H264_SPS', 'cropping leaves nothing of the picture');

  const declaredReorderFrames = bits.flag() ? readVuiReorderFrames(bits) : undefined;
  const noReordering =
    pocType === 2 ||
    profileIdc === BASELINE_PROFILE ||
    (INTRA_PROFILES.has(profileIdc) && (constraintFlags & CONSTRAINT_SET3) !== 0);
  return {
    id,
    profileIdc,
    constraintFlags,
    levelIdc,
    chromaFormatIdc: format.chromaFormatIdc,
    bitDepthLuma: format.bitDepthLuma,
    bitDepthChroma: format.bitDepthChroma,
    width,
    height,
    maxNumReorderFrames: declaredReorderFrames ?? (noReordering ? 0 : maxDpbFrames(levelIdc, widthMbs * heightMbs)),
    declaredReorderFrames,
    isProgressive: frameMbsOnly === 1,
  };
}

function limited(value: number, max: number, name: string): number {
  if (value > max) throw new ProtocolError('H264_SPS', `${name} ${value} is above ${max}`);
  return value;
}

function maxDpbFrames(levelIdc: number, frameMbs: number): number {
  const maxMbs = MAX_DPB_MBS.get(levelIdc);
  return maxMbs === undefined ? MAX_DPB_FRAMES : Math.min(MAX_DPB_FRAMES, Math.floor(maxMbs / frameMbs));
}

function readHighProfileFormat(bits: BitReader) {
  const chromaFormatIdc = limited(bits.ue(), 3, 'chroma_format_idc');
  const separatePlanes = chromaFormatIdc === 3 && bits.flag();
  const bitDepthLuma = 8 + limited(bits.ue(), 6, 'bit_depth_luma_minus8');
  const bitDepthChroma = 8 + limited(bits.ue(), 6, 'bit_depth_chroma_minus8');
  bits.flag(); // qpprime_y_zero_transform_bypass_flag
  if (bits.flag()) {
    const listCount = chromaFormatIdc === 3 ? 12 : 8;
    for (let i = 0; i < listCount; i++) {
      if (bits.flag()) skipScalingList(bits, i < 6 ? 16 : 64);
    }
  }
  return { chromaFormatIdc, bitDepthLuma, bitDepthChroma, chromaArrayType: separatePlanes ? 0 : chromaFormatIdc };
}

/** §7.3.2.1.1.1. */
function skipScalingList(bits: BitReader, size: number): void {
  let last = 8;
  let next = 8;
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (((last + bits.se()) % 256) + 256) % 256;
    if (next !== 0) last = next;
  }
}

function skipPictureOrderCount(bits: BitReader, pocType: number): void {
  if (pocType === 0) {
    limited(bits.ue(), 12, 'log2_max_pic_order_cnt_lsb_minus4');
  } else if (pocType === 1) {
    bits.flag(); // delta_pic_order_always_zero_flag
    bits.se(); // offset_for_non_ref_pic
    bits.se(); // offset_for_top_to_bottom_field
    const cycleFrames = limited(bits.ue(), 255, 'num_ref_frames_in_pic_order_cnt_cycle');
    for (let i = 0; i < cycleFrames; i++) bits.se();
  }
}

/** Cropped pixels of both sides together (§7.4.2.1.1, equations 7-19 to 7-22). */
function readCropping(bits: BitReader, chromaArrayType: number, frameMbsOnly: number) {
  if (!bits.flag()) return { horizontal: 0, vertical: 0 };
  const left = bits.ue();
  const right = bits.ue();
  const top = bits.ue();
  const bottom = bits.ue();
  const unitX = chromaArrayType === 1 || chromaArrayType === 2 ? 2 : 1;
  const unitY = (chromaArrayType === 1 ? 2 : 1) * (2 - frameMbsOnly);
  return { horizontal: (left + right) * unitX, vertical: (top + bottom) * unitY };
}

/** max_num_reorder_frames, if the VUI has it (§E.1.1). */
function readVuiReorderFrames(bits: BitReader): number | undefined {
  if (bits.flag() && bits.bits(8) === EXTENDED_SAR) bits.bits(32);
  if (bits.flag()) bits.flag(); // overscan
  if (bits.flag()) {
    bits.bits(4); // video_format, video_full_range_flag
    if (bits.flag()) bits.bits(24); // colour description
  }
  if (bits.flag()) {
    bits.ue(); // chroma_sample_loc_type_top_field
    bits.ue(); // chroma_sample_loc_type_bottom_field
  }
  if (bits.flag()) {
    bits.bits(32); // num_units_in_tick
    bits.bits(32); // time_scale
    bits.flag(); // fixed_frame_rate_flag
  }
  const hasNalHrd = bits.flag();
  if (hasNalHrd) skipHrd(bits);
  const hasVclHrd = bits.flag();
  if (hasVclHrd) skipHrd(bits);
  if (hasNalHrd || hasVclHrd) bits.flag(); // low_delay_hrd_flag
  bits.flag(); // pic_struct_present_flag
  if (!bits.flag()) return undefined;
  bits.flag(); // motion_vectors_over_pic_boundaries_flag
  bits.ue(); // max_bytes_per_pic_denom
  bits.ue(); // max_bits_per_mb_denom
  bits.ue(); // log2_max_mv_length_horizontal
  bits.ue(); // log2_max_mv_length_vertical
  return limited(bits.ue(), MAX_DPB_FRAMES, 'max_num_reorder_frames');
}

/** §E.1.2. */
function skipHrd(bits: BitReader): void {
  const schedules = limited(bits.ue(), 31, 'cpb_cnt_minus1') + 1;
  bits.bits(8); // bit_rate_scale, cpb_size_scale
  for (let i = 0; i < schedules; i++) {
    bits.ue(); // bit_rate_value_minus1
    bits.ue(); // cpb_size_value_minus1
    bits.flag(); // cbr_flag
  }
  bits.bits(20); // lengths of delays and time offset
}
