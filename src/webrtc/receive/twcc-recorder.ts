import { buildTransportFeedback, TWCC_TICK_US } from '../../protocol/rtp/transport-feedback.ts';
import { SequenceUnwrapper } from '../../protocol/rtp/unwrap.ts';

const INTERVAL_US = 40_000;
const WINDOW_PACKETS = 2048;
/** Keeps a message under 1,200 bytes in the worst case: two bytes per arrival, and two per seven packets of the window. */
const MAX_ARRIVALS_PER_MESSAGE = 250;

/**
 * Records the arrival of every packet of one transport, over all its tracks, and makes the transport-wide feedback for the
 * sender (draft-holmer-rmcat-transport-wide-cc-extensions-01). Packets that come late are reported again together with
 * what followed them.
 */
export class TwccRecorder {
  readonly #senderSsrc: number;
  readonly #unwrapper = new SequenceUnwrapper();
  readonly #indexes = new Float64Array(WINDOW_PACKETS).fill(-1);
  readonly #arrivalTicks = new Float64Array(WINDOW_PACKETS);
  #mediaSsrc = 0;
  /** First index of the next message. */
  #next = -1;
  #feedbackCount = 0;
  #lastFeedbackUs = Number.NEGATIVE_INFINITY;
  #isDirty = false;

  constructor(senderSsrc: number) {
    this.#senderSsrc = senderSsrc;
  }

  /** @param transportSequence the packet's 16 bits; @param mediaSsrc of any track: a message names the last one */
  received(transportSequence: number, mediaSsrc: number, nowUs: number): void {
    const index = this.#unwrapper.unwrap(transportSequence);
    const slot = index & (WINDOW_PACKETS - 1);
    // A duplicate keeps its first arrival; what is older than the window is of no use to the sender.
    if (index < 0 || this.#indexes[slot]! >= index) return;
    this.#indexes[slot] = index;
    this.#arrivalTicks[slot] = Math.floor(nowUs / TWCC_TICK_US);
    this.#mediaSsrc = mediaSsrc;
    this.#isDirty = true;
    if (this.#next === -1 || index < this.#next) this.#next = index;
  }

  /** The feedback messages that are due: none, or usually one, every 40 ms while packets come. */
  poll(nowUs: number): Buffer[] {
    if (!this.#isDirty || nowUs - this.#lastFeedbackUs < INTERVAL_US) return [];
    this.#lastFeedbackUs = nowUs;
    this.#isDirty = false;
    const end = this.#unwrapper.highest + 1;
    this.#next = Math.max(this.#next, end - WINDOW_PACKETS);
    const messages: Buffer[] = [];
    while (this.#next < end) {
      const arrivalTicks = this.#arrivals(this.#next, end);
      const { packet, statusCount } = buildTransportFeedback({
        senderSsrc: this.#senderSsrc,
        mediaSsrc: this.#mediaSsrc,
        feedbackCount: this.#feedbackCount,
        baseSequence: this.#next & 0xffff,
        arrivalTicks,
      });
      messages.push(packet);
      this.#feedbackCount = (this.#feedbackCount + 1) & 0xff;
      this.#next += statusCount;
    }
    return messages;
  }

  /** Ticks of the packets from `start` on, as many as fit into one message; NaN for the missing ones. */
  #arrivals(start: number, end: number): Float64Array {
    const ticks = new Float64Array(end - start).fill(Number.NaN);
    let arrivals = 0;
    let index = start;
    for (; index < end && arrivals < MAX_ARRIVALS_PER_MESSAGE; index++) {
      const slot = index & (WINDOW_PACKETS - 1);
      if (this.#indexes[slot] !== index) continue;
      ticks[index - start] = this.#arrivalTicks[slot]!;
      arrivals += 1;
    }
    return ticks.subarray(0, index - start);
  }
}
