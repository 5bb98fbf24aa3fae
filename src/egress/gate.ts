import type { Logger } from '../domain/logger.ts';
import type { RunEnd } from '../domain/transponder.ts';
import type { DestinationCaller } from './address-policy.ts';

/**
 * The egress gate (design §5). ffmpeg never dials the internet: it publishes to a loopback port of ours under a one-time
 * token, and the gate publishes the same messages to the real destination. So the destination's name, key and password are
 * never on a command line, the bytes the destination took are counted, and its status messages become exit reasons.
 */
export interface RtmpPushGate {
  /** Makes a place for one child, and dials its destination at once. A gate that is closed ends it at once, and does not throw. */
  admit(options: GateOptions): GateSession;
  close(): Promise<void>;
}

/** A parsed RTMP URL and stream name. Made by `egress/rtmp-target.ts`; the only place in memory that holds the secret. */
export interface RtmpTarget {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** `connect` app with its query, e.g. `live?user=u&pass=p`. */
  readonly app: string;
  /** tcUrl without user information. */
  readonly tcUrl: string;
  /** Name given to `publish`. */
  readonly playPath: string;
  readonly credentials?: { readonly user: string; readonly password: string } | undefined;
  /** Host, port and first part of the app; key, query and password replaced. The only form for logs, lists and labels. */
  readonly redacted: string;
  /** The same text for every spelling of the same destination, for a keyed hash. Holds the name in clear: never store it. */
  readonly canonical: string;
}

export interface GateOptions {
  readonly target: RtmpTarget;
  readonly flashVersion: string;
  /** Local address of the outgoing socket (`rtmp_publisher_ip`); undefined = any. */
  readonly localAddress?: string | undefined;
  /** From dialling to NetStream.Publish.Start. */
  readonly connectTimeoutMs: number;
  /** What may wait in user space before the child is held back, so that a stall shows upstream within a moment. */
  readonly maxBacklogBytes: number;
  /** Pass `@setDataFrame onMetaData` on (`rtmp_transponder_send_metadata`); undefined = no. */
  readonly sendMetadata?: boolean | undefined;
  /** Who named the destination, for the address policy; undefined = other, the stricter one. */
  readonly caller?: DestinationCaller | undefined;
  /** Carries the ids of the push and its run; undefined = the gate's own. */
  readonly logger?: Logger | undefined;
  readonly onEvent: (event: GateEvent) => void;
}

export type GateEvent =
  | { readonly type: 'dialling'; readonly address: string }
  /** NetStream.Publish.Start (or the destination's equivalent) arrived. */
  | { readonly type: 'publishing' }
  /** Any other status message of the destination. */
  | { readonly type: 'status'; readonly level: string; readonly code: string; readonly description: string }
  /** Once. The gate's side is over; the child's socket is closed too. */
  | { readonly type: 'ended'; readonly end: RunEnd };

export interface GateSession {
  /** For the child's command line: `rtmp://127.0.0.1:<port>/`, a one-time app name and play path. */
  readonly childUrl: string;
  readonly childApp: string;
  readonly childPlayPath: string;
  /** Read at any time; cheap. */
  counters(): GateCounters;
  /** Sends FCUnpublish and deleteStream where a stream is open, then closes both sockets. Idempotent. */
  close(): Promise<void>;
}

export interface GateCounters {
  /** Media bytes that have arrived at the destination's kernel, as of the last look at its connection (see `SendQueues`). */
  readonly bytesAccepted: number;
  /** Media time that has arrived, from the first message's on. */
  readonly acceptedMediaMs: number;
  /** What waits in user space for the destination's socket. */
  readonly backlogBytes: number;
  /** What our kernel holds for the destination: on its way, or waiting for it to read. */
  readonly unacceptedBytes: number;
  /** The destination's last RTMP Acknowledgement, 0 where it sends none. */
  readonly bytesAcknowledged: number;
  /** True after a video keyframe (or, without video, any audio frame) was written to the destination. */
  readonly mediaStarted: boolean;
}
