/** Every transcoded audio has this rate. */
export const TRANSCODED_SAMPLE_RATE_HZ = 48_000;
const US_PER_SECOND = 1_000_000;

/**
 * The times that the frames of one transcoded stream may have: base + n · frame duration, without accumulated rounding. Every
 * process that ever encodes the stream, and the silence between two of them, keeps to the one grid.
 */
export class FrameGrid {
  readonly #baseUs: number;
  readonly #frameSamples: number;

  constructor(baseUs: number, frameSamples: number) {
    this.#baseUs = baseUs;
    this.#frameSamples = frameSamples;
  }

  timeUs(index: number): number {
    return this.#baseUs + Math.round((index * this.#frameSamples * US_PER_SECOND) / TRANSCODED_SAMPLE_RATE_HZ);
  }

  durationUs(index: number): number {
    return this.timeUs(index + 1) - this.timeUs(index);
  }

  /** Where `ptsUs` lies: in which frame, and how many samples into it. */
  locate(ptsUs: number): { readonly index: number; readonly offsetSamples: number } {
    const samples = Math.round(((ptsUs - this.#baseUs) * TRANSCODED_SAMPLE_RATE_HZ) / US_PER_SECOND);
    const index = Math.floor(samples / this.#frameSamples);
    return { index, offsetSamples: samples - index * this.#frameSamples };
  }
}
