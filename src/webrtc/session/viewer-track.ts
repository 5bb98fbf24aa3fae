import type { Clock } from '../../domain/clock.ts';
import { compactNtp, ntpToUs, usToNtp } from '../../protocol/rtp/ntp.ts';
import {
  RTP_HEADER_BYTES,
  rtpMarker,
  rtpPayloadEnd,
  rtpPayloadOffset,
  rtpTimestamp,
  writeRtpHeader,
} from '../../protocol/rtp/packet.ts';
import { buildSdesCname, buildSenderReport } from '../../protocol/rtp/rtcp-build.ts';
import { writeRtx } from '../receive/rtx.ts';
import type { FanoutViewer, SrtpFanout } from '../srtp/fanout.ts';
import type { SrtpMaster } from '../srtp/srtp.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { BurstPacket } from './forward-turn.ts';
import { GopReplay } from './gop-replay.ts';
import type { SourceTrack, TimedSenderReport } from './media-source.ts';
import type { OutgoingTrack } from './outgoing-track.ts';
import { MAX_REPLAY_AGE_US, MAX_REPLAY_PACKETS, MIN_REPLAY_SPACING_US, SHORT_STEP_TICKS_DIVISOR } from './replay.ts';
import type { SecureTransport } from './secure-transport.ts';

const MAX_SENDER_REPORT_AGE_US = 10_000_000;
/** A whole packet of the store, and two bytes of RTX. */
const SCRATCH_BYTES = 1502;

/** One packet is written and sent at a time; all sessions share the buffers. */
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const rtxScratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

export interface ViewerTrackOptions {
  readonly source: SourceTrack;
  readonly out: OutgoingTrack;
  readonly transport: SecureTransport;
  readonly cname: string;
  readonly clock: Clock;
  /** What the viewer says it can take; infinite where it says nothing. */
  readonly availableBps: () => number;
  /** Media begins to flow, the first time or after a pause. */
  readonly onStart: () => void;
}

/** One track of one viewer: the source's packets as they are, with the viewer's own header fields. */
export class ViewerTrack {
  readonly out: OutgoingTrack;
  readonly #options: ViewerTrackOptions;
  readonly transport: SecureTransport;
  #viewer: FanoutViewer | undefined;
  #replay: GopReplay | undefined;
  #lastReplayUs = Number.NEGATIVE_INFINITY;
  /** What comes before this index is replayed, or has been. */
  #liveFrom = 0;
  #leaveFanout: () => void = () => {};

  constructor(options: ViewerTrackOptions) {
    this.#options = options;
    this.out = options.out;
    this.transport = options.transport;
  }

  /** Nothing is forwarded before. Ended by `disconnect`. */
  connect(fanout: SrtpFanout, master: SrtpMaster): void {
    const viewer = fanout.addViewer(master, (packet) => this.transport.sendProtected(packet));
    this.#viewer = viewer;
    this.#leaveFanout = () => fanout.removeViewer(viewer);
  }

  disconnect(): void {
    this.#viewer = undefined;
    this.#stopReplay();
    this.#leaveFanout();
  }

  get isReplaying(): boolean {
    return this.#replay !== undefined;
  }

  /** Nothing is forwarded any more before the next keyframe or replay. */
  pause(): void {
    this.#stopReplay();
    this.out.pause();
  }

