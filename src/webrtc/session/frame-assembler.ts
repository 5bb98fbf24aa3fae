import { H264Depacketizer } from '../../protocol/h264/depacketizer.ts';
import { rtpPayloadEnd, rtpPayloadOffset, rtpTimestamp } from '../../protocol/rtp/packet.ts';
import type { TimestampUnwrapper } from '../../protocol/rtp/unwrap.ts';
import type { RtpVideoFrame } from '../../protocol/rtp/video-frame.ts';
import type { TrackPlan } from '../../protocol/sdp/plan.ts';
import { Vp8Depacketizer } from '../../protocol/vp8/depacketizer.ts';
import type { RtpFrame } from '../media-worker.ts';

/** Packets of one track, in order, to frames. After `lost`, video goes on at the next keyframe. */
export interface FrameAssembler {
  /** May throw the depacketiser's ProtocolError. */
  push(packet: Buffer, arrivalUs: number): void;
  lost(): void;
}

export function createFrameAssembler(
  { codec, clockRateHz }: TrackPlan,
  timestamps: TimestampUnwrapper,
  onFrame: (frame: RtpFrame) => void,
): FrameAssembler {
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
