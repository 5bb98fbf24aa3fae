import type { ExitClass, TransponderState } from '../domain/transponder.ts';
import type { RestartPolicyRequest } from './restart-policy.ts';

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
  /** Ours: `rtmp_push_restart_policy` where absent. */
  readonly restartPolicy?: RestartPolicyRequest | undefined;
}

/** Echoed as given; `action` is carried out at creation. */
export interface StartupOptions {
  readonly action?: 'mute' | 'sound_on' | undefined;
  readonly soundFile?: string | undefined;
  readonly loop?: boolean | undefined;
}

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
  /** By the destination's RTMP acknowledgements; 0 where it sends none. */
  readonly bytesAcknowledged: number | undefined;
  /** Since the destination began to take the present run's media. */
  readonly uptimeMs: number | undefined;
  /** Of the present run's process. */
  readonly cpuMs: number | undefined;
  readonly rssBytes: number | undefined;
  readonly maxRssBytes: number | undefined;
  /** Waits for the destination, or for its ffmpeg. */
  readonly backlogBytes: number | undefined;
  /** Media time in the outgoing buffer, and how often it has gathered; undefined without one. */
  readonly bufferedMs: number | undefined;
  readonly bufferings: number | undefined;
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
