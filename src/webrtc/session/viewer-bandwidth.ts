import type { ReportBlock } from '../../protocol/rtp/rtcp-types.ts';

/** Loss from which on a viewer's picture suffers although lost packets are repeated. */
const HIGH_LOSS = 0.1;
/**
 * Of fewer nothing is told. Browsers send a report with every request for a lost packet, whose own fraction is of the few packets
 * since the last one: half of them lost, where it is two percent in the second.
 */
const MIN_JUDGED_PACKETS = 20;
/** A reduced estimate counts when it is below this part of what is sent. */
const LOW_ESTIMATE = 0.85;
const TELL_AFTER_US = 3_000_000;
const TELL_AGAIN_AFTER_US = 10_000_000;
const DROP_VIDEO_AFTER_US = 8_000_000;
const RETRY_VIDEO_AFTER_US = 10_000_000;

export type BandwidthVerdict =
  | { readonly action: 'none' | 'dropVideo' | 'resumeVideo' }
  | { readonly action: 'tell'; readonly availableBps: number };

const NOTHING: BandwidthVerdict = { action: 'none' };

/** Of a receiver report: both count from the beginning. */
export type ReceivedPackets = Pick<ReportBlock, 'cumulativeLost' | 'extendedHighestSequence'>;

/**
 * What to do about a viewer that cannot take the stream: tell it first, then send audio only, then try the picture again. The
 * publisher and the other viewers are never slowed (reference/webrtc.md, part one, point 6).
 */
export class ViewerBandwidth {
  #lossFraction = 0;
  #received: ReceivedPackets | undefined;
  /** Up to where `#lossFraction` was judged. */
  #judged: ReceivedPackets | undefined;
  #estimateBps = Number.POSITIVE_INFINITY;
  #poorSinceUs: number | undefined;
  #toldUs = Number.NEGATIVE_INFINITY;
  #droppedUs: number | undefined;

  /** Of a report on the video. */
  receiverReport(received: ReceivedPackets): void {
    this.#received = received;
    this.#judged ??= received;
  }

  /** Infinite before the viewer has said anything. */
  get estimateBps(): number {
    return this.#estimateBps;
  }

  receiverEstimate(bitrateBps: number): void {
    this.#estimateBps = bitrateBps;
  }

  /** To be called about once a second with what is being sent to the viewer. */
  judge(nowUs: number, sentBps: number): BandwidthVerdict {
    this.#judgeLoss();
    if (this.#droppedUs !== undefined) {
      if (nowUs - this.#droppedUs < RETRY_VIDEO_AFTER_US) return NOTHING;
      this.#droppedUs = undefined;
      this.#poorSinceUs = undefined;
      this.#lossFraction = 0;
      this.#judged = this.#received;
      return { action: 'resumeVideo' };
    }
    const availableBps = Math.min(this.#estimateBps, sentBps * (1 - this.#lossFraction));
    const isPoor = sentBps > 0 && (this.#lossFraction > HIGH_LOSS || this.#estimateBps < sentBps * LOW_ESTIMATE);
    if (!isPoor) {
      this.#poorSinceUs = undefined;
      return NOTHING;
    }
    this.#poorSinceUs ??= nowUs;
    const poorUs = nowUs - this.#poorSinceUs;
    if (poorUs >= DROP_VIDEO_AFTER_US && this.#lossFraction > 2 * HIGH_LOSS) {
      this.#droppedUs = nowUs;
      return { action: 'dropVideo' };
    }
    if (poorUs < TELL_AFTER_US || nowUs - this.#toldUs < TELL_AGAIN_AFTER_US) return NOTHING;
    this.#toldUs = nowUs;
    return { action: 'tell', availableBps: Math.round(availableBps) };
  }
  #judgeLoss(): void {
    const [from, to] = [this.#judged, this.#received];
    if (!from || !to) return;
    const packets = to.extendedHighestSequence - from.extendedHighestSequence;
    if (packets >= 0 && packets < MIN_JUDGED_PACKETS) return;
    this.#lossFraction = packets < 0 ? 0 : Math.max(0, to.cumulativeLost - from.cumulativeLost) / packets;
    this.#judged = to;
  }
}
