import type { AudioCodec, AudioUnit } from '../domain/media.ts';

/** Silence for longer than this (the process was suspended) is skipped, not filled. */
const MAX_FILL_US = 10_000_000;
/** Difference between source time and grid that is corrected, in frames. */
const MAX_DRIFT_FRAMES = 1.5;
const DRIFT_SMOOTHING = 1 / 8;

export interface AudioGridOptions {
  readonly codec: AudioCodec;
  /** Clock of the grid: 48 000 for Opus, the sample rate for AAC and G.711. */
  readonly sampleRateHz: number;
  /** Samples of one silence frame: 960 (Opus, 20 ms), 1024 (AAC), 160 (G.711, 20 ms). */
  readonly frameSamples: number;
  readonly silence: Buffer;
  /** A slot without a frame becomes silence when it is older than this. */
  readonly lateUs: number;
  readonly onUnit: (unit: AudioUnit) => void;
}

export interface AudioGridCounters {
  readonly frames: number;
  readonly silenceFrames: number;
  /** Late ones and duplicates. */
  readonly droppedFrames: number;
  /** Frames inserted or dropped because source time and grid had drifted apart. */
  readonly driftCorrections: number;
}

/**
 * Makes audio continuous (reference/ffmpeg.md §1): frame after frame on the exact grid of the codec, whatever comes in.
 * Frames snap to the next slot; holes, mute, discontinuous transmission and a missing microphone become silence frames,
 * driven by later frames and by `tick`. Frames of other durations pass as they are and the grid follows them.
 */
export class AudioGrid {
  readonly #options: AudioGridOptions;
  readonly #usPerSample: number;
  readonly #silenceUs: number;
  readonly #counters = { frames: 0, silenceFrames: 0, droppedFrames: 0, driftCorrections: 0 };
  readonly #originUs: number;
  /** Start of the next slot, in samples since the origin. */
  #position = 0;
  /** Smoothed source time minus grid time; undefined until the first frame. */
  #driftUs: number | undefined;
  /** Source time at which the next frame is expected: the end of the last one, moved on by silence. */
  #expectedUs = 0;

  /** `originUs` is where the first slot begins. */
  constructor(options: AudioGridOptions, originUs = 0) {
    this.#options = options;
    this.#usPerSample = 1_000_000 / options.sampleRateHz;
    this.#silenceUs = options.frameSamples * this.#usPerSample;
    this.#originUs = originUs;
  }

  get counters(): AudioGridCounters {
    return this.#counters;
  }

  /** Fills every slot that is over and older than the lateness limit. `nowUs` is on the timeline of the frames. */
  tick(nowUs: number): void {
    const slots = Math.floor((nowUs - this.#options.lateUs - this.#nextUs()) / this.#silenceUs);
    if (slots > 0) this.#fill(slots);
  }

  /** A frame with its own time and duration, in the order of sending. */
  write(sourceUs: number, durationUs: number, data: Buffer): void {
    if (this.#driftUs === undefined) this.#expectFirst(sourceUs);
    const drift = this.#driftUs ?? 0;
    const gapFrames = Math.round((sourceUs - this.#expectedUs) / durationUs);
    const aheadUs = sourceUs - drift - this.#nextUs();

    if (gapFrames < 0 && aheadUs <= -durationUs / 2) {
      this.#counters.droppedFrames += 1;
      return;
    }
    if (gapFrames > 0 && aheadUs >= durationUs / 2) this.#fill(Math.round(aheadUs / this.#silenceUs));
    if (!this.#correctDrift(sourceUs, durationUs)) return;

    this.#expectedUs = sourceUs + durationUs;
    this.#counters.frames += 1;
    this.#emit(Math.round(durationUs / this.#usPerSample), data);
  }

  /** The first frame decides how source time lies against the grid, never by more than half a slot. */
  #expectFirst(sourceUs: number): void {
    const slots = Math.round((sourceUs - this.#nextUs()) / this.#silenceUs);
    if (slots > 0) this.#fill(slots);
    this.#driftUs = sourceUs - this.#nextUs() - Math.min(0, slots) * this.#silenceUs;
    this.#expectedUs = this.#nextUs() + this.#driftUs;
  }

  /** False when the frame was dropped to let the source catch up. */
  #correctDrift(sourceUs: number, durationUs: number): boolean {
    const before = this.#driftUs ?? 0;
    const driftUs = before + (sourceUs - this.#nextUs() - before) * DRIFT_SMOOTHING;
    this.#driftUs = driftUs;
    const limitUs = MAX_DRIFT_FRAMES * durationUs;
    if (driftUs > limitUs) {
      this.#emitSilence();
      this.#driftUs = driftUs - this.#silenceUs;
      this.#counters.driftCorrections += 1;
    } else if (driftUs < -limitUs) {
      this.#driftUs = driftUs + durationUs;
      this.#expectedUs = sourceUs + durationUs;
      this.#counters.driftCorrections += 1;
      return false;
    }
    return true;
  }

  #fill(slots: number): void {
    const maxSlots = Math.floor(MAX_FILL_US / this.#silenceUs);
    if (slots > maxSlots) {
      const skipped = slots - maxSlots;
      this.#position += skipped * this.#options.frameSamples;
      this.#expectedUs += skipped * this.#silenceUs;
    }
    for (let slot = Math.min(slots, maxSlots); slot > 0; slot -= 1) {
      this.#emitSilence();
      this.#expectedUs += this.#silenceUs;
    }
  }

  #emitSilence(): void {
    this.#counters.silenceFrames += 1;
    this.#emit(this.#options.frameSamples, this.#options.silence);
  }

  #emit(samples: number, data: Buffer): void {
    const ptsUs = Math.round(this.#nextUs());
    this.#position += samples;
    const durationUs = Math.round(this.#nextUs()) - ptsUs;
    this.#options.onUnit({ kind: 'audio', codec: this.#options.codec, ptsUs, durationUs, data });
  }

  #nextUs(): number {
    return this.#originUs + this.#position * this.#usPerSample;
  }
}
