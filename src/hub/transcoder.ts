import type { Logger } from '../domain/logger.ts';
import type { AudioTrack, AudioUnit, MediaUnit, VideoTrack, VideoUnit } from '../domain/media.ts';

/**
 * The seam between renditions and whatever encodes (`src/transcode` drives ffmpeg). A transcoder keeps the timeline:
 * what comes out carries the time of what went in, whatever its delay. When its process dies it comes back by itself;
 * `onEnd` is its last word, given once when it has given up, and never after `close()`. The factory does not throw: what
 * cannot start says so through `onEnd`.
 */
export interface TranscoderFactory {
  audio(options: AudioTranscoderOptions): Transcoder<AudioUnit>;
  video(options: VideoTranscoderOptions): Transcoder<VideoUnit>;
}

export interface Transcoder<Unit extends MediaUnit = MediaUnit> {
  /** Never blocks and never throws; a transcoder that cannot keep up drops and catches up. */
  feed(unit: Unit): void;
  /** Resolves when its processes and timers are gone; nothing is delivered from the call on. */
  close(): Promise<void>;
}

export interface AudioTranscoderOptions {
  /** Carries the id of the stream; undefined = that of all transcoders. */
  readonly logger?: Logger | undefined;
  readonly from: AudioTrack;
  /** 48 kHz stereo in both cases. */
  readonly to: 'aac' | 'opus';
  readonly onUnit: (unit: AudioUnit) => void;
  readonly onEnd: (reason: string) => void;
}

export interface VideoTranscoderOptions {
  /** Carries the id of the stream; undefined = that of all transcoders. */
  readonly logger?: Logger | undefined;
  /** With the size of the first keyframe. A later change of size is fed to the same transcoder. */
  readonly from: VideoTrack;
  readonly need: VideoNeed;
  /** H.264 units. */
  readonly onUnit: (unit: VideoUnit) => void;
  readonly onEnd: (reason: string) => void;
  /** The decoder needs a keyframe of the source, for instance after its process was replaced. */
  readonly requestKeyframe: () => void;
}

/** What a video encode is asked for; absent means as published. `widthPx` comes only together with `heightPx`. */
export interface VideoNeed {
  readonly heightPx?: number | undefined;
  readonly widthPx?: number | undefined;
  readonly fps?: number | undefined;
  readonly keyFrameIntervalFrames?: number | undefined;
}
