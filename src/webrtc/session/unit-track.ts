import type { Clock } from '../../domain/clock.ts';
import type { MediaUnit, VideoUnit } from '../../domain/media.ts';
import { H264Packetizer } from '../../protocol/h264/packetizer.ts';
import { unixMsToNtpUs, usToNtp } from '../../protocol/rtp/ntp.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../../protocol/rtp/packet.ts';
import { SequenceRewriter } from '../receive/sequence-rewriter.ts';
import type { SourceTrack, TimedSenderReport } from './media-source.ts';
import { UnitPackets } from './unit-packets.ts';

/** With headers, SRTP tag and RTX this stays below what any path to a browser carries. */
const MAX_PAYLOAD_BYTES = 1180;
/** A GOP of 10 s at nearly 8 Mbit/s; of a larger one a viewer gets nothing before the next. */
const VIDEO_STORE = { capacity: 8192, recent: 2048 };
const AUDIO_STORE = { capacity: 256, recent: 256 };
const MAX_GOP_US = 10_000_000;
const NO_KEYFRAME = { index: -1, arrivalUs: 0 };

/** The wall-clock time of the stream's zero, shared by its tracks: sender reports are on one clock. */
export class NtpAnchor {
  readonly #zeroNtpUs: number;

  /** `ptsUs` is the present time of the stream's timeline. */
  constructor(clock: Clock, ptsUs: number) {
    this.#zeroNtpUs = unixMsToNtpUs(clock.nowMs()) - ptsUs;
  }

  ntpUsOf(ptsUs: number): number {
    return this.#zeroNtpUs + ptsUs;
  }
}

export interface UnitTrackOptions {
  readonly kind: 'video' | 'audio';
  readonly clockRateHz: number;
  /** 32 bits, random: the RTP time of the timeline's zero (RFC 3550 §5.1). */
  readonly baseTimestamp: number;
  /** A packet for the viewers, once, in order. Valid until the store uses its place again. */
  readonly onPacket: (packet: Buffer, index: number, startsKeyframe: boolean) => void;
}

/** One track of a stream that is made of media units: packetised once, for all its players. */
export class UnitTrack implements SourceTrack {
  readonly clockRateHz: number;
  readonly store: UnitPackets;
  readonly isReplayedOnRequest: boolean;
  readonly rewriter = new SequenceRewriter();
  keyframe = NO_KEYFRAME;
  lastSenderReport: TimedSenderReport | undefined;
  readonly #options: UnitTrackOptions;
  /** SSRC, payload type and sequence number are each viewer's own. */
  readonly #packetizer = new H264Packetizer({
    payloadType: 0,
    ssrc: 0,
    maxPayloadBytes: MAX_PAYLOAD_BYTES,
    firstSequence: 0,
  });
  #keyframePtsUs = 0;
  #newest: { readonly ptsUs: number; readonly writtenUs: number } | undefined;

  constructor(options: UnitTrackOptions) {
    this.#options = options;
    this.clockRateHz = options.clockRateHz;
    this.isReplayedOnRequest = options.kind === 'video';
    this.store = new UnitPackets(options.kind === 'video' ? VIDEO_STORE : AUDIO_STORE);
  }

  write(unit: MediaUnit, nowUs: number): void {
    const timestamp = this.#timestampOf(unit.ptsUs);
    const packets =
      unit.kind === 'video' ? this.#packetizer.packetize(unit.data, timestamp) : audioPackets(unit.data, timestamp);
    if (packets.length === 0) return;
    this.#newest = { ptsUs: unit.ptsUs, writtenUs: nowUs };
    const isKeyframe = unit.kind === 'video' && unit.isKeyframe;
    if (unit.kind === 'video') this.#noteGop(unit, nowUs);
    for (const [i, packet] of packets.entries()) {
      this.store.push(packet);
      this.#options.onPacket(packet, this.rewriter.map(this.store.highest), isKeyframe && i === 0);
    }
  }

  /** A sender report for the present; `undefined` before the first unit. */
  report(anchor: NtpAnchor, nowUs: number): TimedSenderReport | undefined {
    if (!this.#newest) return undefined;
    const ptsUs = this.#newest.ptsUs + (nowUs - this.#newest.writtenUs);
    const report = { ntp: usToNtp(anchor.ntpUsOf(ptsUs)), rtpTimestamp: this.#timestampOf(ptsUs) };
    this.lastSenderReport = { report, arrivalUs: nowUs };
    return this.lastSenderReport;
  }

  #noteGop({ isKeyframe, ptsUs }: VideoUnit, nowUs: number): void {
    if (isKeyframe) {
      this.keyframe = { index: this.store.highest + 1, arrivalUs: nowUs };
      this.#keyframePtsUs = ptsUs;
    } else if (ptsUs - this.#keyframePtsUs > MAX_GOP_US) {
      this.keyframe = NO_KEYFRAME;
    } else {
      return;
    }
    this.store.keepFrom(this.keyframe.index < 0 ? Number.POSITIVE_INFINITY : this.keyframe.index);
  }

  #timestampOf(ptsUs: number): number {
    return (this.#options.baseTimestamp + Math.round((ptsUs * this.clockRateHz) / 1_000_000)) >>> 0;
  }
}

/** One packet of Opus or G.711 is one frame (RFC 7587 §4.2, RFC 3551 §4.5.14); one that is too long for a packet is left out. */
function audioPackets(frame: Buffer, timestamp: number): Buffer[] {
  if (frame.length === 0 || frame.length > MAX_PAYLOAD_BYTES) return [];
  const packet = Buffer.allocUnsafe(RTP_HEADER_BYTES + frame.length);
  writeRtpHeader(packet, { payloadType: 0, marker: false, sequence: 0, timestamp, ssrc: 0 });
  frame.copy(packet, RTP_HEADER_BYTES);
  return [packet];
}
