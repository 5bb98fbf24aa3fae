import { AAC_FRAME_SAMPLES } from '../protocol/aac/silence.ts';

export const AAC_SAMPLE_RATE_HZ = 48_000;
const US_PER_SECOND = 1_000_000;

/**
 * The times that AAC frames of one stream may have: base + n · 1024 / 48000 s, without accumulated rounding. Every process
 * that ever encodes the stream, and the silence between two of them, keeps to the one grid.
 */
export class AacGrid {
  readonly #baseUs: number;

  constructor(baseUs: number) {
    this.#baseUs = baseUs;
  }

  timeUs(index: number): number {
    return this.#baseUs + Math.round((index * AAC_FRAME_SAMPLES * US_PER_SECOND) / AAC_SAMPLE_RATE_HZ);
  }

  durationUs(index: number): number {
    return this.timeUs(index + 1) - this.timeUs(index);
  }

  /** Where `ptsUs` lies: in which frame, and how many samples into it (0 to 1023). */
  locate(ptsUs: number): { readonly index: number; readonly offsetSamples: number } {
    const samples = Math.round(((ptsUs - this.#baseUs) * AAC_SAMPLE_RATE_HZ) / US_PER_SECOND);
    const index = Math.floor(samples / AAC_FRAME_SAMPLES);
    return { index, offsetSamples: samples - index * AAC_FRAME_SAMPLES };
  }
}
