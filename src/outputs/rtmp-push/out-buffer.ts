import type { CancelTimer, Clock } from '../../domain/clock.ts';
import type { MediaUnit } from '../../domain/media.ts';

/** The keys `rtmp_out_buffer_*` (WCS documentation, "RTMP outgoing stream buffering"). */
export interface OutBufferSettings {
  /** What is gathered before the first unit goes out. */
  readonly initialSizeMs: number;
  /** What is gathered after the buffer has run empty. */
  readonly startSizeMs: number;
  /** How often it is looked at what is due. */
  readonly pollingTimeMs: number;
  /** How often it may gather, the first time included; then units go out as they come. -1 = without end. */
  readonly maxBufferings: number;
}

export interface OutBufferOptions extends OutBufferSettings {
  readonly clock: Clock;
  /** More is not held: what is over goes out ahead of its time. */
  readonly maxBytes: number;
  /** Takes a unit whose time has come. False when it can take no more until `resume`. */
  readonly release: (unit: MediaUnit) => boolean;
}

/** A source whose clock is fast, or a cached group of pictures, may put so much on top of what was gathered. */
const MAX_EXCESS_US = 1_000_000;

/**
 * Holds units back so that a source that comes unevenly goes out evenly, at the price of a delay: gathers some media, then lets
 * it out at the pace of its own timestamps, and gathers again when nothing is left. Drops nothing.
 *
 * `gathering` → nothing goes out until there is enough. `pacing` → units go out at their time. `passing` → as they come.
 */
export class OutBuffer {
  readonly #options: OutBufferOptions;
  readonly #cancelTimer: CancelTimer;
  #state: 'gathering' | 'pacing' | 'passing' = 'gathering';
  #units: MediaUnit[] = [];
  #bytes = 0;
  #bufferings = 0;
  #isBlocked = false;
  /** While pacing: what media time zero is on the clock. */
  #baseUs = 0;

  constructor(options: OutBufferOptions) {
    this.#options = options;
    this.#gather();
    this.#cancelTimer = options.clock.every(options.pollingTimeMs, () => this.#poll());
  }

  /** Times that it gathered, or does. */
  get bufferings(): number {
    return this.#bufferings;
  }

  get isGathering(): boolean {
    return this.#state === 'gathering';
  }

  /** Media time that is held. */
  get bufferedMs(): number {
    return Math.round(this.#bufferedUs() / 1000);
  }

  /** False when no more should be given until `resume` has been called; the unit itself is always taken. */
  push(unit: MediaUnit): boolean {
    this.#units.push(unit);
    this.#bytes += unit.data.length;
    if (this.#state === 'gathering' && (this.#bufferedUs() >= this.#targetUs() || this.#isOverfull())) this.#pace();
    this.#releaseDue();
    return !this.#isBlocked;
  }

  /** The taker of units can take again. */
  resume(): void {
    this.#isBlocked = false;
    this.#releaseDue();
  }

  close(): void {
    this.#cancelTimer();
    this.#units = [];
    this.#bytes = 0;
  }

  #poll(): void {
    this.#releaseDue();
    if (this.#state === 'pacing' && this.#units.length === 0) this.#gather();
  }

  #gather(): void {
    const { maxBufferings } = this.#options;
    if (maxBufferings >= 0 && this.#bufferings >= maxBufferings) {
      this.#state = 'passing';
      return;
    }
    this.#state = 'gathering';
    this.#bufferings += 1;
  }

  #pace(): void {
    this.#state = 'pacing';
    this.#baseUs = this.#options.clock.monotonicUs() - timeUs(this.#units[0]!);
  }

  #releaseDue(): void {
    if (this.#state === 'gathering') return;
    let count = 0;
    while (!this.#isBlocked && count < this.#units.length && this.#isDue(this.#units[count]!, count)) {
      const unit = this.#units[count++]!;
      this.#bytes -= unit.data.length;
      this.#isBlocked = !this.#options.release(unit);
    }
    if (count > 0) this.#units.splice(0, count);
  }

  #isDue(unit: MediaUnit, index: number): boolean {
    if (this.#state === 'passing') return true;
    const aheadUs = this.#bufferedUs(index) - Math.max(this.#targetUs(), this.#options.initialSizeMs * 1000);
    if (aheadUs <= MAX_EXCESS_US && !this.#isOverfull()) {
      return this.#baseUs + timeUs(unit) <= this.#options.clock.monotonicUs();
    }
    // Goes out early, and all that follows is due earlier by as much.
    this.#baseUs = Math.min(this.#baseUs, this.#options.clock.monotonicUs() - timeUs(unit));
    return true;
  }

  #isOverfull(): boolean {
    return this.#bytes > this.#options.maxBytes;
  }

  #targetUs(): number {
    const { initialSizeMs, startSizeMs } = this.#options;
    return (this.#bufferings === 1 ? initialSizeMs : startSizeMs) * 1000;
  }

  #bufferedUs(from = 0): number {
    const first = this.#units[from];
    return first ? Math.max(0, timeUs(this.#units.at(-1)!) - timeUs(first)) : 0;
  }
}

/** When it is to be decoded. */
function timeUs(unit: MediaUnit): number {
  return unit.kind === 'video' ? unit.dtsUs : unit.ptsUs;
}
