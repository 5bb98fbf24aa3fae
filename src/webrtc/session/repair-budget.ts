/** A viewer may ask for at most this much again; more would only fill a link that is full already. */
const BYTES_PER_SECOND = 500_000;
const BURST_BYTES = 250_000;

/** Token bucket over the retransmissions of one viewer. */
export class RepairBudget {
  #tokens = BURST_BYTES;
  #lastUs: number | undefined;

  /** False when the budget is used up. */
  spend(bytes: number, nowUs: number): boolean {
    const elapsedUs = this.#lastUs === undefined ? 0 : nowUs - this.#lastUs;
    this.#lastUs = nowUs;
    this.#tokens = Math.min(BURST_BYTES, this.#tokens + (elapsedUs * BYTES_PER_SECOND) / 1_000_000);
    if (this.#tokens < bytes) return false;
    this.#tokens -= bytes;
    return true;
  }
}
