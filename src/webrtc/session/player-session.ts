import type { Clock } from '../../domain/clock.ts';
import { parseRtcp } from '../../protocol/rtp/rtcp-parse.ts';
import type { RtcpPacket } from '../../protocol/rtp/rtcp-types.ts';
import type { PlayPlan, PlaySsrcs, TrackPlan } from '../../protocol/sdp/plan.ts';
import type { LocalTransport } from '../../protocol/sdp/transport.ts';
import { canonicalName } from '../../protocol/sdp/write-answer.ts';
import type { FlowTotals, MediaEndReason, VideoRate } from '../media-worker.ts';
import type { PeerHost } from '../peer.ts';
import type { SrtpFanout } from '../srtp/fanout.ts';
import type { SrtpKeys } from '../srtp/srtp.ts';
import { ByteBudget, REPAIR_RATE } from './byte-budget.ts';
import type { BurstPacket } from './forward-turn.ts';
import type { MediaSource, SourcePlayer, SourceTrack, TimedSenderReport } from './media-source.ts';
import { OutgoingTrack } from './outgoing-track.ts';
import { openTransports, type SecureTransport } from './secure-transport.ts';
import { ViewerBandwidth } from './viewer-bandwidth.ts';
import { ViewerTrack } from './viewer-track.ts';

export interface PlayerEvents {
  onConnected(): void;
  onMediaStarted(): void;
  onNotEnoughBandwidth(bitrateBps: number, availableBps: number): void;
  onEnded(reason: MediaEndReason): void;
}

export interface PlayerOptions {
  readonly id: string;
  readonly plan: PlayPlan;
  readonly source: MediaSource;
  readonly host: PeerHost;
  readonly fanout: SrtpFanout;
  readonly transport: 'UDP' | 'TCP';
  readonly clock: Clock;
  /** A random whole number from 0 to below `bound`. */
  readonly randomBelow: (bound: number) => number;
  readonly events: PlayerEvents;
}

/** First sequence numbers are below this, so that SRTP's roll-over counter begins at 0 on both sides (RFC 3711 §3.3.1). */
const FIRST_SEQUENCES = 0x8000;

/** One viewer: forwards the packets of one source as they are, answers its feedback and never slows anybody else. */
export class PlayerSession implements SourcePlayer {
  readonly id: string;
  readonly ssrcs: PlaySsrcs;
  readonly #options: PlayerOptions;
  readonly #transports: readonly SecureTransport[];
  readonly #video: ViewerTrack | undefined;
  readonly #audio: ViewerTrack | undefined;
  readonly #bandwidth = new ViewerBandwidth();
  readonly #repairs = new ByteBudget(REPAIR_RATE);
  #connectedTransports = 0;
  #ended = false;
  #mediaStarted = false;
  #videoDropped = false;
  #nacks = 0;
  #plis = 0;
  #lostPackets = 0;
  #octetsBefore = 0;
  #framesBefore = 0;

