import type { CancelTimer, Clock } from '../domain/clock.ts';
import type { AudioUnit, MediaUnit, VideoUnit } from '../domain/media.ts';

const MAX_WAIT_US = 200_000;
/** The first picture may have to go through an encoder that is being started, and is then as old as the cached GOP. */
const FIRST_PICTURE_WAIT_US = 1_500_000;

export interface InterleaverOptions {
  readonly clock: Clock;
  readonly onUnit: (unit: MediaUnit) => void;
}

interface Lane<Unit extends MediaUnit> {
  waiting: { readonly unit: Unit; readonly sinceUs: number }[];
  /** Time of the newest unit that came in: later ones of this lane are not earlier. */
  newestUs: number;
}

/**
 * Puts video and audio of two sources in time order (by DTS). A unit waits until the other side has passed its time, but
 * never longer than 200 ms, so that a side that stalls does not hold the other. Audio waits for the very first picture, whose
 * time may lie before units that have long been there: what is older than that picture is forgotten, and where none comes within
 * 1.5 s all that waited is, because sound without a picture begins with now.
 */
export class Interleaver {
  readonly #options: InterleaverOptions;
  readonly #video: Lane<VideoUnit> = { waiting: [], newestUs: -Infinity };
  readonly #audio: Lane<AudioUnit> = { waiting: [], newestUs: -Infinity };
  #hasPicture = false;
  #maxWaitUs = FIRST_PICTURE_WAIT_US;
  #cancelTimer: CancelTimer | undefined;

  constructor(options: InterleaverOptions) {
    this.#options = options;
  }

  push(unit: MediaUnit): void {
    const sinceUs = this.#options.clock.monotonicUs();
    if (unit.kind === 'video') {
      if (!this.#hasPicture) this.#beginAt(unit.dtsUs);
      this.#video.waiting.push({ unit, sinceUs });
      this.#video.newestUs = Math.max(this.#video.newestUs, unit.dtsUs);
    } else {
      this.#audio.waiting.push({ unit, sinceUs });
      this.#audio.newestUs = Math.max(this.#audio.newestUs, unit.ptsUs);
    }
    this.#release();
  }

  /** Forgets what waits. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#video.waiting = [];
    this.#audio.waiting = [];
  }

  /** Pictures of the cached GOP come quicker than live but not at once: what waited goes on waiting for them. */
  #beginAt(firstPictureUs: number): void {
    this.#hasPicture = true;
    this.#maxWaitUs = MAX_WAIT_US;
    const sinceUs = this.#options.clock.monotonicUs() + FIRST_PICTURE_WAIT_US - MAX_WAIT_US;
    this.#audio.waiting = this.#audio.waiting
      .filter(({ unit }) => unit.ptsUs >= firstPictureUs)
      .map(({ unit }) => ({ unit, sinceUs }));
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #giveUpFirstPicture(nowUs: number): void {
    const oldest = this.#audio.waiting[0];
    if (this.#maxWaitUs === MAX_WAIT_US || oldest === undefined) return;
    if (nowUs - oldest.sinceUs < FIRST_PICTURE_WAIT_US) return;
    this.#maxWaitUs = MAX_WAIT_US;
    this.#audio.waiting = this.#audio.waiting.slice(-1);
  }

  #release(): void {
    const nowUs = this.#options.clock.monotonicUs();
    this.#giveUpFirstPicture(nowUs);
    const overdueUs = nowUs - this.#maxWaitUs;
    for (;;) {
      const video = this.#video.waiting[0];
      const audio = this.#audio.waiting[0];
      const videoUs = video?.unit.dtsUs ?? Infinity;
      const audioUs = audio?.unit.ptsUs ?? Infinity;
      if (video !== undefined && videoUs <= audioUs) {
        if (audio === undefined && this.#audio.newestUs < videoUs && video.sinceUs > overdueUs) break;
        this.#video.waiting.shift();
        this.#options.onUnit(video.unit);
      } else if (audio !== undefined) {
        if (video === undefined && this.#video.newestUs < audioUs && audio.sinceUs > overdueUs) break;
        this.#audio.waiting.shift();
        this.#options.onUnit(audio.unit);
      } else {
        break;
      }
    }
    this.#arm();
  }

  #arm(): void {
    const oldest = this.#video.waiting[0] ?? this.#audio.waiting[0];
    if (oldest === undefined) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      return;
    }
    if (this.#cancelTimer !== undefined) return;
    const waitUs = oldest.sinceUs + this.#maxWaitUs - this.#options.clock.monotonicUs();
    this.#cancelTimer = this.#options.clock.after(Math.max(1, Math.ceil(waitUs / 1000)), () => {
      this.#cancelTimer = undefined;
      this.#release();
    });
  }
}
