export interface QueuedEvent {
  /** Never rejects. */
  send(): Promise<void>;
  /** Called instead of `send` where there are too many. */
  drop(): void;
}

interface Waiting {
  readonly event: QueuedEvent;
  readonly done: () => void;
}

/** What one session has to tell its backend: one after the other, in order, and only so much. */
export class EventQueue {
  readonly #maxWaiting: number;
  readonly #waiting: Waiting[] = [];
  #isSending = false;
  #newestDone: Promise<void> | undefined;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** The oldest that waits makes room. */
  push(event: QueuedEvent): void {
    if (this.#waiting.length >= this.#maxWaiting) {
      const oldest = this.#waiting.shift();
      oldest?.event.drop();
      oldest?.done();
    }
    const { promise, resolve: done } = Promise.withResolvers<void>();
    this.#newestDone = promise;
    this.#waiting.push({ event, done });
    if (!this.#isSending) void this.#send();
  }

  /** Resolves when what has been pushed until now is told; undefined when there is nothing to tell. */
  get drained(): Promise<void> | undefined {
    return this.#isSending ? this.#newestDone : undefined;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      await next.event.send();
      next.done();
    }
    this.#isSending = false;
  }
}
