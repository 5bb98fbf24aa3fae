import { FrameBytes } from '../rtp/frame-bytes.ts';
import { rtpMarker, rtpPayloadEnd, rtpPayloadOffset, rtpTimestamp } from '../rtp/packet.ts';
import { MAX_FRAME_BYTES } from '../rtp/video-frame.ts';
import type { RtpVideoFrame } from '../rtp/video-frame.ts';
import { isVp8FrameStart, vp8DataOffset, vp8KeyframeSize } from './descriptor.ts';

const NONE = -1;

export interface Vp8DepacketizerOptions {
  readonly onFrame: (frame: RtpVideoFrame) => void;
  readonly maxFrameBytes?: number | undefined;
}

/**
 * Makes VP8 frames of RTP packets in order (RFC 7741 §4.5). A frame ends at the marker or where the timestamp changes.
 * Begins with a keyframe; after `lost()`, a malformed packet, or a frame without its beginning, it gives nothing until the
 * next one.
 */
export class Vp8Depacketizer {
  readonly #onFrame: (frame: RtpVideoFrame) => void;
  readonly #frame: FrameBytes;
  #timestamp = NONE;
  #arrivalUs = 0;
  #isWaiting = true;
  #width = 0;
  #height = 0;

  constructor(options: Vp8DepacketizerOptions) {
    this.#onFrame = options.onFrame;
    this.#frame = new FrameBytes(options.maxFrameBytes ?? MAX_FRAME_BYTES, 'VP8_FRAME_SIZE');
  }

  /** True while only a keyframe can make it give frames (again): the owner asks the sender for one. */
  get isWaitingForKeyframe(): boolean {
    return this.#isWaiting;
  }

  /**
   * Takes the next packet in order. `onFrame` is called during the call. Throws nothing but `VP8_FRAME_SIZE`, after which the
   * depacketiser can go on from the next keyframe.
   */
  push(packet: Buffer, arrivalUs: number): void {
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    if (start === end && end >= 0) return;
    const dataAt = end < 0 ? -1 : vp8DataOffset(packet, start, end);
    if (dataAt < 0) {
      this.lost();
      return;
    }
    const timestamp = rtpTimestamp(packet);
    if (timestamp !== this.#timestamp) {
      this.#finishFrame();
      this.#timestamp = timestamp;
      this.#arrivalUs = arrivalUs;
    }
    this.#takeData(packet, start, dataAt, end);
    if (rtpMarker(packet)) this.#finishFrame();
  }

  /** Packets are missing before the next one. */
  lost(): void {
    this.#isWaiting = true;
    this.#frame.truncate(0);
  }

  #takeData(packet: Buffer, start: number, dataAt: number, end: number): void {
    // The first partition begins exactly once, with the frame.
    if (isVp8FrameStart(packet, start) !== (this.#frame.length === 0)) {
      this.lost();
      return;
    }
    // Bit 0 of a frame's first byte is 0 for keyframes.
    if (this.#isWaiting && this.#frame.length === 0 && (packet[dataAt]! & 0x01) !== 0) return;
    try {
      this.#frame.append(packet, dataAt, end);
    } catch (error) {
      this.lost();
      throw error;
    }
  }

  #finishFrame(): void {
    if (this.#frame.length === 0) return;
    const data = Buffer.from(this.#frame.view());
    this.#frame.truncate(0);
    const isKeyframe = (data[0]! & 0x01) === 0;
    if (isKeyframe) {
      const size = vp8KeyframeSize(data);
      if (size === undefined) {
        this.lost();
        return;
      }
      this.#width = size.width;
      this.#height = size.height;
      this.#isWaiting = false;
    }
    this.#onFrame({
      rtpTimestamp: this.#timestamp,
      arrivalUs: this.#arrivalUs,
      isKeyframe,
      width: this.#width,
      height: this.#height,
      data,
    });
  }
}
