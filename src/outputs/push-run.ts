import type { AudioMode, RunEnd } from '../domain/transponder.ts';
import type { DestinationCaller } from '../egress/address-policy.ts';
import type { RtmpTarget } from '../egress/gate.ts';

/**
 * The seam between the transponder service, which decides, and the output that carries one RTMP push: one run is one child
 * process with its gate session, from spawn to the last socket (design §4, §5).
 */
export interface PushRunFactory {
  /** Starts a run and returns at once; everything that happens is told through `onEvent`. It must not throw. */
  start(options: PushRunOptions): PushRun;
}

export interface PushRunOptions {
  /** mediaSessionId of the transponder. */
  readonly id: string;
  /** 0 for the first run, then the number of the retry. */
  readonly attempt: number;
  /** Secret mark of this run; goes into the child's environment, so that the orphan sweep knows it again. */
  readonly nonce: string;
  /** The source stream, as published here. */
  readonly streamName: string;
  readonly target: RtmpTarget;
  /** Who named the destination; decides which addresses may be dialled. */
  readonly caller: DestinationCaller;
  readonly params: PushParams;
  readonly audio: AudioMode;
  /** Not called inside `start` itself. Nothing follows `ended`. */
  readonly onEvent: (event: RunEvent) => void;
}

export interface PushRun {
  /** The last lines that its process has said so far; empty where there is none. */
  readonly lastWords: string;
  /** Takes effect without a restart and without a gap. */
  setAudio(mode: AudioMode): void;
  /** Memoised; resolves when the child and its sockets are gone. `ended` is told (class `asked_stop` if it ended by this). */
  stop(): Promise<void>;
}

/** What the request asked of the picture; 0 = as the source. Height, fps or keyFrameInterval transcodes (WCS 5.2.560, 5.2.785). */
export interface PushParams {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** In frames. */
  readonly keyFrameInterval: number;
  readonly rtmpFlashVersion: string;
  readonly sendMetadata: boolean;
}

export type RunEvent =
  | { readonly type: 'spawned'; readonly pid: number; readonly startTicks: number; readonly argvRedacted: string }
  /** The destination accepted `publish`. */
  | { readonly type: 'publishing' }
  /** A keyframe was written and the destination takes bytes; said again when bytes move after `stalled`. */
  | { readonly type: 'active' }
  | {
      readonly type: 'progress';
      readonly bytesOut: number;
      readonly framesOut?: number | undefined;
      readonly fps?: number | undefined;
      readonly bitrateBps?: number | undefined;
      readonly backlogBytes: number;
      /** The source gives no new media; the run goes on. */
      readonly isSourceFrozen?: boolean | undefined;
      /** Media time in the outgoing buffer, and how often it has gathered; undefined without one. */
      readonly bufferedMs?: number | undefined;
      readonly bufferings?: number | undefined;
      /** By the destination's own word; 0 where it says nothing. */
      readonly bytesAcknowledged?: number | undefined;
      /** Given up since the run began, because the run was slow. */
      readonly droppedUnits?: { readonly video: number; readonly audio: number } | undefined;
    }
  /** A sound that does not loop has gone out to its end; from here on the source is heard. */
  | { readonly type: 'soundEnded'; readonly soundFile: string }
  /** The destination took nothing for the stall timeout. The service ends the run. */
  | { readonly type: 'stalled' }
  /** Once, last: the child and its sockets are gone. */
  | { readonly type: 'ended'; readonly end: RunEnd; readonly stderrHead: string; readonly stderrTail: string };
