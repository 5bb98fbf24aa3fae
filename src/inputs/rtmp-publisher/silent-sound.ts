import type { AudioTrack, AudioUnit } from '../../domain/media.ts';
import { AAC_FRAME_SAMPLES, SILENT_AAC_STEREO } from '../../protocol/aac/silence.ts';

/** AAC needs no transcoder for RTMP players and pushes. */
export const SILENT_SOUND: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
const FRAME_US = (AAC_FRAME_SAMPLES * 1_000_000) / SILENT_SOUND.sampleRateHz;
/** After a longer jump of the pictures, silence goes on where they are. */
const MAX_BEHIND_US = 2_000_000;

/**
 * Silence beside the pictures of a publisher that sends no sound: up to each picture, so that no player waits for it as it
 * would for the late silence that takes the place of sound that is missing.
 */
export class SilentSound {
  #baseUs: number | undefined;
  #frames = 0;

  /** The frames that belong before a picture of this time. */
  upTo(dtsUs: number): AudioUnit[] {
    if (this.#baseUs === undefined || dtsUs - this.#timeUs() > MAX_BEHIND_US) {
      this.#baseUs = dtsUs;
      this.#frames = 0;
    }
    const units: AudioUnit[] = [];
    while (this.#timeUs() <= dtsUs) {
      const ptsUs = this.#timeUs();
      this.#frames += 1;
      units.push({ kind: 'audio', codec: 'aac', ptsUs, durationUs: this.#timeUs() - ptsUs, data: SILENT_AAC_STEREO });
    }
    return units;
  }

  #timeUs(): number {
    return (this.#baseUs ?? 0) + Math.round(this.#frames * FRAME_US);
  }
}
