import { CoalescedRequests } from '../../domain/coalesced-requests.ts';
import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import { transportSequence } from '../../protocol/rtp/header-extension.ts';
import { rtpPayloadType, rtpSsrc } from '../../protocol/rtp/packet.ts';
import { buildReceiverReport, buildRemb } from '../../protocol/rtp/rtcp-build.ts';
import { parseRtcp } from '../../protocol/rtp/rtcp-parse.ts';
import type { PublishPlan, PublishTrack } from '../../protocol/sdp/plan.ts';
import type { LocalTransport } from '../../protocol/sdp/transport.ts';
import type { FlowTotals, MediaEndReason, RtpFrame, VideoRate } from '../media-worker.ts';
import type { PeerHost } from '../peer.ts';
import { TwccRecorder } from '../receive/twcc-recorder.ts';
import { Audience } from './audience.ts';
import { addFlow, NO_FLOW } from './flow-totals.ts';
import type { ForwardTurn } from './forward-turn.ts';
import { IncomingTrack } from './incoming-track.ts';
import type { MediaSource, SourcePlayer } from './media-source.ts';
import { openTransports, type SecureTransport } from './secure-transport.ts';

export interface PublisherEvents {
  onConnected(): void;
  onMediaStarted(): void;
  onSize(width: number, height: number): void;
  onFrame(frame: RtpFrame): void;
  onFramesLost(): void;
  onSenderReport(kind: 'video' | 'audio', ntpUs: number, rtpTime: number): void;
  onEnded(reason: MediaEndReason): void;
}

export interface PublisherOptions {
  readonly id: string;
  readonly plan: PublishPlan;
  readonly host: PeerHost;
  readonly turn: ForwardTurn;
  readonly transport: 'UDP' | 'TCP';
  readonly maxBitrateKbps: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBelow: (bound: number) => number;
  readonly events: PublisherEvents;
}

/** Told to a publisher that has no transport-wide congestion control and no limit of its own. */
const DEFAULT_REMB_BPS = 5_000_000;
/** A publisher that is connected and sends nothing at all for this long is gone in all but name. */
const RTP_ACTIVITY_TIMEOUT_US = 30_000_000;
/** A keyframe request, or the keyframe, was lost when nothing has come for so long. */
const KEYFRAME_OVERDUE_US = 900_000;
const MAX_SSRCS = 16;

/** A transport with the tracks that travel on it. */
interface Lane {
  readonly transport: SecureTransport;
  readonly tracks: readonly IncomingTrack[];
  readonly twcc: TwccRecorder | undefined;
  readonly twccExtensionId: number;
  /** By SSRC of media and retransmissions; filled from the offer or from the first packets. */
  readonly bySsrc: Map<number, KnownSsrc>;
}

interface KnownSsrc {
  readonly track: IncomingTrack;
  readonly isRtx: boolean;
}

/** One publisher: receives, repairs and reports its tracks and hands each packet once to the fan-out. */
export class PublisherSession implements MediaSource {
  readonly id: string;
  readonly video: IncomingTrack | undefined;
  readonly audio: IncomingTrack | undefined;
  size = { width: 0, height: 0 };
  readonly #options: PublisherOptions;
  readonly #audience: Audience;
  readonly #lanes: readonly Lane[];
  readonly #keyframes: CoalescedRequests;
  readonly #senderSsrc: number;
  #connectedTransports = 0;
  #ended = false;
  #mediaStarted = false;
  #lastRtpUs: number;
  #bytesBefore = 0;
  #framesBefore = 0;

  /** Throws what `createPeer` throws; nothing is left behind then. */
  constructor(options: PublisherOptions) {
    this.id = options.id;
    this.#options = options;
    this.#audience = new Audience(options.turn);
    this.#lastRtpUs = options.clock.monotonicUs();
    this.#senderSsrc = 1 + options.randomBelow(0xffff_fffe);
    this.video = this.#track('video', options.plan.video);
    this.audio = this.#track('audio', options.plan.audio);
    this.#keyframes = new CoalescedRequests(options.clock, () => this.#sendKeyframeRequest());
    const transports = openTransports(options.host, options.id, options.plan.transports, (index) => ({
      transport: options.transport,
      // With Node 24 a GCM cipher object for each packet costs four times what the kept AES-CM one does (scripts/bench/srtp.ts).
      srtpProfiles: ['AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM'],
      onConnected: () => this.#transportConnected(),
      onRtp: (packet) => this.#rtp(this.#lanes[index]!, packet),
      onRtcp: (compound) => this.#rtcp(this.#lanes[index]!, compound),
      onEnded: (reason) => this.#end(reason),
    }));
    this.#lanes = transports.map((transport, index) => this.#lane(transport, index));
  }

