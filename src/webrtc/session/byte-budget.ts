export interface ByteRate {
  readonly bytesPerSecond: number;
  /** That may be spent at once, by who has spent nothing for a while. */
  readonly burstBytes: number;
}

/** Of what is lost a viewer may ask for at most this much again; more would only fill a link that is full already. */
export const REPAIR_RATE: ByteRate = { bytesPerSecond: 500_000, burstBytes: 250_000 };

/** Token bucket over what is sent to one viewer besides the live stream. */
export class ByteBudget {
  readonly #rate: ByteRate;
  #tokens: number;
  #lastUs: number | undefined;

  constructor(rate: ByteRate) {
    this.#rate = rate;
    this.#tokens = rate.burstBytes;
  }

  /** False when the budget is used up. */
  spend(bytes: number, nowUs: number): boolean {
    const { bytesPerSecond, burstBytes } = this.#rate;
    const elapsedUs = this.#lastUs === undefined ? 0 : nowUs - this.#lastUs;
    this.#lastUs = nowUs;
    this.#tokens = Math.min(burstBytes, this.#tokens + (elapsedUs * bytesPerSecond) / 1_000_000);
    if (this.#tokens < bytes) return false;
    this.#tokens -= bytes;
    return true;
  }
}
