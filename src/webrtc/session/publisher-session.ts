import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import { ProtocolError } from '../../domain/errors.ts';
import { transportSequence } from '../../protocol/rtp/header-extension.ts';
import { rtpPayloadType, rtpSsrc } from '../../protocol/rtp/packet.ts';
import { buildReceiverReport, buildRemb } from '../../protocol/rtp/rtcp-build.ts';
import { parseRtcp } from '../../protocol/rtp/rtcp-parse.ts';
import type { PublishPlan, PublishTrack } from '../../protocol/sdp/plan.ts';
import type { LocalTransport } from '../../protocol/sdp/transport.ts';
import type { MediaEndReason, RtpFrame, VideoRate } from '../media-worker.ts';
import type { PeerHost } from '../peer.ts';
import { TwccRecorder } from '../receive/twcc-recorder.ts';
import { Burst, type ForwardTurn } from './forward-turn.ts';
import { IncomingTrack } from './incoming-track.ts';
import { KeyframeRequests } from './keyframe-requests.ts';
import type { PlayerSession } from './player-session.ts';
import { SecureTransport } from './secure-transport.ts';

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

/** A transport with the tracks that travel on it. */
interface Lane {
  readonly transport: SecureTransport;
  readonly twcc: TwccRecorder | undefined;
  readonly twccExtensionId: number;
  /** By SSRC of media and retransmissions; filled from the offer or from the first packets. */
  readonly bySsrc: Map<number, { readonly track: IncomingTrack; readonly isRtx: boolean }>;
}

const MAX_SSRCS = 16;

/** One publisher: receives, repairs and reports its tracks and hands each packet once to the fan-out. */
export class PublisherSession {
  readonly id: string;
  readonly plan: PublishPlan;
  readonly video: IncomingTrack | undefined;
  readonly audio: IncomingTrack | undefined;
  readonly players = new Set<PlayerSession>();
  size = { width: 0, height: 0 };
  readonly #options: PublisherOptions;
  readonly #lanes: Lane[];
  readonly #burst = new Burst();
  readonly #keyframes: KeyframeRequests;
  readonly #senderSsrc: number;
  #connectedTransports = 0;
  #ended = false;
  #mediaStarted = false;
  #lastRtpUs: number;
  #bytesBefore = 0;
  #framesBefore = 0;

