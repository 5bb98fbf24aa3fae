import { AwakeTime } from '../domain/awake-time.ts';
import type { DegradedReason } from '../supervisor/transponder-machine.ts';

export interface PushCondition {
  /** Waits for the destination. */
  readonly backlogBytes: number;
  /** Of what the destination takes. */
  readonly bitrateBps?: number | undefined;
  /** Given up since the run began, because the destination was slow. */
  readonly droppedUnits?: { readonly video: number; readonly audio: number } | undefined;
  /** The source has given no picture, or no sound where it has none, for seconds. */
  readonly isSourceFrozen?: boolean | undefined;
}

const NOTHING = { video: 0, audio: 0 };

export type HealthChange =
  | { readonly type: 'degraded'; readonly reason: DegradedReason; readonly detail: string }
  | { readonly type: 'recovered' };

const DEGRADED_BACKLOG_BYTES = 512 * 1024;
/** A fast stream on a long way has this much on its way at any time without being late. */
const ON_ITS_WAY_MS = 1000;
const DEGRADED_AFTER_US = 10_000_000;
/** A slow destination is given pictures and loses them again, a group at a time. */
const RECOVERED_AFTER_DROP_US = 10_000_000;

/**
 * Tells when a push that goes on is not well (state DEGRADED): its destination has been too slow for ten seconds or has cost it
 * pictures or sound, or its source gives nothing new. The first reason stays until all is well again.
 */
export class PushHealth {
  #time: AwakeTime | undefined;
  #isDegraded = false;
  #aboveSinceUs: number | undefined;
  #droppedUnits: number | undefined;
  #droppedAtUs = -Infinity;

  /** To be called several times a second; `nowUs` is monotonic. Returns a change, once. */
  observe(
    { backlogBytes, bitrateBps = 0, droppedUnits = NOTHING, isSourceFrozen = false }: PushCondition,
    nowUs: number,
  ): HealthChange | undefined {
    this.#time ??= new AwakeTime(nowUs);
    const awakeUs = this.#time.advance(nowUs);
    const bearableBytes = Math.max(DEGRADED_BACKLOG_BYTES, (bitrateBps * ON_ITS_WAY_MS) / 8000);
    const dropped = droppedUnits.video + droppedUnits.audio;
    // What was given up before it was ACTIVE was given up for the time that connecting took.
    const newlyDropped = dropped - (this.#droppedUnits ?? dropped);
    this.#droppedUnits = dropped;
    if (newlyDropped > 0) this.#droppedAtUs = awakeUs;
    if (this.#isDegraded) {
      if (awakeUs - this.#droppedAtUs < RECOVERED_AFTER_DROP_US) return undefined;
      if (isSourceFrozen || backlogBytes > bearableBytes / 2) return undefined;
      this.#isDegraded = false;
      this.#aboveSinceUs = undefined;
      return { type: 'recovered' };
    }
    this.#aboveSinceUs = backlogBytes > bearableBytes ? (this.#aboveSinceUs ?? awakeUs) : undefined;
    const isSlow = this.#aboveSinceUs !== undefined && awakeUs - this.#aboveSinceUs >= DEGRADED_AFTER_US;
    if (!isSlow && newlyDropped === 0 && !isSourceFrozen) return undefined;
    this.#isDegraded = true;
    if (newlyDropped > 0) {
      const detail = `${newlyDropped} pictures and sounds had waited for too long and were given up`;
      return { type: 'degraded', reason: 'backlog', detail };
    }
    if (isSlow)
      return { type: 'degraded', reason: 'backlog', detail: `${backlogBytes} bytes wait for the destination` };
    return { type: 'degraded', reason: 'source_frozen', detail: 'the source stream gives no new media' };
  }
}
