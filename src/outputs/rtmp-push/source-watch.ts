/** A camera sends many times a second, and a shared screen that does not change still about once. */
const FROZEN_AFTER_US = 3_000_000;

/** What a push's reader says of itself. */
export interface ReaderState {
  readonly queuedBytes: number;
  readonly droppedVideo: number;
}

/** Tells when the source gives no picture any more (or no sound, where there is no picture), which is not its destinations' fault. */
export class SourceWatch {
  #sinceUs: number;
  #droppedVideo = 0;

  constructor(nowUs: number) {
    this.#sinceUs = nowUs;
  }

  /** A unit of the track that counts has come. */
  given(nowUs: number): void {
    this.#sinceUs = nowUs;
  }

  /** What the reader keeps or drops has been given too. */
  isFrozen({ queuedBytes, droppedVideo }: ReaderState, nowUs: number): boolean {
    if (queuedBytes > 0 || droppedVideo > this.#droppedVideo) this.#sinceUs = nowUs;
    this.#droppedVideo = droppedVideo;
    return nowUs - this.#sinceUs > FROZEN_AFTER_US;
  }
}
