import type { ConnectionRequest } from '../protocol/wcs/client-messages.ts';

/** What a client wants to do, or somebody with a client (`OnDataEvent`), named as the hook that decides about it (reference/wcs-protocol.md §4). */
export type AccessOperation =
  | 'connect'
  | 'publishStream'
  | 'unPublishStream'
  | 'playStream'
  | 'stopStream'
  | 'pauseStream'
  | 'snapshot'
  | 'availableStream'
  | 'sendData'
  | 'OnDataEvent'
  | 'sessionDebug'
  | 'submitBugReport'
  | 'pushLogs';

/** What happened to a client, named as the hook that is told. */
export type BackendEvent = 'ConnectionStatusEvent' | 'StreamStatusEvent' | 'StreamKeepAliveEvent' | 'DataStatusEvent';

/** A client as its backend knows it. One object for its whole life: a backend may keep what belongs to it under the object. */
export interface BackendSession {
  readonly sessionId: string;
  readonly appKey: string;
  readonly connection: ConnectionRequest;
  /** Of the page that opened the WebSocket. */
  readonly origin: string | undefined;
  readonly kind: SessionKind;
}

/** What the client speaks. */
export type SessionKind = 'websocket' | 'rtmp' | 'http';

export interface BackendAnswer {
  readonly allowed: boolean;
  /** Refused because the backend could not be asked, not by its word. */
  readonly isOutage?: boolean | undefined;
  /** Fields that the backend replaces; nobody has checked them. */
  readonly overwrite?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The operator's application, which decides about clients and is told about them. Bodies come without `nodeId`, `appKey` and
 * `sessionId`, which the backend puts in front; what it is told reaches it in the order of the calls.
 */
export interface Backend {
  /** For `connect` and direct invocations, before anything is done for the client. A rejection counts as denied; so does a timeout of the backend's own. */
  ask(session: BackendSession, operation: AccessOperation, body: object): Promise<BackendAnswer>;
  /** `denied` only where the backend refused, or failed, and this client's failures count. Never rejects. */
  tell(session: BackendSession, event: BackendEvent, body: object): Promise<'ok' | 'denied'>;
  /** What the client may see of an event: fields may be missing from the result. */
  forClient<Body extends object>(session: BackendSession, event: BackendEvent | 'OnDataEvent', body: Body): Body;
  /** Nothing more is asked or told about this session. Also for one that was refused. */
  sessionGone(session: BackendSession): void;
}

/** Where there is no backend. */
export const allowEverything: Backend = {
  ask: () => Promise.resolve({ allowed: true }),
  tell: () => Promise.resolve('ok'),
  forClient: (_session, _event, body) => body,
  sessionGone: () => {},
};
