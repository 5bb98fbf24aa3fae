const DEGRADED_BACKLOG_BYTES = 512 * 1024;
const RECOVERED_BACKLOG_BYTES = DEGRADED_BACKLOG_BYTES / 2;
const DEGRADED_AFTER_US = 10_000_000;

/** Tells when a destination has been too slow for ten seconds, and when it has caught up (state DEGRADED). */
export class BacklogHealth {
  #isDegraded = false;
  #aboveSinceUs: number | undefined;

  /** `nowUs` is monotonic. Returns a change, once. */
  observe(backlogBytes: number, nowUs: number): 'degraded' | 'recovered' | undefined {
    if (this.#isDegraded) {
      if (backlogBytes > RECOVERED_BACKLOG_BYTES) return undefined;
      this.#isDegraded = false;
      this.#aboveSinceUs = undefined;
      return 'recovered';
    }
    if (backlogBytes <= DEGRADED_BACKLOG_BYTES) {
      this.#aboveSinceUs = undefined;
      return undefined;
    }
    this.#aboveSinceUs ??= nowUs;
    if (nowUs - this.#aboveSinceUs < DEGRADED_AFTER_US) return undefined;
    this.#isDegraded = true;
    return 'degraded';
  }
}
