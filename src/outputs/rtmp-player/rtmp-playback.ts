/** Where a viewer's bytes go: a connection that has an answered `play`. */
export interface RtmpViewer {
  write(bytes: Buffer): void;
  /** As one write, without copying them together. */
  writeAll(buffers: readonly Buffer[]): void;
  /**
   * Given and not known to have been received: what is not acknowledged, less the window in which no acknowledgement is due, and
   * at least what the socket holds. 0 for a viewer that keeps up.
   */
  readonly backlogBytes: number;
  /** The same for a viewer that is expected to acknowledge, also before it has begun to. */
  readonly unacknowledgedBytes: number;
  /** Certainly taken by the peer or the kernel; what stands still while there is a backlog is stalled. */
  readonly takenBytes: number;
  /** Of what it is going to be given, so that acknowledgements come often enough to tell how late it is; 0 where that is not known. */
  expectRate(bytesPerSecond: number): void;
}

/**
 * Why a playback ended: its stream is gone, or is live and cannot be made what RTMP players take any more, its viewer cannot keep up, or the
 * picture that sound waits for never came.
 */
export type RtmpPlaybackEnd = 'source_ended' | 'source_failed' | 'too_slow' | 'no_video';

export interface RtmpPlaybackOptions {
  readonly name: string;
  readonly viewer: RtmpViewer;
  /** The viewer gets silent AAC instead of the stream's sound. */
  readonly suppressSound: boolean;
  /** Once: the first media has been given. */
  onStarted(): void;
  /** The size of the picture in pixels, now and whenever it changes. */
  onFormat(width: number, height: number): void;
  /** Once; nothing is written any more. Not called after `close`. */
  onEnd(reason: RtmpPlaybackEnd): void;
}

/** One viewer of one stream. Closed by the connection it belongs to. */
export interface RtmpPlayback {
  /** To be called once the viewer has been told that it plays: nothing is written before. */
  start(): void;
  pause(): void;
  /** Goes on at the next place that a decoder can start from. */
  resume(): void;
  /** Absent kinds stay as they are. */
  mute(kinds: { readonly audio?: boolean; readonly video?: boolean }): void;
  /** Idempotent. */
  close(): void;
}
