import { AwakeTime } from '../../domain/awake-time.ts';
import { FlowWatch } from './flow-watch.ts';

export interface Delivery {
  /** Taken by the destination so far. */
  readonly bytesAccepted: number;
  /** It has taken something since the last report. */
  readonly takesMore: boolean;
  /** Given by the source and not taken yet, wherever it waits. */
  readonly waitingBytes: number;
  /** The destination has accepted `publish`, and a keyframe was written. */
  readonly hasBegun: boolean;
  /** Media are held back on purpose. */
  readonly isGathering: boolean;
}

export type DeliveryVerdict = 'active' | 'stalled' | 'never_active';

/** A source that gives nothing for so long is idle, and nothing can be expected at its destination. */
const IDLE_SOURCE_US = 1_000_000;

/** Decides whether a push may say that it is ACTIVE: a claim that expires (design §4). */
export class DeliveryWatch {
  #startTimeoutUs: number;
  readonly #awake: AwakeTime;
  readonly #flow: FlowWatch;
  #lastUnitUs = 0;
  #isActive = false;
  #wasActive = false;

  /** `startTimeoutMs` is what it has to become active for the first time, the gathering of media not counted. */
  constructor(startTimeoutMs: number, stallTimeoutMs: number, nowUs: number) {
    this.#startTimeoutUs = startTimeoutMs * 1000;
    this.#awake = new AwakeTime(nowUs);
    this.#flow = new FlowWatch(stallTimeoutMs, this.#awake.us);
  }

  /** Time that this process has been awake, as of the last look. */
  get awakeUs(): number {
    return this.#awake.us;
  }

  /** The source has given something. */
  unitGiven(): void {
    this.#lastUnitUs = this.#awake.us;
  }

  /** A look, several times a second: what has changed, if anything. */
  observe(delivery: Delivery, nowUs: number): DeliveryVerdict | undefined {
    const { bytesAccepted, waitingBytes, hasBegun, takesMore, isGathering } = delivery;
    const lookedUs = this.#awake.us;
    const awakeUs = this.#awake.advance(nowUs);
    if (isGathering) this.#startTimeoutUs += awakeUs - lookedUs;
    const isSourceIdle = awakeUs - this.#lastUnitUs > IDLE_SOURCE_US || isGathering;
    const isFlowing = this.#flow.isFlowing({ bytesAccepted, waitingBytes, isSourceIdle }, awakeUs);
    if (this.#isActive && !isFlowing) {
      this.#isActive = false;
      return 'stalled';
    }
    if (!this.#isActive && isFlowing && hasBegun && takesMore) {
      this.#isActive = true;
      this.#wasActive = true;
      return 'active';
    }
    return !this.#wasActive && awakeUs > this.#startTimeoutUs ? 'never_active' : undefined;
  }
}
