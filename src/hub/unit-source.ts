import type { MediaUnit, Tracks } from '../domain/media.ts';

/**
 * Anything that gives units to any number of readers: a live stream, or a rendition of one. All units of a source are on
 * one monotonic timeline; its audio is continuous (design §1, reference/ffmpeg.md §1 rule 5).
 */
export interface UnitSource {
  /** What flows. Sizes are 0 until the first keyframe. Readers hear of changes through `onTracks`. */
  readonly tracks: Tracks;
  /** Starts a reader with the cached GOP (if `fromCachedGop`) and then live units. A reader that is slow never delays another. */
  addReader(options: ReaderOptions): Reader;
  /** Coalesced; at most one request per 500 ms reaches the publisher. */
  requestKeyframe(): void;
}

export interface ReaderOptions {
  /** For logs and counters. */
  readonly label: string;
  /**
   * Begin with the cached GOP when there is one of at most `maxCachedBytes`; otherwise with the next keyframe (a keyframe is
   * requested). Units of the cache are given after `addReader` has returned.
   */
  readonly fromCachedGop: boolean;
  /** Default `maxQueueBytes`; more than `MAX_GOP_BYTES` is never kept. */
  readonly maxCachedBytes?: number | undefined;
  /**
   * What the reader does with video. While a `copy` reader of H.264 is attached, a live encoder is asked for a keyframe at
   * least every 2 s; `decode` takes keyframes as they come. Default `copy`.
   */
  readonly video?: 'copy' | 'decode' | 'none' | undefined;
  /** Default true. */
  readonly audio?: boolean | undefined;
  /**
   * Bound of the queue. When full, video is dropped up to the next keyframe, never half a frame; the oldest audio goes last. What
   * waits of the cached GOP is not counted: or whoever takes a large one a little slowly would lose what comes meanwhile.
   */
  readonly maxQueueBytes: number;
  /**
   * Bound of the queue in media time. Of video that has waited for longer only what follows the newest keyframe stays, so that
   * there is never less than one group of pictures; sound goes when it has waited for three times as long. Undefined: bytes alone.
   */
  readonly maxQueueUs?: number | undefined;
  /**
   * Takes one unit. Returns false when, after this one, it can take no more for now; the reader then queues until
   * `resume()`. It must not throw: a reader that does is closed. Video always begins with a keyframe, and audio before
   * that keyframe's time is not given, unless no video at all comes for 2 s: then audio begins alone.
   */
  readonly onUnit: (unit: MediaUnit) => boolean;
  /** Once, when the source is gone. Not called after `close()`. */
  readonly onEnd: (reason: string) => void;
  /** A track appeared, or changed codec or size. */
  readonly onTracks?: (tracks: Tracks) => void;
}

export interface Reader {
  resume(): void;
  readonly queuedBytes: number;
  readonly counters: { readonly units: number; readonly droppedVideo: number; readonly droppedAudio: number };
  /** Idempotent; nothing is delivered afterwards. */
  close(): void;
}

/** What a reader can take; absent size, rate and interval mean "as published". Equal needs share one rendition. */
export interface RenditionNeed {
  readonly video: 'h264' | 'none';
  readonly audio: 'aac' | 'opus' | 'none';
  /** Only what browsers play: without B-frames, and of a profile and format that they decode (`protocol/h264/webrtc-ready.ts`). */
  readonly webrtcReady?: boolean | undefined;
  /** Picture height in pixels; width follows the aspect ratio unless `widthPx` is given too. */
  readonly heightPx?: number | undefined;
  readonly widthPx?: number | undefined;
  readonly fps?: number | undefined;
  /** In frames, as WCS counts it. */
  readonly keyFrameIntervalFrames?: number | undefined;
}
