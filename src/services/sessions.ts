import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import type { ConnectionRequest } from '../protocol/wcs/client-messages.ts';
import type { ServerMessage } from '../protocol/wcs/server-messages.ts';
import { type Access, type AccessOperation, allowEverything } from './session-access.ts';

/** One client connection: what it said when it connected, and the way back to it. Made by `Sessions.open`. */
export interface ClientSession {
  /** `/<client address>:<port>/<server address>:<port>`, also the token that the client may present again. */
  readonly sessionId: string;
  readonly appKey: string;
  readonly connection: ConnectionRequest;
  readonly origin: string | undefined;
  readonly createdMs: number;
  /** Says something to the client; dropped when the connection is gone. */
  send(message: ServerMessage): void;
  /** Asks the access policy; never rejects. */
  mayDo(operation: AccessOperation, request: object): Promise<boolean>;
}

/** The connection under a session. The edge that makes it closes the session when it ends. */
export interface SessionChannel {
  readonly client: { readonly address: string; readonly port: number };
  readonly server: { readonly address: string; readonly port: number };
  readonly origin?: string | undefined;
  send(message: ServerMessage): void;
  close(reason: string): void;
}

export interface SessionsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly access?: Access;
  /** Time that the access policy has for a connection before it counts as refused. */
  readonly connectTimeoutMs?: number;
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

const DEFAULT_APP_KEY = 'defaultApp';
const DEFAULT_CONNECT_TIMEOUT_MS = 15_000;

interface Entry {
  readonly session: ClientSession;
  readonly channel: SessionChannel;
}

/** All client sessions. A session is known from the moment the access policy has let it in until its connection is gone. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Lets a client in, or `undefined` when the access policy refuses, does not answer in time, or the session exists already. */
  async open(channel: SessionChannel, connection: ConnectionRequest): Promise<ClientSession | undefined> {
    const { clock, access = allowEverything, logger } = this.#options;
    const { origin } = channel;
    const sessionId = `/${endpoint(channel.client)}/${endpoint(channel.server)}`;
    const appKey = connection.appKey || DEFAULT_APP_KEY;
    const session: ClientSession = {
      sessionId,
      appKey,
      connection,
      origin,
      createdMs: clock.nowMs(),
      send: (message) => channel.send(message),
      async mayDo(operation, request) {
        try {
          const details = { sessionId, appKey, custom: connection.custom, origin, request };
          return (await access(operation, details)) === 'ok';
        } catch (error) {
          logger.warn({ error, sessionId, operation }, 'the access policy failed; the operation is refused');
          return false;
        }
      },
    };
    if (!(await this.#letIn(session)) || this.#entries.has(sessionId)) return undefined;
    this.#entries.set(sessionId, { session, channel });
    logger.info({ sessionId, from: 'PENDING', to: 'ESTABLISHED' }, 'a session moved');
    return session;
  }

  /** The connection under the session is gone. Idempotent. `reason` is for the log. */
  close(session: ClientSession, reason: string): void {
    if (this.#entries.get(session.sessionId)?.session !== session) return;
    this.#entries.delete(session.sessionId);
    const { sessionId } = session;
    this.#options.logger.info({ sessionId, from: 'ESTABLISHED', to: 'DISCONNECTED', reason }, 'a session moved');
    this.#options.onGone(session);
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

  /** Gives the client an `OnDataEvent`. Throws AppError SESSION_NOT_FOUND. */
  sendData(sessionId: string, operationId: string, payload: unknown): void {
    this.#entryOf(sessionId).session.send({ name: 'OnDataEvent', operationId, payload });
  }

  #entryOf(sessionId: string): Entry {
    const entry = this.#entries.get(sessionId);
    if (!entry) throw new AppError('SESSION_NOT_FOUND', `no session ${sessionId}`);
    return entry;
  }

  async #letIn(session: ClientSession): Promise<boolean> {
    const { clock, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const cancel = clock.after(connectTimeoutMs, () => resolve(false));
    const isIn = await Promise.race([session.mayDo('connect', session.connection), late]);
    cancel();
    return isIn;
  }
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
