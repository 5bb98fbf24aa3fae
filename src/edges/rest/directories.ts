/** What the REST edge needs to know of streams and sessions; the composition root wires it to their services. */

/** The stream object of WCS; fields we cannot know are absent (reference/wcs-protocol.md §3.4). */
export interface StreamView {
  readonly mediaSessionId: string;
  readonly name: string;
  readonly published: boolean;
  readonly status: string;
  readonly [field: string]: unknown;
}

/** Filters are ANDed; absent = any. */
export interface StreamFilter {
  readonly mediaSessionId?: string | undefined;
  readonly mediaSessionIds?: readonly string[] | undefined;
  readonly name?: string | undefined;
  readonly status?: string | undefined;
  readonly published?: boolean | undefined;
}

export interface StreamDirectory {
  /** `withMetrics`: the caller asked for `display: ["metrics"]`. */
  find(filter: StreamFilter, withMetrics: boolean): StreamView[];
  /** Begins to end every stream that matches; returns how many there are. */
  terminate(filter: StreamFilter): number;
}

/** The connection object of WCS (reference/wcs-protocol.md §3.5). */
export interface SessionView {
  readonly sessionId: string;
  readonly appKey: string;
  readonly status: string;
  readonly [field: string]: unknown;
}

export interface SessionFilter {
  readonly appKey?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly clientVersion?: string | undefined;
}

export interface SessionDirectory {
  find(filter: SessionFilter): SessionView[];
  /** Closes the WebSocket; false when there is no such session. */
  terminate(sessionId: string): boolean;
}

/** What `/health/ready` says; made by the composition root, which knows the ports. */
export interface Readiness {
  readonly ready: boolean;
  /** `starting`, `ready`, `degraded` or `stopping`. */
  readonly state: string;
  readonly ports: Readonly<Record<string, number>>;
}
