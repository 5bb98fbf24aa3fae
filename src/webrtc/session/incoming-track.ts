import type { ProtocolError } from '../../domain/errors.ts';
import { compactNtp, usToCompactNtp } from '../../protocol/rtp/ntp.ts';
import {
  rtpMarker,
  rtpPayloadEnd,
  rtpPayloadOffset,
  rtpPayloadType,
  rtpSequence,
  rtpTimestamp,
} from '../../protocol/rtp/packet.ts';
import { buildFir, buildNack, buildPli } from '../../protocol/rtp/rtcp-build.ts';
import type { ReportBlock, SenderReport } from '../../protocol/rtp/rtcp-types.ts';
import { SequenceUnwrapper } from '../../protocol/rtp/unwrap.ts';
import type { PublishTrack } from '../../protocol/sdp/plan.ts';
import type { RtpFrame } from '../media-worker.ts';
import { NackGenerator } from '../receive/nack-generator.ts';
import { PacketStore } from '../receive/packet-store.ts';
import { ReceiveStatistics } from '../receive/receive-statistics.ts';
import { ReorderBuffer } from '../receive/reorder-buffer.ts';
import { unwrapRtx } from '../receive/rtx.ts';
import { SequenceRewriter } from '../receive/sequence-rewriter.ts';
import { keyframeProbe, type KeyframeProbe } from './keyframe-probe.ts';
import type { SourceTrack, TimedSenderReport } from './media-source.ts';
import { NewestKeyframe } from './newest-keyframe.ts';
import { TrackFrames } from './track-frames.ts';

export interface IncomingTrackEvents {
  /**
   * A packet for the viewers, once, in order of arrival. `index` is the one that viewers see; `packet` is valid during the
   * call. A packet without payload only fills a place in the order that viewers would miss.
   */
  onPacket(packet: Buffer, payloadStart: number, payloadEnd: number, index: number, startsKeyframe: boolean): void;
  onSize(width: number, height: number): void;
  onFrame(frame: RtpFrame): void;
  /** Only a keyframe helps. */
  onKeyframeNeeded(): void;
  /** A hole was given up; frames go on at the next keyframe. */
  onFramesLost(): void;
  /** The sender's media cannot be read; frames go on at the next keyframe. */
  onMalformed(error: ProtocolError): void;
  onSenderReport(ntpUs: number, rtpTime: number): void;
}

const VIDEO_STORE_PACKETS = 2048;
const AUDIO_STORE_PACKETS = 256;
/** A hole in audio: whoever makes units of it has put silence there after 120 ms, so what waits longer is lost too. */
const MAX_AUDIO_HOLE_US = 60_000;
/** A hole in video is repaired by then or not at all (as in `NackGenerator`). */
const MAX_VIDEO_HOLE_US = 500_000;
/** Nothing on the path to a browser carries more; the packet store and the fan-out have room for no more. */
const MAX_PACKET_BYTES = 1500;
/** A longer hole is not repaired (as in `NackGenerator`), so viewers need not wait for it. */
const MAX_REPAIRABLE_PACKETS = 1000;
/** Another SSRC of the same payload type may take over from one that was silent for so long. */
const SILENCE_US = 500_000;
/** Sender reports more often than this are ignored: each one goes to every viewer. */
const MIN_SENDER_REPORT_SPACING_US = 100_000;
const SEQUENCE_CYCLE = 0x10000;
const UNKNOWN = -1;

/** The receive side of one published track: order, loss, repair, reports and, on demand, frames. */
export class IncomingTrack implements SourceTrack {
  readonly kind: 'video' | 'audio';
  readonly plan: PublishTrack;
  readonly store: PacketStore;
  readonly rewriter = new SequenceRewriter();
  readonly keyframe = new NewestKeyframe();
  readonly isReplayedOnRequest = false;
  /** -1 until the first packet where the offer announced none. */
  ssrc: number;
  lastSenderReport: TimedSenderReport | undefined;
  /** Payload that came, each packet once, in whatever way it came. */
  payloadBytes = 0;
  frames = 0;
  /** Packets of media, as `payloadBytes` counts them. */
  packets = 0;
  nacksSent = 0;
  keyframeRequestsSent = 0;

