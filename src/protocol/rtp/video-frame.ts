/** What the video depacketisers make: one access unit, still on the sender's RTP clock. */
export interface RtpVideoFrame {
  /** 32 bits, 90 kHz. */
  readonly rtpTimestamp: number;
  /** Arrival of the frame's first packet, as given with it. */
  readonly arrivalUs: number;
  readonly isKeyframe: boolean;
  /** Size of the picture in pixels, as the last keyframe said. */
  readonly width: number;
  readonly height: number;
  /** Belongs to the receiver of the frame. */
  readonly data: Buffer;
}

/** A limit against hostile or broken senders; a keyframe of 4K video has some hundred kilobytes. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;
