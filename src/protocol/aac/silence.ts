/** Samples per channel in one AAC-LC frame (ISO/IEC 14496-3 §4.5.1.1). */
export const AAC_FRAME_SAMPLES = 1024;

/** One frame of exact silence, whatever the sample rate (reference/rtmp.md §7). */
export const SILENT_AAC_MONO = Buffer.from('01182007', 'hex');
export const SILENT_AAC_STEREO = Buffer.from('211004608c1c', 'hex');

const SILENT_AAC_5_1 = Buffer.from('011820010880230460231004608c0c230000e0', 'hex');

/** One frame of silence for a layout of so many channels; undefined where none is known. */
export function silentAacOf(channels: number): Buffer | undefined {
  return { 1: SILENT_AAC_MONO, 2: SILENT_AAC_STEREO, 6: SILENT_AAC_5_1 }[channels];
}

/** As `silentAacOf`; of a layout without one it is that of stereo. */
export function silentAac(channels: number): Buffer {
  return silentAacOf(channels) ?? SILENT_AAC_STEREO;
}
