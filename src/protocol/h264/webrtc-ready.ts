import { ProtocolError } from '../../domain/errors.ts';
import { NAL_IDR, NAL_SLICE, NAL_SPS, nalType, SHORT_START_CODE } from './nal.ts';
import { parseSps, type SequenceParameterSet } from './sps.ts';

/** Baseline, main and high (ITU-T H.264 §A.2). */
const BROWSER_PROFILES = new Set([66, 77, 100]);
const YUV_420 = 1;

/**
 * Whether browsers play a stream of this SPS over WebRTC: 8-bit 4:2:0 frames of a common profile in the order of decoding.
 * Their decoders give pictures out as they come, so B-frames would be shown in the wrong order; these are known by a keyframe
 * that is shown later than it is decoded, or by what the SPS declares.
 */
export function isWebrtcReady(sps: SequenceParameterSet, keyframe: { ptsUs: number; dtsUs: number }): boolean {
  return (
    BROWSER_PROFILES.has(sps.profileIdc) &&
    sps.chromaFormatIdc === YUV_420 &&
    sps.bitDepthLuma === 8 &&
    sps.bitDepthChroma === 8 &&
    sps.isProgressive &&
    (sps.declaredReorderFrames ?? 0) === 0 &&
    keyframe.ptsUs <= keyframe.dtsUs
  );
}

/** The same of a keyframe in Annex-B; `undefined` where no SPS precedes its slices, false where that cannot be read. */
export function isWebrtcReadyH264(annexB: Buffer, times: { ptsUs: number; dtsUs: number }): boolean | undefined {
  const sps = leadingSps(annexB);
  if (sps === undefined) return undefined;
  try {
    return isWebrtcReady(parseSps(sps), times);
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

/** Looks no further than the first slice, which is nearly all of a keyframe. */
function leadingSps(annexB: Buffer): Buffer | undefined {
  for (let code = annexB.indexOf(SHORT_START_CODE); code >= 0; code = annexB.indexOf(SHORT_START_CODE, code + 3)) {
    const start = code + SHORT_START_CODE.length;
    const type = nalType(annexB.subarray(start, start + 1));
    if (type >= NAL_SLICE && type <= NAL_IDR) return undefined;
    if (type !== NAL_SPS) continue;
    const end = annexB.indexOf(SHORT_START_CODE, start);
    return annexB.subarray(start, end < 0 ? annexB.length : end);
  }
  return undefined;
}
