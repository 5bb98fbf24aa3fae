import type { Clock } from '../../domain/clock.ts';
import { compactNtp, ntpToUs, usToNtp } from '../../protocol/rtp/ntp.ts';
import { rtpMarker, rtpPayloadEnd, rtpPayloadOffset, rtpTimestamp, writeRtpHeader } from '../../protocol/rtp/packet.ts';
import { buildSdesCname, buildSenderReport } from '../../protocol/rtp/rtcp-build.ts';
import { parseRtcp } from '../../protocol/rtp/rtcp-parse.ts';
import type { GenericNack, RtcpPacket, SenderReport } from '../../protocol/rtp/rtcp-types.ts';
import type { PlayPlan, PlaySsrcs, TrackPlan } from '../../protocol/sdp/plan.ts';
import type { LocalTransport } from '../../protocol/sdp/transport.ts';
import { canonicalName } from '../../protocol/sdp/write-answer.ts';
import type { MediaEndReason, VideoRate } from '../media-worker.ts';
import type { PeerHost } from '../peer.ts';
import { writeRtx } from '../receive/rtx.ts';
import type { FanoutViewer, SrtpFanout } from '../srtp/fanout.ts';
import type { BurstPacket, BurstReceiver } from './forward-turn.ts';
import type { IncomingTrack } from './incoming-track.ts';
import { OutgoingTrack } from './outgoing-track.ts';
import type { PublisherSession } from './publisher-session.ts';
import { MAX_REPLAY_AGE_US, MAX_REPLAY_PACKETS } from './replay.ts';
import { SecureTransport } from './secure-transport.ts';
import { RepairBudget } from './repair-budget.ts';
import { ViewerBandwidth } from './viewer-bandwidth.ts';

export interface PlayerEvents {
  onConnected(): void;
  onMediaStarted(): void;
  onNotEnoughBandwidth(bitrateBps: number, availableBps: number): void;
  onEnded(reason: MediaEndReason): void;
}

export interface PlayerOptions {
  readonly id: string;
  readonly plan: PlayPlan;
  readonly source: PublisherSession;
  readonly host: PeerHost;
  readonly fanout: SrtpFanout;
  readonly transport: 'UDP' | 'TCP';
  readonly clock: Clock;
  /** A random whole number from 0 to below `bound`. */
  readonly randomBelow: (bound: number) => number;
  readonly events: PlayerEvents;
}

/** One track with where it goes. */
interface Lane {
  readonly kind: 'video' | 'audio';
  readonly out: OutgoingTrack;
  readonly source: IncomingTrack;
  readonly transportIndex: number;
  viewer: FanoutViewer | undefined;
}

const ETHERNET_MTU_BYTES = 1502;
const MAX_SENDER_REPORT_AGE_US = 10_000_000;

/** One viewer: forwards the packets of one publisher as they are, answers its feedback and never slows anybody else. */
export class PlayerSession implements BurstReceiver {
  readonly id: string;
  readonly source: PublisherSession;
  readonly ssrcs: PlaySsrcs;
  readonly #options: PlayerOptions;
  readonly #transports: SecureTransport[];
  readonly #video: Lane | undefined;
  readonly #audio: Lane | undefined;
  readonly #bandwidth = new ViewerBandwidth();
  readonly #repairs: RepairBudget;
  readonly #scratch = Buffer.allocUnsafe(ETHERNET_MTU_BYTES);
  #connectedTransports = 0;
  #ended = false;
  #mediaStarted = false;
  #videoDropped = false;
  #nacks = 0;
  #plis = 0;
  #lostPackets = 0;
  #octetsBefore = 0;
  #framesBefore = 0;

  constructor(options: PlayerOptions) {
    this.id = options.id;
    this.source = options.source;
    this.#options = options;
    this.#repairs = new RepairBudget();
    this.#audio = this.#lane('audio', options.plan.audio, options.source.audio);
    this.#video = this.#lane('video', options.plan.video, options.source.video);
    this.ssrcs = {
      audio: this.#audio && { ssrc: this.#audio.out.ssrc },
      video: this.#video && { ssrc: this.#video.out.ssrc, rtxSsrc: this.#video.out.rtx?.ssrc },
    };
    this.#transports = options.plan.transports.map(
      (remote, index) =>
        new SecureTransport(options.host, {
          id: index === 0 ? options.id : `${options.id}#${index}`,
          remote,
          transport: options.transport,
          srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'],
          onConnected: (keys) => {
            for (const lane of this.#lanes()) {
              if (lane.transportIndex !== index) continue;
              const target = this.#transports[index]!;
              lane.viewer = options.fanout.addViewer(keys.outbound, (packet) => target.sendProtected(packet));
            }
            if (++this.#connectedTransports === this.#transports.length) this.#connected();
          },
          onRtp: () => {},
          onRtcp: (compound) => this.#feedback(compound),
          onEnded: (reason) => this.#end(reason),
        }),
    );
  }

  get locals(): LocalTransport[] {
    return this.#transports.map(({ local }) => local);
  }

