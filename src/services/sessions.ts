import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { ConnectionRequest } from '../protocol/wcs/client-messages.ts';
import type { ServerMessage } from '../protocol/wcs/server-messages.ts';
import {
  type AccessOperation,
  allowEverything,
  type Backend,
  type BackendAnswer,
  type BackendEvent,
  type BackendSession,
  type SessionKind,
} from './backend.ts';
import { connectBodyOf, connectionStatusBodyOf } from './connection-hook-body.ts';

/** One client connection: what it said when it connected, and the way back to it. Made by `Sessions.open`. */
export interface ClientSession extends BackendSession {
  /**
   * `/<client address>:<port>/<server address>:<port>`, with `-` and the channel's `uniqueId` where it has one; also the token
   * that the client may present again.
   */
  readonly sessionId: string;
  readonly createdMs: number;
  /** Says something to the client; dropped when the connection is gone. */
  send(message: ServerMessage): void;
  /** Asks the backend; never rejects. */
  ask(operation: AccessOperation, body: object): Promise<BackendAnswer>;
  /** Tells the backend; never rejects. `denied`: what has happened is to be undone. */
  tell(event: BackendEvent, body: object): Promise<'ok' | 'denied'>;
  /** What the client may see of an event. */
  forClient<Body extends object>(event: BackendEvent | 'OnDataEvent', body: Body): Body;
}

/** The connection under a session. The edge that makes it closes the session when it ends. */
export interface SessionChannel {
  readonly kind: SessionKind;
  readonly client: { readonly address: string; readonly port: number };
  readonly server: { readonly address: string; readonly port: number };
  readonly origin?: string | undefined;
  /** Where several sessions may come over one connection. Shown to operators. */
  readonly uniqueId?: string | undefined;
  /** Closes nothing before it returns, whatever becomes of the message. */
  send(message: ServerMessage): void;
  close(reason: string): void;
}

export interface SessionsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent: every client may do everything. */
  readonly backend?: Backend | undefined;
  /** Told when a session is gone, so that its streams end with it. */
  readonly onGone: (session: ClientSession) => void;
}

/** A session as REST shows it (reference/wcs-protocol.md §3.5). */
export interface SessionView {
  readonly appKey: string;
  readonly sessionId: string;
  readonly authToken: string;
  readonly status: 'ESTABLISHED';
  readonly mediaProviders: readonly string[];
  readonly clientVersion: string;
  readonly clientOSVersion: string;
  readonly clientBrowserVersion: string;
  readonly custom?: unknown;
  readonly createDate: number;
}

export interface SessionFilter {
  readonly appKey?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly clientVersion?: string | undefined;
}

/** `refused` by the backend's word; with an `outage` it could not be asked. */
export type SessionRefusal = 'refused' | 'outage';

const DEFAULT_APP_KEY = 'defaultApp';

interface Entry {
  readonly session: ClientSession;
  readonly channel: SessionChannel;
}