  /** Throws what `createPeer` throws; nothing is left behind then. */
  constructor(options: PlayerOptions) {
    const { plan, source } = options;
    this.id = options.id;
    this.#options = options;
    this.#transports = openTransports(options.host, options.id, plan.transports, (index) => ({
      transport: options.transport,
      srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'],
      onConnected: (keys) => this.#transportConnected(index, keys),
      onRtp: () => {},
      onRtcp: (compound) => this.#feedback(compound),
      onEnded: (reason) => this.#end(reason),
    }));
    this.#audio = this.#track('audio', plan.audio, source.audio);
    this.#video = this.#track('video', plan.video, source.video);
    this.ssrcs = {
      audio: this.#audio && { ssrc: this.#audio.out.ssrc },
      video: this.#video && { ssrc: this.#video.out.ssrc, rtxSsrc: this.#video.out.rtx?.ssrc },
    };
    source.attach(this);
  }

  get locals(): LocalTransport[] {
    return this.#transports.map(({ local }) => local);
  }

  get totals(): FlowTotals {
    const sum = (count: (track: ViewerTrack) => number) => this.#tracks().reduce((all, track) => all + count(track), 0);
    return {
      packets: sum(({ out }) => out.packets),
      payloadBytes: sum(({ out }) => out.octets),
      nacks: this.#nacks,
      keyframeRequests: this.#plis,
      lostPackets: this.#lostPackets,
    };
  }

  queueBurst(fanout: SrtpFanout, packets: readonly BurstPacket[], count: number): void {
    for (let i = 0; i < count; i++) {
      const packet = packets[i]!;
      if (packet.kind === 'audio') this.#audio?.forward(fanout, packet);
      else if (!this.#videoDropped) this.#video?.forward(fanout, packet);
    }
  }

  relaySenderReport(kind: 'video' | 'audio', report: TimedSenderReport['report']): void {
    (kind === 'video' ? this.#video : this.#audio)?.sendSenderReport(report);
  }

  /** Once a second: judges the viewer's bandwidth and gives the rates of its video. */
  secondTick(nowUs: number, intervalUs: number): VideoRate | undefined {
    if (!this.#video || this.#connectedTransports < this.#transports.length) return undefined;
    const { octets, frames } = this.#video.out;
    const videoRateBps = Math.round(((octets - this.#octetsBefore) * 8_000_000) / intervalUs);
    const fps = Math.round(((frames - this.#framesBefore) * 1_000_000) / intervalUs);
    this.#octetsBefore = octets;
    this.#framesBefore = frames;
    this.#judgeBandwidth(this.#video, nowUs, videoRateBps);
    const { size } = this.#options.source;
    return { videoRateBps, fps, nack: this.#nacks, pli: this.#plis, lostPackets: this.#lostPackets, ...size };
  }

  close(reason: MediaEndReason): void {
    this.#end(reason);
  }

  #transportConnected(transportIndex: number, keys: SrtpKeys): void {
    const transport = this.#transports[transportIndex];
    for (const track of this.#tracks()) {
      if (track.transport === transport) track.connect(this.#options.fanout, keys.outbound);
    }
    if (++this.#connectedTransports === this.#transports.length) this.#connected();
  }

  /** The GOP goes out up to the newest packet; live ones follow it without a hole. */
  #connected(): void {
    const { source, clock, events } = this.#options;
    events.onConnected();
    if (this.#ended) return;
    source.join(this);
    if (this.#video && !this.#video.replay()) source.requestKeyframe();
    const nowUs = clock.monotonicUs();
    for (const track of this.#tracks()) track.catchUpSenderReport(nowUs);
  }

  #feedback(compound: Buffer): void {
    for (const packet of parseRtcp(compound)) this.#feedbackPacket(packet);
  }

  /** What is about other SSRCs than ours is ignored. */
  #feedbackPacket(packet: RtcpPacket): void {
    const videoSsrc = this.#video?.out.ssrc;
    switch (packet.type) {
      case 'nack':
        if (packet.mediaSsrc === videoSsrc) this.#nacks += packet.sequences.length;
        for (const track of this.#tracks()) {
          if (packet.mediaSsrc !== track.out.ssrc) continue;
          track.repair(packet.sequences, this.#repairs, this.#options.clock.monotonicUs());
        }
        break;
      case 'pli':
        if (packet.mediaSsrc === videoSsrc) this.#keyframeAsked();
        break;
      case 'fir':
        if (packet.entries.some(({ ssrc }) => ssrc === videoSsrc)) this.#keyframeAsked();
        break;
      case 'remb':
        this.#bandwidth.receiverEstimate(packet.bitrateBps);
        break;
      case 'rr':
      case 'sr':
        for (const report of packet.reports) {
          if (report.ssrc !== videoSsrc) continue;
          this.#lostPackets = Math.max(0, report.cumulativeLost);
          this.#bandwidth.receiverReport(report);
        }
        break;
      default:
    }
  }

  #keyframeAsked(): void {
    this.#plis++;
    if (!this.#videoDropped) this.#giveKeyframe();
  }

  #giveKeyframe(): void {
    if (!this.#video?.replayAgain()) this.#options.source.requestKeyframe();
  }

  /** A replay says nothing about what the stream needs. */
  #judgeBandwidth(video: ViewerTrack, nowUs: number, sentBps: number): void {
    if (video.isReplaying) return;
    const verdict = this.#bandwidth.judge(nowUs, sentBps);
    if (verdict.action === 'tell') {
      this.#options.events.onNotEnoughBandwidth(sentBps, verdict.availableBps);
    } else if (verdict.action === 'dropVideo') {
      this.#videoDropped = true;
      video.pause();
    } else if (verdict.action === 'resumeVideo') {
      this.#videoDropped = false;
      this.#giveKeyframe();
    }
  }

  #started(): void {
    if (this.#mediaStarted) return;
    this.#mediaStarted = true;
    this.#options.events.onMediaStarted();
  }

  #end(reason: MediaEndReason): void {
    if (this.#ended) return;
    this.#ended = true;
    const { source, events } = this.#options;
    source.detach(this);
    for (const track of this.#tracks()) track.disconnect();
    for (const transport of this.#transports) transport.close();
    events.onEnded(reason);
  }

  #tracks(): ViewerTrack[] {
    return [this.#audio, this.#video].filter((track) => track !== undefined);
  }

  #track(
    kind: 'video' | 'audio',
    plan: TrackPlan | undefined,
    source: SourceTrack | undefined,
  ): ViewerTrack | undefined {
    if (!plan || !source) return undefined;
    const { randomBelow, clock } = this.#options;
    const { payloadType, rtxPayloadType } = plan;
    const ssrc = () => 1 + randomBelow(0xffff_fffe);
    return new ViewerTrack({
      source,
      out: new OutgoingTrack({
        ssrc: ssrc(),
        payloadType,
        rtx: rtxPayloadType === undefined ? undefined : { ssrc: ssrc(), payloadType: rtxPayloadType },
        firstSequence: randomBelow(FIRST_SEQUENCES),
      }),
      transport: this.#transports[plan.transportIndex]!,
      cname: canonicalName(kind, this.id),
      clock,
      availableBps: () => this.#bandwidth.estimateBps,
      onStart: () => this.#started(),
    });
  }
}
