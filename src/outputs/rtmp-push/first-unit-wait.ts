import { AwakeTime } from '../../domain/awake-time.ts';
import type { CancelTimer, Clock } from '../../domain/clock.ts';
import type { LiveStream } from '../../hub/live-stream.ts';

const LOOK_MS = 1000;
const NOTHING_TIMEOUT_MS = 10_000;
/** Encoders that are left to themselves make groups of ten seconds, and hardly any of more than thirty. */
const KEYFRAME_TIMEOUT_MS = 60_000;
/** An encoder may have to be started when the keyframe has come. */
const PICTURES_STOPPED_MS = 5000;

export interface FirstUnitWaitOptions {
  readonly clock: Clock;
  readonly stream: Pick<LiveStream, 'headlessPictures' | 'requestKeyframe'>;
  /** Once, unless it was cancelled before; says what has been waited for. */
  readonly onTimeout: (detail: string) => void;
}

/**
 * The wait of a run for the first unit of its source. A stream that gives nothing is given up soon. One whose group of pictures
 * was too long to be kept can be begun with at its next keyframe, which is worth a longer wait, and is asked for.
 */
export class FirstUnitWait {
  readonly cancel: CancelTimer;
  readonly #options: FirstUnitWaitOptions;
  readonly #awake: AwakeTime;
  #pictures: number;
  #pictureUs: number | undefined;

  constructor(options: FirstUnitWaitOptions) {
    const { clock, stream } = options;
    this.#options = options;
    this.#awake = new AwakeTime(clock.monotonicUs());
    this.#pictures = stream.headlessPictures;
    this.cancel = clock.every(LOOK_MS, () => this.#look());
  }

  /** The stream sends pictures, though none to begin with has come yet. */
  get isForKeyframe(): boolean {
    this.#notePictures();
    return this.#pictureUs !== undefined && this.#awake.us - this.#pictureUs <= PICTURES_STOPPED_MS * 1000;
  }

  #look(): void {
    const { clock, stream } = this.#options;
    const awakeUs = this.#awake.advance(clock.monotonicUs());
    if (this.#notePictures()) stream.requestKeyframe();
    if (awakeUs >= KEYFRAME_TIMEOUT_MS * 1000) {
      this.#timedOut(`no keyframe came within ${KEYFRAME_TIMEOUT_MS / 1000} s of pictures`);
    } else if (awakeUs - (this.#pictureUs ?? 0) >= NOTHING_TIMEOUT_MS * 1000) {
      const isNothing = this.#pictureUs === undefined;
      this.#timedOut(
        isNothing
          ? 'the source stream gave no picture and no sound'
          : `the source stream gave pictures without a keyframe, and then nothing for ${NOTHING_TIMEOUT_MS / 1000} s`,
      );
    }
  }

  /** True when there are new ones. */
  #notePictures(): boolean {
    const { headlessPictures } = this.#options.stream;
    if (headlessPictures === this.#pictures) return false;
    this.#pictures = headlessPictures;
    this.#pictureUs = this.#awake.us;
    return true;
  }

  #timedOut(detail: string): void {
    this.cancel();
    this.#options.onTimeout(detail);
  }
}
