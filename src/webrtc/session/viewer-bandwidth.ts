/** Loss from which on a viewer's picture suffers although lost packets are repeated. */
const HIGH_LOSS = 0.1;
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

/**
 * What to do about a viewer that cannot take the stream: tell it first, then send audio only, then try the picture again. The
 * publisher and the other viewers are never slowed (reference/webrtc.md, part one, point 6).
 */
export class ViewerBandwidth {
  #lossFraction = 0;
  #estimateBps = Number.POSITIVE_INFINITY;
  #poorSinceUs: number | undefined;
  #toldUs = Number.NEGATIVE_INFINITY;
  #droppedUs: number | undefined;

  /** `fractionLost` is the 8-bit field of a receiver report on the video. */
  receiverReport(fractionLost: number): void {
    this.#lossFraction = fractionLost / 256;
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
    if (this.#droppedUs !== undefined) {
      if (nowUs - this.#droppedUs < RETRY_VIDEO_AFTER_US) return NOTHING;
      this.#droppedUs = undefined;
      this.#poorSinceUs = undefined;
      this.#lossFraction = 0;
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
}
