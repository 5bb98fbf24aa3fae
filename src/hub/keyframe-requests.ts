import type { CancelTimer, Clock } from '../domain/clock.ts';

const MIN_SPACING_US = 500_000;
const MAX_KEYFRAME_AGE_US = 2_000_000;
/** Between requests for the sake of regularity: the answer to one takes a round trip and an encode. */
const REGULAR_SPACING_US = 1_000_000;
const CHECK_PERIOD_MS = 250;

export interface KeyframeRequestsOptions {
  readonly clock: Clock;
  readonly send: () => void;
}

/**
 * The one place from which a source is asked for keyframes (supervision-and-user-pain.md rows 5 and 6): at most one request
 * per 500 ms, the first at once and the last not lost; and, while `keepRegular`, one whenever the last keyframe is 2 s old.
 */
export class KeyframeRequests {
  readonly #options: KeyframeRequestsOptions;
  #lastSentUs = -Infinity;
  #lastKeyframeUs: number;
  #cancelPending: CancelTimer | undefined;
  #cancelRegular: CancelTimer | undefined;

  constructor(options: KeyframeRequestsOptions) {
    this.#options = options;
    this.#lastKeyframeUs = options.clock.monotonicUs();
  }

  request(): void {
    if (this.#cancelPending !== undefined) return;
    const { clock } = this.#options;
    const waitUs = this.#lastSentUs + MIN_SPACING_US - clock.monotonicUs();
    if (waitUs <= 0) {
      this.#send();
      return;
    }
    this.#cancelPending = clock.after(Math.ceil(waitUs / 1000), () => {
      this.#cancelPending = undefined;
      this.#send();
    });
  }

  /** A keyframe came, sent at this monotonic time: whoever waited has it. */
  keyframeSeen(atUs: number): void {
    this.#lastKeyframeUs = atUs;
    this.#cancelPending?.();
    this.#cancelPending = undefined;
  }

  keepRegular(isNeeded: boolean): void {
    if (isNeeded === (this.#cancelRegular !== undefined)) return;
    this.#cancelRegular?.();
    this.#cancelRegular = isNeeded ? this.#options.clock.every(CHECK_PERIOD_MS, () => this.#checkAge()) : undefined;
  }

  close(): void {
    this.keepRegular(false);
    this.#cancelPending?.();
    this.#cancelPending = undefined;
  }

  #checkAge(): void {
    const nowUs = this.#options.clock.monotonicUs();
    if (nowUs - this.#lastSentUs < REGULAR_SPACING_US) return;
    if (nowUs - this.#lastKeyframeUs >= MAX_KEYFRAME_AGE_US) this.request();
  }

  #send(): void {
    this.#lastSentUs = this.#options.clock.monotonicUs();
    this.#options.send();
  }
}