  get playSource(): PublishPlan {
    return this.#options.plan;
  }

  get locals(): LocalTransport[] {
    return this.#lanes.map(({ transport }) => transport.local);
  }

  get totals(): FlowTotals {
    return this.#tracks()
      .map(({ packets, payloadBytes, nacksSent: nacks, keyframeRequestsSent: keyframeRequests, lostPackets }) => {
        return { packets, payloadBytes, nacks, keyframeRequests, lostPackets };
      })
      .reduce(addFlow, NO_FLOW);
  }

  requestKeyframe(): void {
    if (this.video && !this.#ended) this.#keyframes.ask();
  }

  setFramesWanted(wanted: boolean): void {
    for (const track of this.#tracks()) track.setFramesWanted(wanted);
  }

  attach(player: SourcePlayer): void {
    this.#audience.attach(player);
  }

  join(player: SourcePlayer): void {
    this.#audience.join(player);
  }

  detach(player: SourcePlayer): void {
    this.#audience.detach(player);
  }

  /** Every 10 ms: repairs and congestion feedback. */
  poll(nowUs: number): void {
    for (const { transport, tracks, twcc } of this.#lanes) {
      for (const track of tracks) {
        const feedback = track.poll(nowUs);
        if (feedback) transport.sendRtcp(feedback);
      }
      for (const message of twcc?.poll(nowUs) ?? []) transport.sendRtcp(message);
    }
  }

  /** Once a second: reports to the publisher and the rates of its video. */
  secondTick(nowUs: number, intervalUs: number): VideoRate | undefined {
    if (this.#connectedTransports < this.#lanes.length) return undefined;
    if (nowUs - this.#lastRtpUs > RTP_ACTIVITY_TIMEOUT_US) {
      this.#end('rtp_activity');
      return undefined;
    }
    for (const lane of this.#lanes) this.#report(lane, nowUs);
    const { video } = this;
    if (!video) return undefined;
    const videoRateBps = Math.round(((video.payloadBytes - this.#bytesBefore) * 8_000_000) / intervalUs);
    const fps = Math.round(((video.frames - this.#framesBefore) * 1_000_000) / intervalUs);
    this.#bytesBefore = video.payloadBytes;
    this.#framesBefore = video.frames;
    // While the sender sends anything at all it can be asked again.
    const isOverdue = video.isKeyframeDue && nowUs - this.#keyframes.lastSentUs >= KEYFRAME_OVERDUE_US;
    if (isOverdue && videoRateBps > 0) this.requestKeyframe();
    const { nacksSent: nack, keyframeRequestsSent: pli, lostPackets } = video;
    return { videoRateBps, fps, nack, pli, lostPackets, ...this.size };
  }

  close(reason: MediaEndReason): void {
    this.#end(reason);
  }

  #lane(transport: SecureTransport, index: number): Lane {
    const tracks = this.#tracks().filter(({ plan }) => plan.transportIndex === index);
    const extensionId = tracks.map(({ plan }) => plan.transportCcExtensionId).find((id) => id !== undefined);
    const bySsrc = new Map<number, KnownSsrc>();
    for (const track of tracks) {
      const { ssrc, rtxSsrc } = track.plan;
      if (ssrc !== undefined) bySsrc.set(ssrc, { track, isRtx: false });
      if (rtxSsrc !== undefined) bySsrc.set(rtxSsrc, { track, isRtx: true });
    }
    return {
      transport,
      tracks,
      twcc: extensionId === undefined ? undefined : new TwccRecorder(this.#senderSsrc),
      twccExtensionId: extensionId ?? 0,
      bySsrc,
    };
  }

  #transportConnected(): void {
    if (++this.#connectedTransports < this.#lanes.length) return;
    this.#lastRtpUs = this.#options.clock.monotonicUs();
    this.#options.events.onConnected();
  }

  #rtp(lane: Lane, packet: Buffer): void {
    const nowUs = this.#options.clock.monotonicUs();
    this.#lastRtpUs = nowUs;
    const ssrc = rtpSsrc(packet);
    if (lane.twcc) {
      const sequence = transportSequence(packet, lane.twccExtensionId);
      if (sequence >= 0) lane.twcc.received(sequence, ssrc, nowUs);
    }
    const known = lane.bySsrc.get(ssrc) ?? this.#learn(lane, packet, ssrc, nowUs);
    if (known?.isRtx) known.track.receiveRtx(packet, nowUs);
    else known?.track.receive(packet, nowUs);
  }

  /** An SSRC that the offer did not announce belongs to the track of its payload type, unless that has one that is alive. */
  #learn(lane: Lane, packet: Buffer, ssrc: number, nowUs: number): KnownSsrc | undefined {
    const payloadType = rtpPayloadType(packet);
    for (const track of lane.tracks) {
      const isRtx = track.plan.rtxPayloadType === payloadType;
      if (!isRtx && track.plan.payloadType !== payloadType) continue;
      if (!isRtx) {
        const before = track.ssrc;
        if (!track.switchTo(ssrc, nowUs)) return undefined;
        lane.bySsrc.delete(before);
      }
      if (lane.bySsrc.size >= MAX_SSRCS) return undefined;
      const known = { track, isRtx };
      lane.bySsrc.set(ssrc, known);
      return known;
    }
    return undefined;
  }

  #rtcp(lane: Lane, compound: Buffer): void {
    const nowUs = this.#options.clock.monotonicUs();
    for (const packet of parseRtcp(compound)) {
      if (packet.type === 'bye') {
        for (const track of lane.tracks) if (packet.ssrcs.includes(track.ssrc)) track.receiveGoodbye();
      } else if (packet.type === 'sr') {
        const track = lane.tracks.find(({ ssrc }) => ssrc === packet.ssrc);
        if (track?.receiveSenderReport(packet, nowUs)) this.#audience.relaySenderReport(track.kind, packet);
      }
    }
  }

  #report({ transport, tracks, twcc }: Lane, nowUs: number): void {
    const reports = tracks.flatMap((track) => track.reportBlock(nowUs) ?? []);
    if (reports.length === 0) return;
    transport.sendRtcp(buildReceiverReport(this.#senderSsrc, reports));
    const video = tracks.find(({ kind, plan }) => kind === 'video' && plan.feedback.googRemb);
    if (video && video.ssrc >= 0 && !twcc) transport.sendRtcp(this.#remb(video));
  }

  #remb(video: IncomingTrack): Buffer {
    const { maxBitrateKbps } = this.#options;
    const bitrateBps = maxBitrateKbps > 0 ? maxBitrateKbps * 1000 : DEFAULT_REMB_BPS;
    return buildRemb({ senderSsrc: this.#senderSsrc, bitrateBps, ssrcs: [video.ssrc] });
  }

  #sendKeyframeRequest(): void {
    const request = this.#ended ? undefined : this.video?.keyframeRequest();
    if (request) this.#lanes[this.video!.plan.transportIndex]!.transport.sendRtcp(request);
  }

  #track(kind: 'video' | 'audio', plan: PublishTrack | undefined): IncomingTrack | undefined {
    if (!plan) return undefined;
    const { events, logger } = this.#options;
    return new IncomingTrack(kind, plan, this.#senderSsrc, {
      onPacket: (packet, start, end, index, startsKeyframe) => {
        if (startsKeyframe) this.#keyframes.satisfied();
        if (!this.#mediaStarted) {
          this.#mediaStarted = true;
          events.onMediaStarted();
        }
        this.#audience.forward(kind, packet, start, end, index, startsKeyframe);
      },
      onSize: (width, height) => {
        if (width === this.size.width && height === this.size.height) return;
        this.size = { width, height };
        events.onSize(width, height);
      },
      onFrame: (frame) => events.onFrame(frame),
      onKeyframeNeeded: () => this.requestKeyframe(),
      onFramesLost: () => events.onFramesLost(),
      onMalformed: ({ code, message }) => {
        logger.warn({ mediaSessionId: this.id, code }, `publisher sent media that cannot be read: ${message}`);
        events.onFramesLost();
      },
      onSenderReport: (ntpUs, rtpTime) => events.onSenderReport(kind, ntpUs, rtpTime),
    });
  }

  #end(reason: MediaEndReason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#keyframes.close();
    this.#audience.end();
    for (const { transport } of this.#lanes) transport.close();
    this.#options.events.onEnded(reason);
  }

  #tracks(): IncomingTrack[] {
    return [this.audio, this.video].filter((track) => track !== undefined);
  }
}
