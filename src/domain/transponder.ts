/** What a transponder is (design §4). `desired` is written only by REST, WebSocket and configuration; `state` only by the machine. */
export type Desired = 'run' | 'stop';

export type TransponderKind = 'rtmp_push' | 'rtmp_pull' | 'wcs_push' | 'wcs_pull';

/**
 * Who asked for a transponder. A push that came with its publisher (`rtmpUrl` of publishStream) or by `rtmp_push_auto_start`
 * always ends with its stream.
 */
export type TransponderCaller = 'rest' | 'publisher' | 'auto_start';

export const TRANSPONDER_STATES = [
  'NEW',
  'WAITING_SOURCE',
  'STARTING',
  'ACTIVE',
  'DEGRADED',
  'STOPPING',
  'BACKOFF',
  'SUSPENDED',
  'FAILED',
  'TERMINATED',
] as const;

export type TransponderState = (typeof TRANSPONDER_STATES)[number];

/**
 * Why a run ended. The class decides what follows, not the exit code alone (reference/supervision-and-user-pain.md §2.3).
 * `dest_*`, `tls_error` and `media_unsupported` are the destination's word; the rest is ours.
 */
export type ExitClass =
  | 'asked_stop'
  | 'source_gone'
  | 'dest_refused'
  | 'dest_unreachable'
  | 'dest_dns'
  | 'dest_timeout'
  | 'dest_reset'
  | 'dest_busy'
  | 'dest_auth'
  /** It refused the application or the name, in words. */
  | 'dest_rejected'
  /** It closed before it accepted the stream, without a word: that is how many refuse, and what one that has trouble looks like. */
  | 'dest_closed'
  | 'dest_forbidden_address'
  | 'tls_error'
  | 'media_unsupported'
  | 'stalled'
  | 'start_timeout'
  | 'killed'
  | 'crash'
  | 'spawn_error'
  /** Its process used more than `rtmp_push_cpu_limit_percent` or `rtmp_push_memory_limit_bytes` allow. */
  | 'limit_cpu'
  | 'limit_memory'
  | 'server_crash'
  /** The set of tracks changed (a camera appeared): start again at once with the new plan; not a failure. */
  | 'replan'
  /** An operator asked for a new run. */
  | 'restart_requested';

/** One end of a run, in the shape in which the supervisor, the gate and the store exchange it. */
export interface RunEnd {
  readonly exitClass: ExitClass;
  /** One sentence for the operator, without secrets: the destination's own words where it gave some. */
  readonly detail: string;
  readonly exitCode?: number | undefined;
  readonly exitSignal?: string | undefined;
}

/** Which audio goes to the destination; switching never restarts anything (design §1 "Mute and sound"). */
export type AudioMode =
  | { readonly mode: 'source' }
  | { readonly mode: 'mute' }
  | { readonly mode: 'sound'; readonly soundFile: string; readonly loop: boolean };
