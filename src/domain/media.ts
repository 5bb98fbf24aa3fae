/** What flows between a source, the hub and its readers. Units of time are part of every name. */

export type VideoCodec = 'h264' | 'vp8';
export type AudioCodec = 'opus' | 'aac' | 'pcma' | 'pcmu';

/**
 * One access unit. `data` of H.264 is Annex-B with four-byte start codes and SPS + PPS in front of every IDR
 * (reference/ffmpeg.md §1); of VP8 it is one frame. `width` and `height` are those of the picture, in pixels.
 */
export interface VideoUnit {
  readonly kind: 'video';
  readonly codec: VideoCodec;
  readonly ptsUs: number;
  readonly dtsUs: number;
  readonly isKeyframe: boolean;
  readonly width: number;
  readonly height: number;
  readonly data: Buffer;
}

/** One audio frame: an Opus packet, a raw AAC frame (no ADTS header) or G.711 samples. */
export interface AudioUnit {
  readonly kind: 'audio';
  readonly codec: AudioCodec;
  readonly ptsUs: number;
  readonly durationUs: number;
  readonly data: Buffer;
}

/** `ptsUs` and `dtsUs` are on the one monotonic timeline of the stream the unit belongs to. */
export type MediaUnit = VideoUnit | AudioUnit;

export interface VideoTrack {
  readonly codec: VideoCodec;
  readonly width: number;
  readonly height: number;
  /** As whoever encodes it says; absent where nobody does. */
  readonly frameRateFps?: number | undefined;
  /** Of H.264: whether browsers play the units as they are. Absent until a keyframe has told, and where none does. */
  readonly isWebrtcReady?: boolean | undefined;
}

export interface AudioTrack {
  readonly codec: AudioCodec;
  readonly sampleRateHz: number;
  readonly channels: number;
}

export function isSameAudio(left: AudioTrack, right: AudioTrack | undefined): boolean {
  return left.codec === right?.codec && left.sampleRateHz === right.sampleRateHz && left.channels === right.channels;
}

/** A track that does not exist is `undefined`. `width` and `height` are 0 until the first keyframe has been seen. */
export interface Tracks {
  readonly video?: VideoTrack | undefined;
  readonly audio?: AudioTrack | undefined;
}
