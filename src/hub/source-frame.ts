import type { AudioCodec, VideoCodec } from '../domain/media.ts';

/** A frame that is still on its sender's media clock. The WebRTC worker's `RtpFrame` has this shape. */
export interface SourceFrame {
  readonly kind: 'video' | 'audio';
  readonly codec: VideoCodec | AudioCodec;
  /** RTP timestamp unwrapped to more than 32 bits; ticks of `clockRateHz`. */
  readonly rtpTime: number;
  readonly clockRateHz: number;
  /** Monotonic arrival time of the frame's first packet. */
  readonly arrivalUs: number;
  readonly isKeyframe: boolean;
  /** 0 where not known. */
  readonly width: number;
  readonly height: number;
  readonly data: Buffer;
}
