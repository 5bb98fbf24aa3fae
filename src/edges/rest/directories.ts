/** What the REST edge needs of streams and sessions; their services satisfy it. */

/** Filters are ANDed; absent = any. */
export interface StreamFilter {
  readonly mediaSessionId?: string | undefined;
  readonly mediaSessionIds?: readonly string[] | undefined;
  readonly name?: string | undefined;
  readonly status?: string | undefined;
  readonly published?: boolean | undefined;
}

export interface StreamDirectory {
  /** Stream objects of WCS; fields we cannot know are absent (reference/wcs-protocol.md §3.4). */
  find(filter: StreamFilter): object[];
  /** Begins to end every stream that matches. Throws AppError STREAM_NOT_FOUND when none does. */
  terminate(filter: StreamFilter): void;
  /** Gives it to all players of a name. Throws AppError STREAM_NOT_FOUND. */
  sendData(name: string, payload: unknown): void;
}

export interface SessionFilter {
  readonly appKey?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly clientVersion?: string | undefined;
}

export interface SessionDirectory {
  /** Connection objects of WCS (reference/wcs-protocol.md §3.5). */
  find(filter: SessionFilter): object[];
  /** Closes the WebSocket. Throws AppError SESSION_NOT_FOUND. */
  terminate(sessionId: string): void;
  /** Gives it to the client as `OnDataEvent`. Rejects with AppError SESSION_NOT_FOUND or RESTRICTED_ACCESS. */
  sendData(sessionId: string, operationId: string, payload: unknown): Promise<void>;
}

export interface SnapshotSource {
  /** A PNG. Rejects with AppError STREAM_NOT_FOUND, OVERLOADED or CHILD_FAILED. */
  take(name: string): Promise<Buffer>;
}

/** What `/health/ready` says; made by the composition root, which knows the ports. */
export interface Readiness {
  readonly ready: boolean;
  /** `starting`, `ready`, `degraded` or `stopping`. */
  readonly state: string;
  readonly ports: Readonly<Record<string, number>>;
}
