import { compactNtp, ntpToUs, usToCompactNtp } from '../../protocol/rtp/ntp.ts';
import { rtpMarker, rtpPayloadEnd, rtpPayloadOffset, rtpSequence, rtpTimestamp } from '../../protocol/rtp/packet.ts';
import { buildFir, buildNack, buildPli } from '../../protocol/rtp/rtcp-build.ts';
import type { ReportBlock, SenderReport } from '../../protocol/rtp/rtcp-types.ts';
import { SequenceUnwrapper, TimestampUnwrapper } from '../../protocol/rtp/unwrap.ts';
import type { PublishTrack } from '../../protocol/sdp/plan.ts';
import type { RtpFrame } from '../media-worker.ts';
import { NackGenerator } from '../receive/nack-generator.ts';
import { PacketStore } from '../receive/packet-store.ts';
import { ReceiveStatistics } from '../receive/receive-statistics.ts';
import { ReorderBuffer } from '../receive/reorder-buffer.ts';
import { unwrapRtx } from '../receive/rtx.ts';
import { SequenceRewriter } from '../receive/sequence-rewriter.ts';
import { createFrameAssembler, type FrameAssembler } from './frame-assembler.ts';
import { keyframeProbe, type KeyframeProbe } from './keyframe-probe.ts';

export interface IncomingTrackEvents {
  /** A packet with payload, once, in order of arrival. `index` is the one that viewers see; `packet` is valid during the call. */
  onPacket(packet: Buffer, payloadStart: number, payloadEnd: number, index: number, startsKeyframe: boolean): void;
  onSize(width: number, height: number): void;
  onFrame(frame: RtpFrame): void;
  /** Only a keyframe helps. */
  onKeyframeNeeded(): void;
  /** A hole was given up; frames go on at the next keyframe. */
  onFramesLost(): void;
  onSenderReport(ntpUs: number, rtpTime: number): void;
}

const VIDEO_STORE_PACKETS = 2048;
const AUDIO_STORE_PACKETS = 256;
/** Nothing on the path to a browser carries more; the packet store and the fan-out have room for no more. */
const MAX_PACKET_BYTES = 1500;
const UNKNOWN = -1;
/** Some senders put SPS, PPS and the IDR in packets of their own, even under different timestamps. */
const MAX_PARAMETER_SET_PACKETS = 3;

/** The receive side of one published track: order, loss, repair, reports and, on demand, frames. */
export class IncomingTrack {
  readonly kind: 'video' | 'audio';
  readonly plan: PublishTrack;
  readonly store: PacketStore;
  /** Source indexes to the indexes that viewers see; padding leaves no hole in those. */
  readonly rewriter = new SequenceRewriter();
  /** -1 until the first packet where the offer announced none. */
  ssrc: number;
  /** Source index and arrival of the newest keyframe's first packet. */
  keyframeIndex = UNKNOWN;
  keyframeUs = 0;
  bytes = 0;
  frames = 0;
  nacksSent = 0;
  keyframeRequestsSent = 0;
  lastSenderReport: { readonly report: SenderReport; readonly arrivalUs: number } | undefined;

  readonly #senderSsrc: number;
  readonly #events: IncomingTrackEvents;
  readonly #sequences = new SequenceUnwrapper();
  readonly #timestamps = new TimestampUnwrapper();
  readonly #statistics: ReceiveStatistics;
  readonly #nacks: NackGenerator | undefined;
  readonly #reorder: ReorderBuffer;
  readonly #probe: KeyframeProbe | undefined;
  #assembler: FrameAssembler | undefined;
  #firSequence = 0;
  #unansweredRequest = false;
  #keyframeTimestamp = UNKNOWN;

