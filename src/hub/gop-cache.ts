import type { MediaUnit } from '../domain/media.ts';

/** Ten seconds at 13 Mbit/s: encoders left to themselves make groups of 250 pictures. */
export const MAX_GOP_BYTES = 16 * 1024 * 1024;

export interface GopCacheOptions {
  readonly maxBytes?: number;
  readonly maxDurationUs?: number;
  /** How much audio is kept where no keyframe leads the cache. */
  readonly looseAudioUs?: number;
}

/**
 * The units since the last keyframe, so that a late reader starts at once. A group of pictures that outgrows a bound is
 * forgotten whole, for it has no other place to start from.
 */
export class GopCache {
  readonly #maxBytes: number;
  readonly #maxDurationUs: number;
  readonly #looseAudioUs: number;
  #units: MediaUnit[] = [];
  #bytes = 0;
  #startsWithKeyframe = false;
  #headlessPictures = 0;

  constructor(options: GopCacheOptions = {}) {
    this.#maxBytes = options.maxBytes ?? MAX_GOP_BYTES;
    this.#maxDurationUs = options.maxDurationUs ?? 10_000_000;
    this.#looseAudioUs = options.looseAudioUs ?? 1_000_000;
  }

  /** The keyframe first if there is one, then the rest in the order of arrival. */
  get units(): readonly MediaUnit[] {
    return this.#units;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get startsWithKeyframe(): boolean {
    return this.#startsWithKeyframe;
  }

  /** Pictures that could not be kept, because their keyframe was forgotten or never came. Grows only. */
  get headlessPictures(): number {
    return this.#headlessPictures;
  }

  push(unit: MediaUnit): void {
    if (unit.kind === 'video' && !unit.isKeyframe && !this.#startsWithKeyframe) {
      this.#headlessPictures += 1;
      return;
    }
    if (unit.kind === 'video' && unit.isKeyframe) this.#begin(unit);
    else this.#append(unit);
    this.#enforceBounds(unit);
  }

  clear(): void {
    this.#units = [];
    this.#bytes = 0;
    this.#startsWithKeyframe = false;
  }

  /** Audio of the keyframe's time and later often came before it. */
  #begin(keyframe: MediaUnit): void {
    const audio = this.#units.filter((unit) => unit.kind === 'audio' && unit.ptsUs >= keyframe.ptsUs);
    this.clear();
    this.#startsWithKeyframe = true;
    this.#append(keyframe);
    for (const unit of audio) this.#append(unit);
  }

  #append(unit: MediaUnit): void {
    this.#units.push(unit);
    this.#bytes += unit.data.length;
  }

  #enforceBounds(newest: MediaUnit): void {
    const first = this.#units[0];
    if (first === undefined) return;
    const isFull = this.#bytes > this.#maxBytes || newest.ptsUs - first.ptsUs > this.#maxDurationUs;
    if (this.#startsWithKeyframe && isFull) this.#forgetVideo();
    if (!this.#startsWithKeyframe) this.#trimLooseAudio(newest.ptsUs);
  }

  #forgetVideo(): void {
    this.#units = this.#units.filter((unit) => unit.kind === 'audio');
    this.#bytes = this.#units.reduce((sum, unit) => sum + unit.data.length, 0);
    this.#startsWithKeyframe = false;
  }

  #trimLooseAudio(newestUs: number): void {
    let stale = 0;
    for (const unit of this.#units) {
      if (newestUs - unit.ptsUs <= this.#looseAudioUs && this.#bytes <= this.#maxBytes) break;
      this.#bytes -= unit.data.length;
      stale += 1;
    }
    if (stale > 0) this.#units.splice(0, stale);
  }
}
