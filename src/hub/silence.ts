import type { AudioCodec, AudioTrack } from '../domain/media.ts';
import { AAC_FRAME_SAMPLES, SILENT_AAC_MONO, SILENT_AAC_STEREO } from '../protocol/aac/silence.ts';

/** What audio-less streams get. */
export const SILENT_TRACK: AudioTrack = { codec: 'opus', sampleRateHz: 48_000, channels: 2 };

export interface SilenceFrame {
  readonly frameSamples: number;
  readonly data: Buffer;
}

/** A stereo CELT packet of 20 ms without content (RFC 6716 §3.1, table 2: config 31). */
const OPUS_SILENCE: SilenceFrame = { frameSamples: 960, data: Buffer.from('f8fffe', 'hex') };
/** 20 ms of the code for zero (ITU-T G.711). */
const PCMA_SILENCE: SilenceFrame = { frameSamples: 160, data: Buffer.alloc(160, 0xd5) };
const PCMU_SILENCE: SilenceFrame = { frameSamples: 160, data: Buffer.alloc(160, 0xff) };

/** The silence frame of a track; the same buffer each time. */
export function silenceOf(track: AudioTrack): SilenceFrame {
  return track.codec === 'aac'
    ? { frameSamples: AAC_FRAME_SAMPLES, data: track.channels === 1 ? SILENT_AAC_MONO : SILENT_AAC_STEREO }
    : FIXED_SILENCE[track.codec];
}

const FIXED_SILENCE: Record<Exclude<AudioCodec, 'aac'>, SilenceFrame> = {
  opus: OPUS_SILENCE,
  pcma: PCMA_SILENCE,
  pcmu: PCMU_SILENCE,
};