  /** Begins with any packet of audio, and with the first one of a keyframe. */
  forward(fanout: SrtpFanout, packet: BurstPacket): void {
    if (this.#viewer === undefined || this.#replay || packet.index < this.#liveFrom) return;
    const { out } = this;
    if (!out.live) {
      if (packet.kind === 'video' && !packet.startsKeyframe) return;
      if (this.#options.source.isReplayedOnRequest) {
        // Several pictures may be coming at once. They are stored by then.
        queueMicrotask(() => this.#replayWaiting());
        return;
      }
      this.#start(packet.index);
    }
    const index = out.indexFor(packet.index);
    if (index < 0) return;
    const timestamp = out.timestampFor(packet.index, packet.timestamp);
    fanout.queue(this.#viewer, packet.slot, index, packet.markerBit | out.payloadType, timestamp, out.ssrc);
    out.sent(packet.index, timestamp, packet.payloadBytes, packet.markerBit !== 0);
  }

  /** Sends the cached GOP; false where there is none that is worth it (see `replay.ts`). */
  replay(): boolean {
    const { clock, source } = this.#options;
    const nowUs = clock.monotonicUs();
    return source.isReplayedOnRequest ? this.#replayPaced(nowUs) : this.#replayAtOnce(nowUs);
  }

  /**
   * Where the viewer asks for a keyframe that no encoder makes. True also where it has just got one: viewers ask again as long
   * as they need it.
   */
  replayAgain(): boolean {
    const { clock, source } = this.#options;
    if (!source.isReplayedOnRequest) return false;
    const nowUs = clock.monotonicUs();
    return this.isReplaying || nowUs - this.#lastReplayUs < MIN_REPLAY_SPACING_US || this.#replayPaced(nowUs);
  }

  /** Sends again what the viewer asks for, as far as it is stored and the budget lasts. */
  repair(sequences: readonly number[], budget: ByteBudget, nowUs: number): void {
    // In a pause the source moves on, and old sequence numbers would come to mean new packets.
    if (!this.out.live) return;
    const { store, rewriter } = this.#options.source;
    for (const sequence of sequences) {
      const streamIndex = this.out.streamIndexOf(sequence);
      const sourceIndex = streamIndex < 0 ? -1 : rewriter.sourceOf(streamIndex & 0xffff);
      const packet = sourceIndex < 0 ? undefined : store.get(sourceIndex);
      if (packet && budget.spend(packet.length, nowUs)) this.#sendRepair(packet, streamIndex);
    }
  }

  /** With the publisher's own NTP and RTP time, so that audio and video stay together. */
  sendSenderReport({ ntp, rtpTimestamp: timestamp }: TimedSenderReport['report']): void {
    // Zero: the sender has no clock (RFC 3550 §6.4.1).
    if (compactNtp(ntp) === 0) return;
    const { ssrc, packets, octets } = this.out;
    const report = { ssrc, ntp, rtpTimestamp: timestamp, packetCount: packets, octetCount: octets, reports: [] };
    this.transport.sendRtcp(Buffer.concat([buildSenderReport(report), buildSdesCname(ssrc, this.#options.cname)]));
  }

  /** The last sender report, moved to the present, for a viewer that came after it. */
  catchUpSenderReport(nowUs: number): void {
    const { lastSenderReport: last, clockRateHz } = this.#options.source;
    if (!last) return;
    const ageUs = nowUs - last.arrivalUs;
    if (ageUs > MAX_SENDER_REPORT_AGE_US) return;
    const ageTicks = Math.round((ageUs * clockRateHz) / 1_000_000);
    this.sendSenderReport({
      ntp: usToNtp(ntpToUs(last.report.ntp) + ageUs),
      rtpTimestamp: (last.report.rtpTimestamp + ageTicks) >>> 0,
    });
  }

  #replayAtOnce(nowUs: number): boolean {
    const { store, rewriter, keyframe } = this.#options.source;
    const first = keyframe.index;
    const last = store.highest;
    if (first < 0 || nowUs - keyframe.arrivalUs > MAX_REPLAY_AGE_US) return false;
    if (last - first >= MAX_REPLAY_PACKETS || !store.has(first)) return false;
    this.#start(rewriter.map(first));
    this.out.setReplay(rtpTimestamp(store.get(last)!), SHORT_STEP_TICKS_DIVISOR);
    for (let index = first; index <= last; index++) this.#sendStored(index);
    return true;
  }

  #replayPaced(nowUs: number): boolean {
    const { source, clock, availableBps, onStart } = this.#options;
    const { store, keyframe, rewriter } = source;
    if (!store.has(keyframe.index)) return false;
    this.pause();
    this.#lastReplayUs = nowUs;
    this.#replay = new GopReplay({
      source,
      out: this.out,
      clock,
      availableBps: availableBps(),
      send: (index) => this.#sendStored(index),
      onEnd: (isUpToDate) => {
        this.#replay = undefined;
        this.#liveFrom = rewriter.map(store.highest) + 1;
        if (!isUpToDate) this.out.pause();
      },
    });
    onStart();
    this.#replay.start();
    return true;
  }

  #replayWaiting(): void {
    if (this.#viewer && !this.out.live) this.#replayPaced(this.#options.clock.monotonicUs());
  }

  #stopReplay(): void {
    this.#replay?.stop();
    this.#replay = undefined;
  }

  #start(streamIndex: number): void {
    this.out.start(streamIndex);
    this.#options.onStart();
  }

  #sendStored(sourceIndex: number): void {
    const { source } = this.#options;
    const packet = source.store.get(sourceIndex);
    const streamIndex = packet ? source.rewriter.map(sourceIndex) : -1;
    if (!packet || streamIndex < 0) return;
    const plain = this.#write(packet, streamIndex);
    this.transport.sendRtp(plain, this.out.indexFor(streamIndex));
    this.out.sent(streamIndex, rtpTimestamp(plain), plain.length - RTP_HEADER_BYTES, rtpMarker(packet));
  }

  #sendRepair(packet: Buffer, streamIndex: number): void {
    const { rtx } = this.out;
    const plain = this.#write(packet, streamIndex);
    const index = this.out.indexFor(streamIndex);
    if (!rtx) {
      this.transport.sendRtp(plain, index);
      return;
    }
    const rtxIndex = this.out.nextRtxIndex();
    const { ssrc, payloadType } = rtx;
    const bytes = writeRtx(plain, rtxScratch, { ssrc, payloadType, sequence: rtxIndex, originalSequence: index });
    this.transport.sendRtp(rtxScratch.subarray(0, bytes), rtxIndex);
  }

  /** The viewer's form of a stored packet, in the shared scratch buffer. Padding becomes a packet without payload. */
  #write(packet: Buffer, streamIndex: number): Buffer {
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    writeRtpHeader(scratch, {
      payloadType: this.out.payloadType,
      marker: rtpMarker(packet),
      sequence: this.out.indexFor(streamIndex),
      timestamp: this.out.timestampFor(streamIndex, rtpTimestamp(packet)),
      ssrc: this.out.ssrc,
    });
    packet.copy(scratch, RTP_HEADER_BYTES, start, end);
    return scratch.subarray(0, RTP_HEADER_BYTES + end - start);
  }
}
