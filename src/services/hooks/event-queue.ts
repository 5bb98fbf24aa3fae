export interface QueuedEvent {
  /** Never rejects. */
  send(): Promise<void>;
  /** Called instead of `send` where there are too many. */
  drop(): void;
}

/** What one session has to tell its backend: one after the other, in order, and only so much. */
export class EventQueue {
  readonly #maxWaiting: number;
  readonly #waiting: QueuedEvent[] = [];
  #draining: Promise<void> | undefined;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** The oldest that waits makes room. */
  push(event: QueuedEvent): void {
    if (this.#waiting.length >= this.#maxWaiting) this.#waiting.shift()?.drop();
    this.#waiting.push(event);
    this.#draining ??= this.#drain();
  }

  /** Resolves when all has been told; undefined when there is nothing to tell. */
  get drained(): Promise<void> | undefined {
    return this.#draining;
  }

  async #drain(): Promise<void> {
    for (let event = this.#waiting.shift(); event; event = this.#waiting.shift()) await event.send();
    this.#draining = undefined;
  }
}