/** All client sessions. A session is known from the moment the backend has let it in until its connection is gone. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #backend: Backend;
  readonly #entries = new Map<string, Entry>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#backend = options.backend ?? allowEverything;
  }

  /** Lets a client in, or says why not: a session that exists already is refused as well. */
  async open(channel: SessionChannel, connection: ConnectionRequest): Promise<ClientSession | SessionRefusal> {
    const session = this.#newSession(channel, connection);
    const { sessionId } = session;
    const { allowed, isOutage } = await session.ask('connect', connectBodyOf(session));
    if (!allowed || this.#entries.has(sessionId)) {
      this.#backend.sessionGone(session);
      return isOutage ? 'outage' : 'refused';
    }
    this.#entries.set(sessionId, { session, channel });
    this.#options.logger.info({ sessionId, from: 'PENDING', to: 'ESTABLISHED' }, 'a session moved');
    void session.tell('ConnectionStatusEvent', connectionStatusBodyOf(session, 'ESTABLISHED')).then((verdict) => {
      if (verdict === 'denied' && this.#entries.get(sessionId)?.session === session) channel.close('refused');
    });
    return session;
  }

  /** The connection under the session is gone. Idempotent. `reason` is for the log. */
  close(session: ClientSession, reason: string): void {
    if (this.#entries.get(session.sessionId)?.session !== session) return;
    this.#entries.delete(session.sessionId);
    const { sessionId } = session;
    this.#options.logger.info({ sessionId, from: 'ESTABLISHED', to: 'DISCONNECTED', reason }, 'a session moved');
    this.#options.onGone(session);
    void session.tell('ConnectionStatusEvent', connectionStatusBodyOf(session, 'DISCONNECTED'));
    this.#backend.sessionGone(session);
  }

  get count(): number {
    return this.#entries.size;
  }

  /** All fields of the filter must match; an absent one matches everything. */
  find(filter: SessionFilter = {}): SessionView[] {
    return [...this.#entries.values()]
      .map(({ session }) => viewOf(session))
      .filter(
        (view) =>
          (filter.appKey === undefined || view.appKey === filter.appKey) &&
          (filter.sessionId === undefined || view.sessionId === filter.sessionId) &&
          (filter.clientVersion === undefined || view.clientVersion === filter.clientVersion),
      );
  }

  /** Closes the client's connection. Throws AppError SESSION_NOT_FOUND. */
  terminate(sessionId: string): void {
    this.#entryOf(sessionId).channel.close('terminated');
  }

  /**
   * Gives a page an `OnDataEvent`, if its backend agrees. Rejects with AppError SESSION_NOT_FOUND, also where the client has no ear for
   * data, or RESTRICTED_ACCESS.
   */
  async sendData(sessionId: string, operationId: string, payload: unknown): Promise<void> {
    const { session } = this.#entryOf(sessionId);
    if (session.kind !== 'websocket') throw new AppError('SESSION_NOT_FOUND', `session ${sessionId} takes no data`);
    const data = { operationId, payload };
    const { allowed } = await session.ask('OnDataEvent', data);
    if (!allowed) throw new AppError('RESTRICTED_ACCESS', `the backend allows no data for session ${sessionId}`);
    // It may have gone while the backend was asked.
    this.#entryOf(sessionId);
    session.send({ name: 'OnDataEvent', ...session.forClient('OnDataEvent', data) });
  }

  #entryOf(sessionId: string): Entry {
    const entry = this.#entries.get(sessionId);
    if (!entry) throw new AppError('SESSION_NOT_FOUND', `no session ${sessionId}`);
    return entry;
  }

  #newSession(channel: SessionChannel, connection: ConnectionRequest): ClientSession {
    const backend = this.#backend;
    const { clock, logger } = this.#options;
    const session: ClientSession = {
      sessionId: sessionIdOf(channel),
      appKey: connection.appKey || DEFAULT_APP_KEY,
      connection,
      origin: channel.origin,
      kind: channel.kind,
      createdMs: clock.nowMs(),
      send: (message) => channel.send(message),
      async ask(operation, body) {
        try {
          return await backend.ask(session, operation, body);
        } catch (error) {
          logger.warn(
            { error, sessionId: session.sessionId, operation },
            'the backend failed; the operation is refused',
          );
          return { allowed: false, isOutage: true };
        }
      },
      tell: (event, body) => backend.tell(session, event, body),
      forClient: (event, body) => backend.forClient(session, event, body),
    };
    return session;
  }
}

function sessionIdOf({ client, server, uniqueId }: SessionChannel): string {
  return `/${endpoint(client)}/${endpoint(server)}${uniqueId === undefined ? '' : `-${uniqueId}`}`;
}

function endpoint(end: SessionChannel['client']): string {
  return `${end.address}:${end.port}`;
}

function viewOf(session: ClientSession): SessionView {
  const { connection, sessionId } = session;
  return {
    appKey: session.appKey,
    sessionId,
    authToken: sessionId,
    status: 'ESTABLISHED',
    mediaProviders: connection.mediaProviders,
    clientVersion: connection.clientVersion,
    clientOSVersion: connection.clientOSVersion,
    clientBrowserVersion: connection.clientBrowserVersion,
    custom: connection.custom,
    createDate: session.createdMs,
  };
}
