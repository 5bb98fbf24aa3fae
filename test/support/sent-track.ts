/** What a test's publisher has sent of one track, by which is judged what came of it. */
export class SentTrack {
  readonly #clockRateHz: number;
  /** Of each packet: when it came, and how much more time than media had passed just before and just after. */
  readonly #packets: { readonly atMs: number; readonly lateMs: number }[] = [];
  #first: { readonly atMs: number } | undefined;
  #rtpTimestamp = 0;
  #mediaUnits = 0;

  constructor(clockRateHz: number) {
    this.#clockRateHz = clockRateHz;
  }

  /** How far the track's own timeline has gone. */
  get mediaMs(): number {
    return (this.#mediaUnits / this.#clockRateHz) * 1000;
  }

  note(rtpPacket: Buffer): void {
    const rtpTimestamp = rtpPacket.readUInt32BE(4);
    const atMs = performance.now();
    if (this.#first) {
      this.#packets.push({ atMs, lateMs: this.#lateMs(atMs) });
      this.#mediaUnits += (rtpTimestamp - this.#rtpTimestamp) | 0;
    }
    this.#rtpTimestamp = rtpTimestamp;
    this.#first ??= { atMs };
    this.#packets.push({ atMs, lateMs: this.#lateMs(atMs) });
  }

  /** How unevenly it came since then (of `performance.now()`): by how much it was later at some times than at others. */
  jitterMs(sinceMs: number): number {
    const since = this.#packets.filter(({ atMs }) => atMs >= sinceMs).map(({ lateMs }) => lateMs);
    const late = [...since, this.#lateMs(performance.now())];
    return late.reduce((max, ms) => Math.max(max, ms)) - late.reduce((min, ms) => Math.min(min, ms));
  }

  #lateMs(atMs: number): number {
    return this.#first ? atMs - this.#first.atMs - this.mediaMs : 0;
  }
}