  get hasVideo(): boolean {
    return this.#video !== undefined;
  }

  queueBurst(fanout: SrtpFanout, packets: readonly BurstPacket[], count: number): void {
    for (let i = 0; i < count; i++) {
      const packet = packets[i]!;
      const lane = packet.kind === 'video' ? this.#video : this.#audio;
      if (!lane || lane.viewer === undefined) continue;
      const { out } = lane;
      if (!out.live) {
        if (packet.kind === 'video' && (!packet.startsKeyframe || this.#videoDropped)) continue;
        this.#startLane(lane, packet.index);
      }
      const index = out.indexFor(packet.index);
      if (index < 0) continue;
      fanout.queue(
        lane.viewer,
        packet.slot,
        index,
        packet.markerBit | out.payloadType,
        out.timestampFor(packet.index, packet.timestamp),
        out.ssrc,
      );
      out.sent(packet.index, packet.payloadBytes, packet.markerBit !== 0);
    }
  }

  /** The publisher's sender report, with its own NTP and RTP time, so that audio and video stay together. */
  relaySenderReport(track: IncomingTrack, report: SenderReport): void {
    const lane = track.kind === 'video' ? this.#video : this.#audio;
    if (lane) this.#sendSenderReport(lane, report);
  }

  /** Once a second. */
  rate(intervalUs: number): VideoRate | undefined {
    if (!this.#video) return undefined;
    const { out } = this.#video;
    const videoRateBps = Math.round(((out.octets - this.#octetsBefore) * 8_000_000) / intervalUs);
    const fps = Math.round(((out.frames - this.#framesBefore) * 1_000_000) / intervalUs);
    this.#octetsBefore = out.octets;
    this.#framesBefore = out.frames;
    this.#judgeBandwidth(videoRateBps);
    const { width, height } = this.source.size;
    return { videoRateBps, fps, nack: this.#nacks, pli: this.#plis, lostPackets: this.#lostPackets, width, height };
  }

  close(reason: MediaEndReason): void {
    this.#end(reason);
  }

  #connected(): void {
    // Whatever waits for this turn's end is older than the join; send it first, then the GOP up to the newest packet.
    this.source.addPlayer(this);
    if (this.#video) this.#replayOrAskForKeyframe(this.#video);
    for (const lane of this.#lanes()) this.#catchUpSenderReport(lane);
    this.#options.events.onConnected();
  }

  #replayOrAskForKeyframe(lane: Lane): void {
    const { source } = lane;
    const first = source.keyframeIndex;
    const last = source.store.highest;
    const isFresh = this.#options.clock.monotonicUs() - source.keyframeUs <= MAX_REPLAY_AGE_US;
    if (first < 0 || !isFresh || last - first >= MAX_REPLAY_PACKETS || !source.store.has(first)) {
      this.source.requestKeyframe();
      return;
    }
    this.#startLane(lane, source.rewriter.map(first));
    lane.out.setReplay(source.rewriter.map(last) + 1, rtpTimestamp(source.store.get(last)!));
    for (let index = first; index <= last; index++) this.#sendStored(lane, index);
  }

  #sendStored(lane: Lane, sourceIndex: number): void {
    const packet = lane.source.store.get(sourceIndex);
    const streamIndex = lane.source.rewriter.map(sourceIndex);
    if (!packet || streamIndex < 0) return;
    const bytes = this.#writePlain(lane, packet, streamIndex);
    if (bytes < 0) return;
    this.#transports[lane.transportIndex]!.sendRtp(this.#scratch.subarray(0, bytes), lane.out.indexFor(streamIndex));
    lane.out.sent(streamIndex, bytes - 12, rtpMarker(packet));
  }

  /** The viewer's form of a stored packet in the scratch buffer; its length, or -1 for a packet without payload. */
  #writePlain(lane: Lane, packet: Buffer, streamIndex: number): number {
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    if (end <= start) return -1;
    writeRtpHeader(this.#scratch, {
      payloadType: lane.out.payloadType,
      marker: rtpMarker(packet),
      sequence: lane.out.indexFor(streamIndex),
      timestamp: lane.out.timestampFor(streamIndex, rtpTimestamp(packet)),
      ssrc: lane.out.ssrc,
    });
    packet.copy(this.#scratch, 12, start, end);
    return 12 + end - start;
  }

  #startLane(lane: Lane, streamIndex: number): void {
    lane.out.start(streamIndex);
    if (this.#mediaStarted) return;
    this.#mediaStarted = true;
    this.#options.events.onMediaStarted();
  }

  #feedback(compound: Buffer): void {
    for (const packet of parseRtcp(compound)) this.#feedbackPacket(packet);
  }

  #feedbackPacket(packet: RtcpPacket): void {
    switch (packet.type) {
      case 'nack':
        this.#repair(packet);
        break;
      case 'pli':
      case 'fir':
        this.#plis++;
        if (!this.#videoDropped) this.source.requestKeyframe();
        break;
      case 'remb':
        this.#bandwidth.receiverEstimate(packet.bitrateBps);
        break;
      case 'rr':
      case 'sr':
        for (const report of packet.reports) {
          if (report.ssrc !== this.#video?.out.ssrc) continue;
          this.#lostPackets = Math.max(0, report.cumulativeLost);
          this.#bandwidth.receiverReport(report.fractionLost);
        }
        break;
      default:
    }
  }

  #repair(nack: GenericNack): void {
    const lane = nack.mediaSsrc === this.#audio?.out.ssrc ? this.#audio : this.#video;
    if (!lane || nack.mediaSsrc !== lane.out.ssrc) return;
    this.#nacks += nack.sequences.length;
    const nowUs = this.#options.clock.monotonicUs();
    for (const sequence of nack.sequences) {
      const streamIndex = lane.out.streamIndexOf(sequence);
      const sourceIndex = streamIndex < 0 ? -1 : lane.source.rewriter.sourceOf(streamIndex & 0xffff);
      const packet = sourceIndex < 0 ? undefined : lane.source.store.get(sourceIndex);
      if (!packet || !this.#repairs.spend(packet.length, nowUs)) continue;
      const bytes = this.#writePlain(lane, packet, streamIndex);
      if (bytes > 0) this.#sendRepair(lane, bytes, streamIndex);
    }
  }

  #sendRepair(lane: Lane, bytes: number, streamIndex: number): void {
    const transport = this.#transports[lane.transportIndex]!;
    const plain = this.#scratch.subarray(0, bytes);
    const { rtx } = lane.out;
    if (!rtx) {
      transport.sendRtp(plain, lane.out.indexFor(streamIndex));
      return;
    }
    const rtxIndex = lane.out.nextRtxIndex();
    const length = writeRtx(plain, rtxScratch, {
      ssrc: rtx.ssrc,
      payloadType: rtx.payloadType,
      sequence: rtxIndex,
      originalSequence: lane.out.indexFor(streamIndex),
    });
    if (length > 0) transport.sendRtp(rtxScratch.subarray(0, length), rtxIndex);
  }

  #catchUpSenderReport(lane: Lane): void {
    const last = lane.source.lastSenderReport;
    if (!last) return;
    const ageUs = this.#options.clock.monotonicUs() - last.arrivalUs;
    if (ageUs > MAX_SENDER_REPORT_AGE_US) return;
    const ageTicks = Math.round((ageUs * lane.source.plan.clockRateHz) / 1_000_000);
    this.#sendSenderReport(lane, {
      ...last.report,
      ntp: usToNtp(ntpToUs(last.report.ntp) + ageUs),
      rtpTimestamp: (last.report.rtpTimestamp + ageTicks) >>> 0,
    });
  }

  #sendSenderReport(lane: Lane, report: SenderReport): void {
    if (compactNtp(report.ntp) === 0) return;
    const { out } = lane;
    this.#transports[lane.transportIndex]!.sendRtcp(
      Buffer.concat([
        buildSenderReport({
          ssrc: out.ssrc,
          ntp: report.ntp,
          rtpTimestamp: report.rtpTimestamp,
          packetCount: out.packets,
          octetCount: out.octets,
          reports: [],
        }),
        buildSdesCname(out.ssrc, canonicalName(lane.kind, this.id)),
      ]),
    );
  }

  #judgeBandwidth(sentBps: number): void {
    const verdict = this.#bandwidth.judge(this.#options.clock.monotonicUs(), sentBps);
    if (verdict.action === 'tell') {
      this.#options.events.onNotEnoughBandwidth(sentBps, verdict.availableBps);
    } else if (verdict.action === 'dropVideo') {
      this.#videoDropped = true;
      this.#video?.out.pause();
    } else if (verdict.action === 'resumeVideo') {
      this.#videoDropped = false;
      this.source.requestKeyframe();
    }
  }

  #end(reason: MediaEndReason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.source.removePlayer(this);
    for (const lane of this.#lanes()) if (lane.viewer) this.#options.fanout.removeViewer(lane.viewer);
    for (const transport of this.#transports) transport.close();
    this.#options.events.onEnded(reason);
  }

  #lanes(): Lane[] {
    return [this.#audio, this.#video].filter((lane) => lane !== undefined);
  }

  #lane(kind: Lane['kind'], plan: TrackPlan | undefined, source: IncomingTrack | undefined): Lane | undefined {
    if (!plan || !source) return undefined;
    const { randomBelow } = this.#options;
    const ssrc = () => 1 + randomBelow(0xffff_fffe);
    const rtx = plan.rtxPayloadType === undefined ? undefined : { ssrc: ssrc(), payloadType: plan.rtxPayloadType };
    const out = new OutgoingTrack({
      ssrc: ssrc(),
      payloadType: plan.payloadType,
      rtx,
      firstSequence: randomBelow(0x8000),
    });
    return { kind, out, source, transportIndex: plan.transportIndex, viewer: undefined };
  }
}

/** One retransmission is written and sent at a time; all sessions share the buffer. */
const rtxScratch = Buffer.allocUnsafe(ETHERNET_MTU_BYTES);