  constructor(options: PublisherOptions) {
    this.id = options.id;
    this.plan = options.plan;
    this.#options = options;
    this.#lastRtpUs = options.clock.monotonicUs();
    this.#senderSsrc = 1 + options.randomBelow(0xffff_fffe);
    this.video = this.#track('video', options.plan.video);
    this.audio = this.#track('audio', options.plan.audio);
    this.#keyframes = new KeyframeRequests(options.clock, () => this.#sendKeyframeRequest());
    this.#lanes = options.plan.transports.map((remote, index) => {
      const tracks = this.#tracks().filter(({ plan }) => plan.transportIndex === index);
      const extensionId = tracks.find(({ plan }) => plan.transportCcExtensionId !== undefined)?.plan
        .transportCcExtensionId;
      const lane: Lane = {
        transport: new SecureTransport(options.host, {
          id: index === 0 ? options.id : `${options.id}#${index}`,
          remote,
          transport: options.transport,
          // With Node 24 a GCM cipher object for each packet costs four times what the kept AES-CM one does (scripts/bench/srtp.ts).
          srtpProfiles: ['AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM'],
          onConnected: () => this.#transportConnected(),
          onRtp: (packet) => this.#rtp(this.#lanes[index]!, tracks, packet),
          onRtcp: (compound) => this.#rtcp(compound),
          onEnded: (reason) => this.#end(reason),
        }),
        twcc: extensionId === undefined ? undefined : new TwccRecorder(this.#senderSsrc),
        twccExtensionId: extensionId ?? 0,
        bySsrc: new Map(),
      };
      for (const track of tracks) {
        if (track.plan.ssrc !== undefined) lane.bySsrc.set(track.plan.ssrc, { track, isRtx: false });
        if (track.plan.rtxSsrc !== undefined) lane.bySsrc.set(track.plan.rtxSsrc, { track, isRtx: true });
      }
      return lane;
    });
  }

  get locals(): LocalTransport[] {
    return this.#lanes.map(({ transport }) => transport.local);
  }

  get ended(): boolean {
    return this.#ended;
  }

  requestKeyframe(): void {
    if (this.video && !this.#ended) this.#keyframes.ask();
  }

  setFramesWanted(wanted: boolean): void {
    for (const track of this.#tracks()) track.setFramesWanted(wanted);
  }

  /** What waits for the end of this turn goes out first, so that the player can continue from the packet store. */
  addPlayer(player: PlayerSession): void {
    this.#options.turn.flush();
    this.#burst.receivers.add(player);
  }

  removePlayer(player: PlayerSession): void {
    this.#burst.receivers.delete(player);
    this.players.delete(player);
  }

  /** Every 10 ms: repairs and congestion feedback. */
  poll(nowUs: number): void {
    for (const track of this.#tracks()) {
      const feedback = this.#guard(() => track.poll(nowUs));
      if (feedback) this.#transportOf(track).sendRtcp(feedback);
    }
    for (const { transport, twcc } of this.#lanes) {
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
    for (const [index, { transport, twcc }] of this.#lanes.entries()) {
      const tracks = this.#tracks().filter(({ plan }) => plan.transportIndex === index);
      const reports = tracks.flatMap((track) => track.reportBlock(nowUs) ?? []);
      if (reports.length === 0) continue;
      transport.sendRtcp(buildReceiverReport(this.#senderSsrc, reports));
      const video = tracks.find(({ kind, plan }) => kind === 'video' && plan.feedback.googRemb);
      if (video && !twcc) transport.sendRtcp(this.#remb(video));
    }
    const { video } = this;
    if (!video) return undefined;
    const videoRateBps = Math.round(((video.bytes - this.#bytesBefore) * 8_000_000) / intervalUs);
    const fps = Math.round(((video.frames - this.#framesBefore) * 1_000_000) / intervalUs);
    this.#bytesBefore = video.bytes;
    this.#framesBefore = video.frames;
    const { nacksSent: nack, keyframeRequestsSent: pli, lostPackets } = video;
    return { videoRateBps, fps, nack, pli, lostPackets, ...this.size };
  }

  close(reason: MediaEndReason): void {
    this.#end(reason);
  }

  #transportConnected(): void {
    if (++this.#connectedTransports < this.#lanes.length) return;
    this.#lastRtpUs = this.#options.clock.monotonicUs();
    this.#options.events.onConnected();
  }

  #rtp(lane: Lane, tracks: readonly IncomingTrack[], packet: Buffer): void {
    const nowUs = this.#options.clock.monotonicUs();
    this.#lastRtpUs = nowUs;
    const ssrc = rtpSsrc(packet);
    const known = lane.bySsrc.get(ssrc) ?? this.#learn(lane, tracks, packet, ssrc);
    if (lane.twcc) {
      const sequence = transportSequence(packet, lane.twccExtensionId);
      if (sequence >= 0) lane.twcc.received(sequence, ssrc, nowUs);
    }
    if (!known) return;
    this.#guard(() => (known.isRtx ? known.track.receiveRtx(packet, nowUs) : known.track.receive(packet, nowUs)));
  }

  /** An SSRC that the offer did not announce belongs to the track of its payload type. */
  #learn(lane: Lane, tracks: readonly IncomingTrack[], packet: Buffer, ssrc: number) {
    if (lane.bySsrc.size >= MAX_SSRCS) return undefined;
    const payloadType = rtpPayloadType(packet);
    for (const track of tracks) {
      const isRtx = track.plan.rtxPayloadType === payloadType;
      if (!isRtx && track.plan.payloadType !== payloadType) continue;
      if (!isRtx) {
        if (track.ssrc >= 0) return undefined;
        track.ssrc = ssrc;
      }
      const entry = { track, isRtx };
      lane.bySsrc.set(ssrc, entry);
      return entry;
    }
    return undefined;
  }

  #rtcp(compound: Buffer): void {
    const nowUs = this.#options.clock.monotonicUs();
    for (const packet of parseRtcp(compound)) {
      if (packet.type !== 'sr') continue;
      const track = this.#tracks().find(({ ssrc }) => ssrc === packet.ssrc);
      if (!track) continue;
      track.receiveSenderReport(packet, nowUs);
      for (const player of this.players) player.relaySenderReport(track, packet);
    }
  }

  #remb(video: IncomingTrack): Buffer {
    const { maxBitrateKbps } = this.#options;
    const bitrateBps = maxBitrateKbps > 0 ? maxBitrateKbps * 1000 : DEFAULT_REMB_BPS;
    return buildRemb({ senderSsrc: this.#senderSsrc, bitrateBps, ssrcs: [video.ssrc] });
  }

  #sendKeyframeRequest(): void {
    if (!this.video || this.#ended) return;
    const request = this.video.keyframeRequest();
    if (request) this.#transportOf(this.video).sendRtcp(request);
  }

  #track(kind: 'video' | 'audio', plan: PublishTrack | undefined): IncomingTrack | undefined {
    if (!plan) return undefined;
    const { turn, events } = this.#options;
    return new IncomingTrack(kind, plan, this.#senderSsrc, {
      onPacket: (packet, start, end, index, startsKeyframe) => {
        if (startsKeyframe) this.#keyframes.satisfied();
        if (!this.#mediaStarted) {
          this.#mediaStarted = true;
          events.onMediaStarted();
        }
        turn.add(this.#burst, kind, packet, start, end, index, startsKeyframe);
      },
      onSize: (width, height) => {
        if (width === this.size.width && height === this.size.height) return;
        this.size = { width, height };
        events.onSize(width, height);
      },
      onFrame: (frame) => events.onFrame(frame),
      onKeyframeNeeded: () => this.requestKeyframe(),
      onFramesLost: () => events.onFramesLost(),
      onSenderReport: (ntpUs, rtpTime) => events.onSenderReport(kind, ntpUs, rtpTime),
    });
  }

  /** What a publisher's bytes break ends in its own log line, never beyond this session. */
  #guard<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#options.logger.warn(
        { mediaSessionId: this.id, code: error.code },
        `publisher sent media that cannot be read: ${error.message}`,
      );
      this.requestKeyframe();
      return undefined;
    }
  }

  #end(reason: MediaEndReason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#keyframes.close();
    for (const player of this.players) player.close('source_ended');
    for (const { transport } of this.#lanes) transport.close();
    this.#options.events.onEnded(reason);
  }

  #tracks(): IncomingTrack[] {
    return [this.audio, this.video].filter((track) => track !== undefined);
  }

  #transportOf(track: IncomingTrack): SecureTransport {
    return this.#lanes[track.plan.transportIndex]!.transport;
  }
}
