import type { CancelTimer, Clock } from '../../domain/clock.ts';

/** Never more often than this, whatever the number of joins: more requests collapse a sender's bitrate (issue openwebrtc#47). */
export const MIN_REQUEST_INTERVAL_US = 500_000;

/** Coalesces keyframe requests for one source: the first goes at once, those of the next 500 ms become one at their end. */
export class KeyframeRequests {
  readonly #clock: Clock;
  readonly #send: () => void;
  #lastUs = Number.NEGATIVE_INFINITY;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  ask(): void {
    if (this.#cancel) return;
    const waitUs = this.#lastUs + MIN_REQUEST_INTERVAL_US - this.#clock.monotonicUs();
    if (waitUs <= 0) this.#sendNow();
    else this.#cancel = this.#clock.after(Math.ceil(waitUs / 1000), () => this.#sendNow());
  }

  /** A keyframe came: whoever waited for one has it. */
  satisfied(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  close(): void {
    this.satisfied();
  }

  #sendNow(): void {
    this.#cancel = undefined;
    this.#lastUs = this.#clock.monotonicUs();
    this.#send();
  }
}
