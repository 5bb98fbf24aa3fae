import { ProtocolError } from '../../domain/errors.ts';
import { H264Depacketizer } from '../../protocol/h264/depacketizer.ts';
import { ntpToUs } from '../../protocol/rtp/ntp.ts';
import { rtpPayloadEnd, rtpPayloadOffset, rtpTimestamp } from '../../protocol/rtp/packet.ts';
import { TimestampUnwrapper } from '../../protocol/rtp/unwrap.ts';
import type { RtpVideoFrame } from '../../protocol/rtp/video-frame.ts';
import type { TrackPlan } from '../../protocol/sdp/plan.ts';
import { Vp8Depacketizer } from '../../protocol/vp8/depacketizer.ts';
import type { RtpFrame } from '../media-worker.ts';
import type { TimedSenderReport } from './media-source.ts';

export interface TrackFramesEvents {
  onFrame(frame: RtpFrame): void;
  /** NTP time in µs of an RTP time on the clock of the frames. Never before the first frame. */
  onSenderReport(ntpUs: number, rtpTime: number): void;
  /** Media that cannot be read; frames go on at the next keyframe. */
  onMalformed(error: ProtocolError): void;
}

/** Makes frames of the packets of one track, in order, for as long as somebody wants them. */
export class TrackFrames {
  readonly #events: TrackFramesEvents;
  readonly #assembler: Assembler;
  readonly #timestamps = new TimestampUnwrapper();
  #hasFrames = false;
  /** The last one that came before the first frame. */
  #earlyReport: TimedSenderReport['report'] | undefined;

  constructor(plan: TrackPlan, events: TrackFramesEvents) {
    this.#events = events;
    this.#assembler = createAssembler(plan, this.#timestamps, (frame) => this.#onFrame(frame));
  }

  push(packet: Buffer, arrivalUs: number): void {
    try {
      this.#assembler.push(packet, arrivalUs);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#events.onMalformed(error);
    }
  }

  /** Packets are missing before the next one. */
  lost(): void {
    this.#assembler.lost();
  }

  /** The frames' clock is not moved by it: a report that is wrong must not put the next frame into another cycle. */
  senderReport(report: TimedSenderReport['report']): void {
    if (this.#hasFrames) this.#events.onSenderReport(ntpToUs(report.ntp), this.#timestamps.near(report.rtpTimestamp));
    else this.#earlyReport = report;
  }

  #onFrame(frame: RtpFrame): void {
    this.#events.onFrame(frame);
    if (this.#hasFrames) return;
    this.#hasFrames = true;
    if (this.#earlyReport) this.senderReport(this.#earlyReport);
  }
}

interface Assembler {
  /** May throw the depacketiser's ProtocolError. */
  push(packet: Buffer, arrivalUs: number): void;
  lost(): void;
}

function createAssembler(
  { codec, clockRateHz }: TrackPlan,
  timestamps: TimestampUnwrapper,
  onFrame: (frame: RtpFrame) => void,
): Assembler {
  const common = { codec, clockRateHz };
  const onVideo = ({ rtpTimestamp: timestamp, ...frame }: RtpVideoFrame) =>
    onFrame({ kind: 'video', ...common, rtpTime: timestamps.unwrap(timestamp), ...frame });
  switch (codec) {
    case 'h264':
      return new H264Depacketizer({ onFrame: onVideo });
    case 'vp8':
      return new Vp8Depacketizer({ onFrame: onVideo });
    default:
      // One packet of Opus or G.711 is one frame (RFC 7587 §4.2, RFC 3551 §4.5.14).
      return {
        push(packet, arrivalUs) {
          const data = Buffer.from(packet.subarray(rtpPayloadOffset(packet), rtpPayloadEnd(packet)));
          const rtpTime = timestamps.unwrap(rtpTimestamp(packet));
          onFrame({ kind: 'audio', ...common, rtpTime, arrivalUs, isKeyframe: true, width: 0, height: 0, data });
        },
        lost: () => {},
      };
  }
}
