import type { CancelTimer, Clock } from '../../src/domain/clock.ts';

interface Due {
  atUs: number;
  order: number;
  periodUs: number | undefined;
  fire: () => void;
}

/** A clock that moves only when told to, so that a policy of minutes is tested in microseconds. */
export class ManualClock implements Clock {
  #nowUs = 0;
  #wallOffsetMs: number;
  #order = 0;
  readonly #due = new Set<Due>();

  constructor(startMs = 1_800_000_000_000) {
    this.#wallOffsetMs = startMs;
  }

  nowMs(): number {
    return this.#wallOffsetMs + Math.floor(this.#nowUs / 1000);
  }

  monotonicUs(): number {
    return this.#nowUs;
  }

  after(delayMs: number, fire: () => void): CancelTimer {
    return this.#add(delayMs, undefined, fire);
  }

  every(periodMs: number, fire: () => void): CancelTimer {
    return this.#add(periodMs, periodMs * 1000, fire);
  }

  /** The number of timers that wait, so that a test can show that nothing was left behind. */
  get pendingTimers(): number {
    return this.#due.size;
  }

  /** Steps only the wall clock, as an NTP correction would. */
  stepWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Time goes on, but nothing fires before the next `advance`: the process was frozen. */
  freeze(forMs: number): void {
    this.#nowUs += forMs * 1000;
  }

  /** Moves time on and fires what comes due, in order, including timers that are set on the way. */
  advance(byMs: number): void {
    const endUs = this.#nowUs + byMs * 1000;
    for (;;) {
      let next: Due | undefined;
      for (const due of this.#due) {
        if (due.atUs > endUs) continue;
        if (!next || due.atUs < next.atUs || (due.atUs === next.atUs && due.order < next.order)) next = due;
      }
      if (!next) break;
      this.#nowUs = Math.max(this.#nowUs, next.atUs);
      if (next.periodUs === undefined) this.#due.delete(next);
      else next.atUs += next.periodUs;
      next.fire();
    }
    this.#nowUs = endUs;
  }

  #add(delayMs: number, periodUs: number | undefined, fire: () => void): CancelTimer {
    const due: Due = { atUs: this.#nowUs + Math.max(0, delayMs) * 1000, order: this.#order++, periodUs, fire };
    this.#due.add(due);
    return () => void this.#due.delete(due);
  }
}
