import { AwakeTime } from '../domain/awake-time.ts';
import type { DegradedReason } from '../supervisor/transponder-machine.ts';

export interface PushCondition {
  /** Waits for the destination. */
  readonly backlogBytes: number;
  /** Of what the destination takes. */
  readonly bitrateBps?: number | undefined;
  /** The source has given no picture, or no sound where it has none, for seconds. */
  readonly isSourceFrozen?: boolean | undefined;
}

export type HealthChange =
  | { readonly type: 'degraded'; readonly reason: DegradedReason; readonly detail: string }
  | { readonly type: 'recovered' };

const DEGRADED_BACKLOG_BYTES = 512 * 1024;
/** A fast stream on a long way has this much on its way at any time without being late. */
const ON_ITS_WAY_MS = 1000;
const DEGRADED_AFTER_US = 10_000_000;

/**
 * Tells when a push that goes on is not well (state DEGRADED): its destination has been too slow for ten seconds, or its source
 * gives nothing new. The first reason stays until all is well again.
 */
export class PushHealth {
  #time: AwakeTime | undefined;
  #isDegraded = false;
  #aboveSinceUs: number | undefined;

  /** To be called several times a second; `nowUs` is monotonic. Returns a change, once. */
  observe(
    { backlogBytes, bitrateBps = 0, isSourceFrozen = false }: PushCondition,
    nowUs: number,
  ): HealthChange | undefined {
    this.#time ??= new AwakeTime(nowUs);
    const awakeUs = this.#time.advance(nowUs);
    const bearableBytes = Math.max(DEGRADED_BACKLOG_BYTES, (bitrateBps * ON_ITS_WAY_MS) / 8000);
    if (this.#isDegraded) {
      if (isSourceFrozen || backlogBytes > bearableBytes / 2) return undefined;
      this.#isDegraded = false;
      this.#aboveSinceUs = undefined;
      return { type: 'recovered' };
    }
    this.#aboveSinceUs = backlogBytes > bearableBytes ? (this.#aboveSinceUs ?? awakeUs) : undefined;
    const isSlow = this.#aboveSinceUs !== undefined && awakeUs - this.#aboveSinceUs >= DEGRADED_AFTER_US;
    if (!isSlow && !isSourceFrozen) return undefined;
    this.#isDegraded = true;
    if (isSlow)
      return { type: 'degraded', reason: 'backlog', detail: `${backlogBytes} bytes wait for the destination` };
    return { type: 'degraded', reason: 'source_frozen', detail: 'the source stream gives no new media' };
  }
}
