import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { Store } from '../store/open-store.ts';

/** Beyond this the oldest history is given up: a full disk must not become a full memory. That a push has ended is none of it. */
const MAX_PENDING_WRITES = 1000;
/** A write costs a flush of the disk, for which media wait. */
const PROBE_PERIOD_US = 5_000_000;
/** Each try of a store that is locked takes 25 ms: what comes right behind one that failed waits with it. */
const RETRY_PERIOD_US = 250_000;

interface PendingWrite {
  readonly work: () => void;
  readonly mustStay: boolean;
}

/**
 * Writes to the store without ever disturbing a run: what cannot be written now is kept in order and written with the next
 * write or flush (design §4, "a full disk never blocks media").
 */
export class TransponderWriter {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #pending: PendingWrite[] = [];
  #isBatching = false;
  #triedUs = Number.NEGATIVE_INFINITY;

  constructor(store: Store, logger: Logger, clock: Clock) {
    this.#store = store;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** False while something waits because the store does not take it; new work is refused then. */
  get isWritable(): boolean {
    return this.#pending.length === 0;
  }

  /** `isWritable`, found out by writing where nothing was written in the last 5 s. */
  probe(): boolean {
    const isDue = this.#clock.monotonicUs() - this.#triedUs >= PROBE_PERIOD_US;
    if (isDue && this.isWritable) this.write(() => this.#store.touch());
    return this.isWritable;
  }

  /**
   * `work` runs inside one transaction, now or later, and perhaps more than once: it must only write, from values it holds.
   * What must stay is never given up: a push that has ended would come back with the next start. There is one for each push.
   */
  write(work: () => void, { mustStay = false }: { readonly mustStay?: boolean } = {}): void {
    this.#pending.push({ work, mustStay });
    if (!this.#isBatching && this.#pending.length > MAX_PENDING_WRITES) this.#dropOldest();
    const hasFailed = this.#pending.length > 1;
    if (!hasFailed || this.#clock.monotonicUs() - this.#triedUs >= RETRY_PERIOD_US) this.flush();
  }

  /** All that `work` writes is one transaction. For work that starts nothing which must be written down before. */
  batch(work: () => void): void {
    this.#isBatching = true;
    try {
      work();
    } finally {
      this.#isBatching = false;
      this.flush();
    }
  }

  flush(): void {
    if (this.#isBatching || this.#pending.length === 0) return;
    this.#triedUs = this.#clock.monotonicUs();
    try {
      this.#store.transaction(() => this.#pending.forEach(({ work }) => work()));
      this.#pending = [];
    } catch (error) {
      this.#logger.error({ err: error, pending: this.#pending.length }, 'the store takes no writes; they are kept');
      if (isConstraintViolation(error)) this.#dropImpossible();
    }
  }

  #dropOldest(): void {
    const index = this.#pending.findIndex(({ mustStay }) => !mustStay);
    if (index >= 0) this.#pending.splice(index, 1);
  }

  /** A write that breaks a constraint will never succeed and must not hold up the others. */
  #dropImpossible(): void {
    this.#pending = this.#pending.filter(({ work }) => {
      try {
        this.#store.transaction(work);
        return false;
      } catch (error) {
        return !isConstraintViolation(error);
      }
    });
  }
}

function isConstraintViolation(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'TRANSPONDER_EXISTS';
  return error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_CONSTRAINT');
}
