const PERIOD_US = 500_000;

/** Says when the progress of a push is to be told again, and at what rate its destination took bytes since the last time. */
export class PushReport {
  #bytes = 0;
  #atUs: number;

  constructor(nowUs: number) {
    this.#atUs = nowUs;
  }

  /** Taken by the destination, as of the last report. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The rate, once a report is due. */
  bitrateIfDue(bytesAccepted: number, nowUs: number): number | undefined {
    const elapsedUs = nowUs - this.#atUs;
    if (elapsedUs < PERIOD_US) return undefined;
    const bitrateBps = Math.round(((bytesAccepted - this.#bytes) * 8_000_000) / elapsedUs);
    this.#bytes = bytesAccepted;
    this.#atUs = nowUs;
    return bitrateBps;
  }
}