  readonly #senderSsrc: number;
  readonly #events: IncomingTrackEvents;
  readonly #nacks: NackGenerator | undefined;
  readonly #reorder: ReorderBuffer;
  readonly #probe: KeyframeProbe | undefined;
  #sequences = new SequenceUnwrapper();
  #statistics: ReceiveStatistics;
  /** Index of the present SSRC's sequence number 0 in its first cycle. */
  #baseIndex = 0;
  #lostBefore = 0;
  #hasSwitched = false;
  #lastPacketUs = Number.NEGATIVE_INFINITY;
  #frames: TrackFrames | undefined;
  #firSequence = 0;
  #isRequestOpen = false;

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
      maxWaitUs: kind === 'audio' ? MAX_AUDIO_HOLE_US : MAX_VIDEO_HOLE_US,
      onPacket: (packet, _index, arrivalUs) => this.#assemble(packet, arrivalUs),
      onLost: () => this.#lost(),
    });
  }

  get clockRateHz(): number {
    return this.plan.clockRateHz;
  }

  get lostPackets(): number {
    return this.#lostBefore + Math.max(0, this.#statistics.lostPackets);
  }

  /** A keyframe was asked for and none has come since. */
  get isKeyframeDue(): boolean {
    return this.#isRequestOpen;
  }

  receive(packet: Buffer, nowUs: number): void {
    this.#lastPacketUs = nowUs;
    const index = this.#indexOf(packet);
    this.#statistics.received(index - this.#baseIndex, rtpTimestamp(packet), nowUs);
    this.#accept(packet, index, nowUs);
  }

  /** A retransmission on the RTX stream; padding that only probes the bandwidth is ignored. */
  receiveRtx(packet: Buffer, nowUs: number): void {
    if (this.ssrc === UNKNOWN) return;
    const original = unwrapRtx(packet, this.ssrc, this.plan.payloadType);
    if (original) this.#accept(original, this.#indexOf(original), nowUs);
  }

  /** False when it came too soon after the last one. */
  receiveSenderReport(report: SenderReport, nowUs: number): boolean {
    if (this.lastSenderReport && nowUs - this.lastSenderReport.arrivalUs < MIN_SENDER_REPORT_SPACING_US) return false;
    this.lastSenderReport = { report, arrivalUs: nowUs };
    this.#frames?.senderReport(report);
    return true;
  }

  /** The sender has said goodbye to its SSRC (RFC 3550 §6.6): another one may follow at once. */
  receiveGoodbye(): void {
    this.#lastPacketUs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Goes on with another SSRC where the sender has changed it, which browsers never do and restarted encoders may; false while
   * the present one is alive. Its packets follow in the next cycle of indexes, so that viewers see one stream.
   */
  switchTo(ssrc: number, nowUs: number): boolean {
    if (this.ssrc !== UNKNOWN && this.store.highest >= 0) {
      if (nowUs - this.#lastPacketUs < SILENCE_US) return false;
      this.#baseIndex = (Math.floor(this.store.highest / SEQUENCE_CYCLE) + 1) * SEQUENCE_CYCLE;
      this.#lostBefore = this.lostPackets;
      this.#sequences = new SequenceUnwrapper();
      this.#statistics = new ReceiveStatistics(this.clockRateHz);
      this.#hasSwitched = true;
      this.lastSenderReport = undefined;
    }
    this.ssrc = ssrc;
    return true;
  }

  /** While wanted, frames are assembled, beginning with the cached GOP where it is whole. */
  setFramesWanted(wanted: boolean): void {
    if (!wanted) {
      this.#frames = undefined;
      return;
    }
    if (this.#frames) return;
    this.#frames = new TrackFrames(this.plan, {
      onFrame: (frame) => this.#events.onFrame(frame),
      onSenderReport: (ntpUs, rtpTime) => this.#events.onSenderReport(ntpUs, rtpTime),
      onMalformed: (error) => {
        this.#events.onMalformed(error);
        this.#events.onKeyframeNeeded();
      },
    });
    if (this.lastSenderReport) this.#frames.senderReport(this.lastSenderReport.report);
    if (this.kind === 'audio') return;
    if (this.#hasWholeCachedGop()) this.#assembleCachedGop();
    else this.#events.onKeyframeNeeded();
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
    const { nackPli, ccmFir } = this.plan.feedback;
    if (this.ssrc === UNKNOWN || (!nackPli && !ccmFir)) return undefined;
    this.keyframeRequestsSent++;
    const parts: Buffer[] = [];
    if (nackPli) parts.push(buildPli(this.#senderSsrc, this.ssrc));
    if (ccmFir && (this.#isRequestOpen || !nackPli)) {
      this.#firSequence = (this.#firSequence + 1) & 0xff;
      parts.push(buildFir(this.#senderSsrc, this.ssrc, this.#firSequence));
    }
    this.#isRequestOpen = true;
    return Buffer.concat(parts);
  }

  reportBlock(nowUs: number): ReportBlock | undefined {
    if (this.ssrc === UNKNOWN) return undefined;
    const last = this.lastSenderReport;
    return last
      ? this.#statistics.report(this.ssrc, compactNtp(last.report.ntp), usToCompactNtp(nowUs - last.arrivalUs))
      : this.#statistics.report(this.ssrc, 0, 0);
  }

  #indexOf(packet: Buffer): number {
    const index = this.#sequences.unwrap(rtpSequence(packet));
    return index < 0 ? index : this.#baseIndex + index;
  }

  #accept(packet: Buffer, index: number, nowUs: number): void {
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    if (end < 0 || packet.length > MAX_PACKET_BYTES) return;
    const highestBefore = this.store.highest;
    // Duplicates and what is older than the store end here.
    if (!this.#reorder.push(packet, index, nowUs)) return;
    this.#nacks?.received(index, nowUs);
    const isLongHole = highestBefore >= 0 && index - highestBefore > MAX_REPAIRABLE_PACKETS;
    if (isLongHole || this.#hasSwitched) this.rewriter.skipTo(index);
    this.#hasSwitched = false;
    const isMedia = end > start && this.#isMedia(packet);
    if (!isMedia && this.rewriter.drop(index)) return;
    const outgoing = this.rewriter.map(index);
    const startsKeyframe = isMedia && this.#inspect(packet, start, end, index, nowUs);
    if (outgoing >= 0) this.#events.onPacket(packet, start, isMedia ? end : start, outgoing, startsKeyframe);
  }

  /** Under the SSRC of the media there may also come DTMF or comfort noise, which were not agreed on. */
  #isMedia(packet: Buffer): boolean {
    return rtpPayloadType(packet) === this.plan.payloadType;
  }

  /** Counts a media packet; whether it is the first one of a keyframe. */
  #inspect(packet: Buffer, start: number, end: number, index: number, nowUs: number): boolean {
    this.payloadBytes += end - start;
    this.packets++;
    if (rtpMarker(packet)) this.frames++;
    if (!this.#probe) return false;
    const size = this.#probe.sizeOf(packet, start, end);
    if (size) this.#events.onSize(size.width, size.height);
    if (!this.#probe.startsKeyframe(packet, start, end)) return false;
    const startsNew = this.keyframe.startsNew(index, rtpTimestamp(packet), nowUs);
    if (startsNew) this.#isRequestOpen = false;
    return startsNew;
  }

  #assemble(packet: Buffer, arrivalUs: number): void {
    if (this.#frames && this.#isMedia(packet)) this.#frames.push(packet, arrivalUs);
  }

  #hasWholeCachedGop(): boolean {
    const { index: first } = this.keyframe;
    if (first === UNKNOWN) return false;
    for (let index = first; index < this.#reorder.nextIndex; index++) if (!this.store.has(index)) return false;
    return true;
  }

  /** Up to what the reorder buffer will deliver next. */
  #assembleCachedGop(): void {
    for (let index = this.keyframe.index; index < this.#reorder.nextIndex; index++) {
      const packet = this.store.get(index);
      if (packet && rtpPayloadEnd(packet) > rtpPayloadOffset(packet)) {
        this.#assemble(packet, this.store.arrivalUs(index));
      }
    }
  }

  #lost(): void {
    this.#frames?.lost();
    if (this.kind !== 'video') return;
    this.#events.onFramesLost();
    this.#events.onKeyframeNeeded();
  }
}
