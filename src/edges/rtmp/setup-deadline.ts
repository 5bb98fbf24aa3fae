import type { CancelTimer, Clock } from '../../domain/clock.ts';

/**
 * The time that a client has, in total and not for each byte, until it publishes or plays. It stands still while the client
 * waits for us.
 */
export class SetupDeadline {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onLate: () => void;
  #leftMs: number;
  #sinceUs = 0;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, timeoutMs: number, onLate: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
    this.#leftMs = timeoutMs;
  }

  /** Lets the time run, from where it was held. Does nothing while it runs. */
  run(): void {
    if (this.#cancel) return;
    this.#sinceUs = this.#clock.monotonicUs();
    this.#cancel = this.#clock.after(Math.max(0, this.#leftMs), this.#onLate);
  }

  hold(): void {
    if (!this.#cancel) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#leftMs -= (this.#clock.monotonicUs() - this.#sinceUs) / 1000;
  }

  /** The client has reached its goal: whenever time runs again, it has all of it. */
  reset(): void {
    this.hold();
    this.#leftMs = this.#timeoutMs;
  }
}
