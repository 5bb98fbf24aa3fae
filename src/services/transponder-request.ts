import type { ExitClass, TransponderState } from '../domain/transponder.ts';

/** What the caller of `/push/startup`, or a publisher with `rtmpUrl`, asks for (reference/wcs-protocol.md §3.1). */
export interface StartupRequest {
  /** The stream as published here. */
  readonly streamName: string;
  /** Holds secrets; goes nowhere but into the sealed column and the answer to the caller. */
  readonly rtmpUrl: string;
  /** Take the name to publish from the URL. `rtmp_transponder_full_url` switches it on for all. */
  readonly rtmpTransponderFullUrl?: boolean | undefined;
  readonly rtmpFlashVersion?: string | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly fps?: number | undefined;
  /** In frames. */
  readonly keyFrameInterval?: number | undefined;
  readonly options?: StartupOptions | undefined;
  /** Ours: accept a stream that is not there yet, and outlive its pauses. */
  readonly waitForStream?: boolean | undefined;
  /** Ours: which restart policy; `wcs` where absent. */
  readonly restartPolicy?: 'wcs' | 'persistent' | undefined;
}

/** Echoed as given; `action` is carried out at creation. */
export interface StartupOptions {
  readonly action?: 'mute' | 'sound_on' | undefined;
  readonly soundFile?: string | undefined;
  readonly loop?: boolean | undefined;
}

/**
 * Who asks. A push that came with its publisher (`rtmpUrl` of publishStream) or by `rtmp_push_auto_start` always ends with
 * its stream.
 */
export type StartupCaller = 'rest' | 'publisher' | 'auto_start';

/** Filters are ANDed; absent = any. */
export interface PushFilter {
  /** Bare or with the prefix. */
  readonly streamName?: string | undefined;
  /** Exact text. */
  readonly rtmpUrl?: string | undefined;
}

/** The transponder object of WCS. The last six fields appear where the request had them. */
export interface PushView {
  readonly mediaSessionId: string;
  /** As published on the RTMP server; in full URL mode the source's name, because the other one may be a stream key. */
  readonly streamName: string;
  readonly rtmpUrl: string;
  readonly width: number;
  readonly height: number;
  readonly muted: boolean;
  readonly soundEnabled: boolean;
  readonly options: StartupOptions;
  readonly rtmpTransponderFullUrl?: boolean | undefined;
  readonly rtmpFlashVersion?: string | undefined;
  readonly keyFrameInterval?: number | undefined;
  readonly fps?: number | undefined;
  readonly soundFile?: string | undefined;
  readonly loop?: boolean | undefined;
}

/** How a push is doing now; figures are missing until its run has reported some. */
export interface PushStatus {
  readonly state: TransponderState;
  readonly stateSinceMs: number;
  /** Why it is in this state, where there is a reason. */
  readonly reason: string | undefined;
  readonly bitrateBps: number | undefined;
  readonly fps: number | undefined;
  /** Of the present run. */
  readonly bytesOut: number | undefined;
  /** Waits for the destination, or for its ffmpeg. */
  readonly backlogBytes: number | undefined;
  /** Given up by the present run's reader because it was slow. */
  readonly droppedUnits: { readonly video: number; readonly audio: number } | undefined;
  readonly restartsTotal: number;
}

/** A push that has not ended, for operators: without its URL. */
export interface LivePush extends PushStatus {
  readonly id: string;
  readonly streamName: string;
  readonly destRedacted: string;
}

/** One transition of one transponder, told when it has happened. Holds no secret. */
export interface TransponderNotice {
  readonly atMs: number;
  readonly transponderId: string;
  /** The event that set it off. */
  readonly type: string;
  readonly from: TransponderState;
  readonly to: TransponderState;
  readonly detail: string | null;
  /** Of the run that ended, where one did. */
  readonly exitClass?: ExitClass | undefined;
}

/** Counted since this start of the process. */
export interface TransponderTotals {
  readonly bytesOut: number;
  readonly invariantViolations: number;
}
