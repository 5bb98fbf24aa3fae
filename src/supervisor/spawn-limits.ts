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
 * not met by all at the same moment. Hosts are served in turn, and at each of them who came first: many pushes to one that is down
 * keep nobody else waiting. A start never fails by this.
 */
export class SpawnQueue {
  readonly #clock: Clock;
  readonly #limits: SpawnLimits;
  /** By host; who was served last stands last. */
  readonly #waiting = new Map<string, Set<Waiting>>();
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
      this.#forget(waiting);
      if (hasStarted) this.#count(host, -1);
      this.#startNext();
    };
    const queue = this.#waiting.get(host) ?? new Set();
    this.#waiting.set(host, queue.add(waiting));
    this.#startNext();
    return { leave };
  }

  #startNext(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const nowUs = this.#clock.monotonicUs();
    this.#recentUs = this.#recentUs.filter((atUs) => nowUs - atUs < WINDOW_US);
    for (let next = this.#next(); next; next = this.#next()) {
      if (this.#recentUs.length >= this.#limits.maxPerSecond) return this.#wakeUp(nowUs);
      const { host } = next;
      this.#forget(next);
      const others = this.#waiting.get(host);
      if (others) {
        this.#waiting.delete(host);
        this.#waiting.set(host, others);
      }
      this.#recentUs.push(nowUs);
      this.#count(host, 1);
      next.go();
    }
  }

  #next(): Waiting | undefined {
    if (this.#starting >= this.#limits.maxStarting) return undefined;
    for (const [host, [first]] of this.#waiting) {
      if (this.#startingAt(host) < this.#limits.maxStartingPerHost) return first;
    }
    return undefined;
  }

  #forget(waiting: Waiting): void {
    const queue = this.#waiting.get(waiting.host);
    if (queue?.delete(waiting) && queue.size === 0) this.#waiting.delete(waiting.host);
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
