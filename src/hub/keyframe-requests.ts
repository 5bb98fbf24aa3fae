import type { CancelTimer, Clock } from '../domain/clock.ts';
import { CoalescedRequests } from '../domain/coalesced-requests.ts';

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
  readonly #clock: Clock;
  readonly #requests: CoalescedRequests;
  #lastKeyframeUs: number;
  #cancelRegular: CancelTimer | undefined;

  constructor({ clock, send }: KeyframeRequestsOptions) {
    this.#clock = clock;
    this.#requests = new CoalescedRequests(clock, send);
    this.#lastKeyframeUs = clock.monotonicUs();
  }

  request(): void {
    this.#requests.ask();
  }

  /** A keyframe came, sent at this monotonic time: whoever waited has it. */
  keyframeSeen(atUs: number): void {
    this.#lastKeyframeUs = atUs;
    this.#requests.satisfied();
  }

  keepRegular(isNeeded: boolean): void {
    if (isNeeded === (this.#cancelRegular !== undefined)) return;
    this.#cancelRegular?.();
    this.#cancelRegular = isNeeded ? this.#clock.every(CHECK_PERIOD_MS, () => this.#checkAge()) : undefined;
  }

  close(): void {
    this.keepRegular(false);
    this.#requests.close();
  }

  #checkAge(): void {
    const nowUs = this.#clock.monotonicUs();
    if (nowUs - this.#requests.lastSentUs < REGULAR_SPACING_US) return;
    if (nowUs - this.#lastKeyframeUs >= MAX_KEYFRAME_AGE_US) this.request();
  }
}
