import type { CancelTimer, Clock } from '../domain/clock.ts';

export interface SpawnLimits {
  readonly maxPerSecond: number;
  /** At once, from the start of a run until its destination has accepted it. */
  readonly maxStarting: number;
  /** The same for one destination host. */
  readonly maxStartingPerHost: number;
}

export const SPAWN_LIMITS: SpawnLimits = { maxPerSecond: 10, maxStarting: 8, maxStartingPerHost: 4 };

/** One start's place among the others. */
export interface StartPlace {
  /** It is not starting any more, or will not start. Idempotent. */
  leave(): void;
}

interface Waiting {
  readonly host: string;
  readonly go: () => void;
}

const WINDOW_US = 1_000_000;
/**
 * What starting costs the machine is over by then. A start that still waits for its destination is not counted any longer, or a
 * few destinations that answer nothing would keep all others waiting.
 */
const MAX_STARTING_MS = 3000;

/**
 * Starts of runs wait their turn here, so that a hundred streams that come at once do not starve what already runs, and one host is
 * not met by all at the same moment. First come, first served, but nobody waits for another's host. A start never fails by this.
 */
export class SpawnQueue {
  readonly #clock: Clock;
  readonly #limits: SpawnLimits;
  readonly #waiting = new Set<Waiting>();
  readonly #startingByHost = new Map<string, number>();
  #starting = 0;
  #recentUs: number[] = [];
  #cancelTimer: CancelTimer | undefined;

  constructor(clock: Clock, limits: SpawnLimits = SPAWN_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Calls `go` when it is this start's turn, maybe before it returns. The caller leaves the place it gets. */
  enter(host: string, go: () => void): StartPlace {
    let cancelExpiry: CancelTimer | undefined;
    let hasStarted = false;
    const waiting: Waiting = {
      host,
      go: () => {
        hasStarted = true;
        cancelExpiry = this.#clock.after(MAX_STARTING_MS, leave);
        go();
      },
    };
    let hasLeft = false;
    const leave = (): void => {
      if (hasLeft) return;
      hasLeft = true;
      cancelExpiry?.();
      this.#waiting.delete(waiting);
      if (hasStarted) this.#count(host, -1);
      this.#startNext();
    };
    this.#waiting.add(waiting);
    this.#startNext();
    return { leave };
  }

  #startNext(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const nowUs = this.#clock.monotonicUs();
    this.#recentUs = this.#recentUs.filter((atUs) => nowUs - atUs < WINDOW_US);
    for (const waiting of this.#waiting) {
      if (this.#starting >= this.#limits.maxStarting) return;
      if (this.#startingAt(waiting.host) >= this.#limits.maxStartingPerHost) continue;
      if (this.#recentUs.length >= this.#limits.maxPerSecond) return this.#wakeUp(nowUs);
      this.#waiting.delete(waiting);
      this.#recentUs.push(nowUs);
      this.#count(waiting.host, 1);
      waiting.go();
    }
  }

  #wakeUp(nowUs: number): void {
    // What was started meanwhile may have asked for it already.
    this.#cancelTimer?.();
    const inMs = Math.ceil((this.#recentUs[0]! + WINDOW_US - nowUs) / 1000);
    this.#cancelTimer = this.#clock.after(inMs, () => this.#startNext());
  }

  #startingAt(host: string): number {
    return this.#startingByHost.get(host) ?? 0;
  }

  #count(host: string, change: 1 | -1): void {
    this.#starting += change;
    const count = this.#startingAt(host) + change;
    if (count > 0) this.#startingByHost.set(host, count);
    else this.#startingByHost.delete(host);
  }
}
