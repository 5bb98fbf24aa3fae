/** Samples per channel in one AAC-LC frame (ISO/IEC 14496-3 §4.5.1.1). */
export const AAC_FRAME_SAMPLES = 1024;

/** One frame of exact silence, whatever the sample rate (reference/rtmp.md §7). */
export const SILENT_AAC_MONO = Buffer.from('01182007', 'hex');
export const SILENT_AAC_STEREO = Buffer.from('211004608c1c', 'hex');

/** One frame of silence for so many channels; more than one is stereo. */
export function silentAac(channels: number): Buffer {
  return channels === 1 ? SILENT_AAC_MONO : SILENT_AAC_STEREO;
}
