import type { AudioCodec, AudioTrack } from '../domain/media.ts';
import { AAC_FRAME_SAMPLES, silentAac } from '../protocol/aac/silence.ts';
import { G711_SILENCE_SAMPLES, PCMA_SILENCE, PCMU_SILENCE } from '../protocol/g711/silence.ts';
import { OPUS_SILENCE, OPUS_SILENCE_SAMPLES } from '../protocol/opus/silence.ts';

/** What audio-less streams get. */
export const SILENT_TRACK: AudioTrack = { codec: 'opus', sampleRateHz: 48_000, channels: 2 };

export interface SilenceFrame {
  readonly frameSamples: number;
  readonly data: Buffer;
}

/** The silence frame of a track; the same buffer each time. */
export function silenceOf(track: AudioTrack): SilenceFrame {
  return track.codec === 'aac'
    ? { frameSamples: AAC_FRAME_SAMPLES, data: silentAac(track.channels) }
    : FIXED_SILENCE[track.codec];
}

const FIXED_SILENCE: Record<Exclude<AudioCodec, 'aac'>, SilenceFrame> = {
  opus: { frameSamples: OPUS_SILENCE_SAMPLES, data: OPUS_SILENCE },
  pcma: { frameSamples: G711_SILENCE_SAMPLES, data: PCMA_SILENCE },
  pcmu: { frameSamples: G711_SILENCE_SAMPLES, data: PCMU_SILENCE },
};
