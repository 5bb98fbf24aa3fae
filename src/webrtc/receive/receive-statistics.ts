import type { ReportBlock } from '../../protocol/rtp/rtcp-types.ts';

const WINDOW_PACKETS = 2048;
const MAX_CUMULATIVE_LOST = 0x7f_ffff;
const MIN_CUMULATIVE_LOST = -0x80_0000;

/**
 * What a receiver report says of one source (RFC 3550 §6.4.1, A.3, A.8). Works on unwrapped packet indexes. Duplicates are
 * not counted as received, so they cannot hide losses; retransmissions on an RTX stream are not reported here at all.
 */
export class ReceiveStatistics {
  readonly #clockRateHz: number;
  /** The index last seen in each slot, to know duplicates. */
  readonly #seen = new Float64Array(WINDOW_PACKETS).fill(-1);
  #first = -1;
  #highest = -1;
  #received = 0;
  #duplicates = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #jitterTicks = 0;
  #transitTicks = Number.NaN;
  #lastRtpTimestamp = 0;

  constructor(clockRateHz: number) {
    this.#clockRateHz = clockRateHz;
  }

  /** Packets that came, without duplicates. */
  get receivedPackets(): number {
    return this.#received;
  }

  get duplicatePackets(): number {
    return this.#duplicates;
  }

  /** Packets expected so far that have not come (yet). */
  get lostPackets(): number {
    return this.#expected - this.#received;
  }

  /** @param rtpTimestamp the packet's 32 bits */
  received(index: number, rtpTimestamp: number, nowUs: number): void {
    if (index < 0) return;
    const slot = index & (WINDOW_PACKETS - 1);
    if (this.#seen[slot]! >= index) {
      // Same index: a duplicate. A newer one in the slot: too old to tell, taken for one too.
      this.#duplicates += 1;
      return;
    }
    this.#seen[slot] = index;
    this.#received += 1;
    if (this.#first === -1 || index < this.#first) this.#first = index;
    if (index > this.#highest) {
      this.#highest = index;
      this.#updateJitter(rtpTimestamp, nowUs);
    }
  }

  /**
   * The report block for now, `undefined` before the first packet. The fraction lost is that since the previous call.
   * `lastSr` is the compact NTP time of the source's last sender report and `delaySinceLastSr` its age in 2^-16 s, 0 and 0
   * without one.
   */
  report(ssrc: number, lastSr: number, delaySinceLastSr: number): ReportBlock | undefined {
    if (this.#highest === -1) return undefined;
    const expected = this.#expected;
    const expectedInterval = expected - this.#expectedBefore;
    const lostInterval = expectedInterval - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    return {
      ssrc,
      fractionLost:
        expectedInterval <= 0 || lostInterval <= 0
          ? 0
          : Math.min(255, Math.floor((lostInterval * 256) / expectedInterval)),
      cumulativeLost: Math.max(MIN_CUMULATIVE_LOST, Math.min(MAX_CUMULATIVE_LOST, this.lostPackets)),
      extendedHighestSequence: this.#highest % 0x1_0000_0000,
      jitter: Math.floor(this.#jitterTicks),
      lastSr,
      delaySinceLastSr,
    };
  }

  get #expected(): number {
    return this.#highest === -1 ? 0 : this.#highest - this.#first + 1;
  }

  /** RFC 3550 A.8, for the first packet of each frame: the others were sent later than their timestamp says. */
  #updateJitter(rtpTimestamp: number, nowUs: number): void {
    const arrivalTicks = (nowUs * this.#clockRateHz) / 1_000_000;
    if (!Number.isNaN(this.#transitTicks) && rtpTimestamp === this.#lastRtpTimestamp) return;
    this.#lastRtpTimestamp = rtpTimestamp;
    const transitTicks = arrivalTicks - rtpTimestamp;
    if (!Number.isNaN(this.#transitTicks)) {
      // Modular, because the timestamp wraps at 2^32.
      const difference = Math.abs(Math.round(transitTicks - this.#transitTicks) | 0);
      this.#jitterTicks += (difference - this.#jitterTicks) / 16;
    }
    this.#transitTicks = transitTicks;
  }
}
