import type { CancelTimer, Clock } from './clock.ts';

/** More keyframe requests than this collapse a sender's bitrate and help nobody (supervision-and-user-pain.md rows 5 and 6). */
const MIN_SPACING_US = 500_000;

/**
 * Keyframe requests to one source, however many ask: the first goes at once, those of the next 500 ms become one at their
 * end, so that the last asker is not forgotten. Closed by its owner.
 */
export class CoalescedRequests {
  readonly #clock: Clock;
  readonly #send: () => void;
  #lastSentUs = Number.NEGATIVE_INFINITY;
  #cancelPending: CancelTimer | undefined;

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Monotonic time; minus infinity before the first. */
  get lastSentUs(): number {
    return this.#lastSentUs;
  }

  ask(): void {
    if (this.#cancelPending) return;
    const waitUs = this.#lastSentUs + MIN_SPACING_US - this.#clock.monotonicUs();
    if (waitUs <= 0) this.#sendNow();
    else this.#cancelPending = this.#clock.after(Math.ceil(waitUs / 1000), () => this.#sendNow());
  }

  /** A keyframe came: whoever waited for one has it. */
  satisfied(): void {
    this.#cancelPending?.();
    this.#cancelPending = undefined;
  }

  close(): void {
    this.satisfied();
  }

  #sendNow(): void {
    this.#cancelPending = undefined;
    this.#lastSentUs = this.#clock.monotonicUs();
    this.#send();
  }
}
