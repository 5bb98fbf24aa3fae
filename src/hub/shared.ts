import type { CancelTimer, Clock } from '../domain/clock.ts';

/** Something costly that equal needs share. */
export interface Shareable {
  /** Releases what it holds. Called once. */
  stop(): void;
  /** A thing that has ended by itself is not given to anybody else. */
  readonly hasEnded: boolean;
}

export interface Lease<T> {
  readonly value: T;
  /** Idempotent. */
  release(): void;
}

interface Entry<T> {
  readonly value: T;
  leases: number;
  cancelLinger: CancelTimer | undefined;
}

/** Values by key, made at the first lease and stopped a linger after the last release. */
export class SharedByKey<T extends Shareable> {
  readonly #clock: Clock;
  readonly #lingerMs: number;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(clock: Clock, lingerMs: number) {
    this.#clock = clock;
    this.#lingerMs = lingerMs;
  }

  lease(key: string, make: () => T): Lease<T> {
    const present = this.#entries.get(key);
    const entry = present && !present.value.hasEnded ? present : this.#replace(key, present, make());
    entry.cancelLinger?.();
    entry.cancelLinger = undefined;
    entry.leases += 1;
    let isHeld = true;
    return {
      value: entry.value,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#release(key, entry);
      },
    };
  }

  /** An ended value that still lingers is stopped now; one that is leased is stopped by its last holder. */
  #replace(key: string, ended: Entry<T> | undefined, value: T): Entry<T> {
    if (ended?.cancelLinger) {
      ended.cancelLinger();
      ended.value.stop();
    }
    const entry: Entry<T> = { value, leases: 0, cancelLinger: undefined };
    this.#entries.set(key, entry);
    return entry;
  }

  #release(key: string, entry: Entry<T>): void {
    entry.leases -= 1;
    if (entry.leases > 0) return;
    if (this.#lingerMs === 0 || entry.value.hasEnded) {
      this.#stop(key, entry);
      return;
    }
    entry.cancelLinger = this.#clock.after(this.#lingerMs, () => this.#stop(key, entry));
  }

  #stop(key: string, entry: Entry<T>): void {
    entry.cancelLinger = undefined;
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    entry.value.stop();
  }
}