  constructor(kind: 'video' | 'audio', plan: PublishTrack, senderSsrc: number, events: IncomingTrackEvents) {
    this.kind = kind;
    this.plan = plan;
    this.ssrc = plan.ssrc ?? UNKNOWN;
    this.#senderSsrc = senderSsrc;
    this.#events = events;
    this.store = new PacketStore(kind === 'video' ? VIDEO_STORE_PACKETS : AUDIO_STORE_PACKETS);
    this.#statistics = new ReceiveStatistics(plan.clockRateHz);
    this.#nacks = plan.feedback.nack ? new NackGenerator() : undefined;
    this.#probe = plan.codec === 'h264' || plan.codec === 'vp8' ? keyframeProbe(plan.codec) : undefined;
    this.#reorder = new ReorderBuffer({
      store: this.store,
      onPacket: (packet, _index, arrivalUs) => this.#assembler?.push(packet, arrivalUs),
      onLost: () => this.#lost(),
    });
  }

  get lostPackets(): number {
    return Math.max(0, this.#statistics.lostPackets);
  }

  receive(packet: Buffer, nowUs: number): void {
    const index = this.#sequences.unwrap(rtpSequence(packet));
    this.#statistics.received(index, rtpTimestamp(packet), nowUs);
    this.#accept(packet, index, nowUs);
  }

  /** A retransmission on the RTX stream; padding that only probes the bandwidth is ignored. */
  receiveRtx(packet: Buffer, nowUs: number): void {
    if (this.ssrc === UNKNOWN) return;
    const original = unwrapRtx(packet, this.ssrc, this.plan.payloadType);
    if (original) this.#accept(original, this.#sequences.unwrap(rtpSequence(original)), nowUs);
  }

  receiveSenderReport(report: SenderReport, nowUs: number): void {
    this.lastSenderReport = { report, arrivalUs: nowUs };
    if (this.#sequences.highest < 0) return;
    this.#events.onSenderReport(ntpToUs(report.ntp), this.#timestamps.unwrap(report.rtpTimestamp));
  }

  /** While wanted, frames are assembled, beginning with the cached GOP. */
  setFramesWanted(wanted: boolean): void {
    if (!wanted) {
      this.#assembler = undefined;
      return;
    }
    if (this.#assembler) return;
    this.#assembler = createFrameAssembler(this.plan, this.#timestamps, (frame) => this.#events.onFrame(frame));
    if (this.kind === 'audio' || !this.#hasWholeCachedGop()) return;
    for (let index = this.keyframeIndex; index < this.#reorder.nextIndex; index++) {
      const packet = this.store.get(index);
      if (packet && rtpPayloadEnd(packet) > rtpPayloadOffset(packet)) {
        this.#assembler.push(packet, this.store.arrivalUs(index));
      }
    }
  }

  /** To be called every 10 ms; the RTCP packets to send now. */
  poll(nowUs: number): Buffer | undefined {
    this.#reorder.poll(nowUs);
    if (!this.#nacks || this.ssrc === UNKNOWN) return undefined;
    const { sequences, givenUpPackets, isHopeless } = this.#nacks.poll(nowUs);
    if (this.kind === 'video' && (isHopeless || givenUpPackets > 0)) this.#events.onKeyframeNeeded();
    if (sequences.length === 0) return undefined;
    this.nacksSent += sequences.length;
    return buildNack(this.#senderSsrc, this.ssrc, sequences);
  }

  /** PLI; FIR too when a request went unanswered, because some senders know only that. */
  keyframeRequest(): Buffer | undefined {
    if (this.ssrc === UNKNOWN || (!this.plan.feedback.nackPli && !this.plan.feedback.ccmFir)) return undefined;
    this.keyframeRequestsSent++;
    const parts: Buffer[] = [];
    if (this.plan.feedback.nackPli) parts.push(buildPli(this.#senderSsrc, this.ssrc));
    if (this.plan.feedback.ccmFir && (this.#unansweredRequest || parts.length === 0)) {
      this.#firSequence = (this.#firSequence + 1) & 0xff;
      parts.push(buildFir(this.#senderSsrc, this.ssrc, this.#firSequence));
    }
    this.#unansweredRequest = true;
    return Buffer.concat(parts);
  }

  reportBlock(nowUs: number): ReportBlock | undefined {
    if (this.ssrc === UNKNOWN) return undefined;
    const last = this.lastSenderReport;
    return last
      ? this.#statistics.report(this.ssrc, compactNtp(last.report.ntp), usToCompactNtp(nowUs - last.arrivalUs))
      : this.#statistics.report(this.ssrc, 0, 0);
  }

  #accept(packet: Buffer, index: number, nowUs: number): void {
    if (index < 0 || this.store.has(index)) return;
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    if (end < 0 || packet.length > MAX_PACKET_BYTES) return;
    this.#nacks?.received(index, nowUs);
    this.bytes += packet.length;
    if (end === start) {
      this.rewriter.drop(index);
    } else {
      if (rtpMarker(packet)) this.frames++;
      const startsKeyframe =
        this.#probe !== undefined && this.#probeKeyframe(this.#probe, packet, start, end, index, nowUs);
      const outgoing = this.rewriter.map(index);
      if (outgoing >= 0) this.#events.onPacket(packet, start, end, outgoing, startsKeyframe);
    }
    this.#reorder.push(packet, index, nowUs);
  }

  #probeKeyframe(
    probe: KeyframeProbe,
    packet: Buffer,
    start: number,
    end: number,
    index: number,
    nowUs: number,
  ): boolean {
    const size = probe.sizeOf(packet, start, end);
    if (size) this.#events.onSize(size.width, size.height);
    if (!probe.startsKeyframe(packet, start, end)) return false;
    this.#unansweredRequest = false;
    // Parameter sets and the first slice may come in packets of their own: both say "start", the first one is it.
    const timestamp = rtpTimestamp(packet);
    const isSame = timestamp === this.#keyframeTimestamp || index - this.keyframeIndex <= MAX_PARAMETER_SET_PACKETS;
    if (this.keyframeIndex !== UNKNOWN && isSame && index > this.keyframeIndex) {
      this.#keyframeTimestamp = timestamp;
      return false;
    }
    this.#keyframeTimestamp = timestamp;
    this.keyframeIndex = index;
    this.keyframeUs = nowUs;
    return true;
  }

  #hasWholeCachedGop(): boolean {
    if (this.keyframeIndex === UNKNOWN) return false;
    for (let index = this.keyframeIndex; index < this.#reorder.nextIndex; index++) {
      if (!this.store.has(index)) return false;
    }
    return true;
  }

  #lost(): void {
    this.#assembler?.lost();
    if (this.kind !== 'video') return;
    this.#events.onFramesLost();
    this.#events.onKeyframeNeeded();
  }
}
