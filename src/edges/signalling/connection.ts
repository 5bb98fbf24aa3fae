import { WebSocket, type RawData } from 'ws';
import type { CancelTimer, Clock } from '../../domain/clock.ts';
import { ProtocolError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import { RateLimit, type RateLimitOptions } from '../../domain/rate-limit.ts';
import { STREAM_INFO } from '../../domain/stream-status.ts';
import { type ClientMessage, type ConnectionRequest, decodeClientMessage } from '../../protocol/wcs/client-messages.ts';
import { encodeServerMessage, type ServerMessage } from '../../protocol/wcs/server-messages.ts';
import type { ClientSession, SessionChannel, Sessions } from '../../services/sessions.ts';
import { dispatch, type DispatchServices } from './dispatch.ts';

/** Who is silent for `probes` intervals in a row is cut off. */
export interface KeepAlive {
  /** `HIGH_LEVEL`: JSON `ping`, which SDK watchdogs look for. `INTERNAL`: WebSocket pings. `NONE`: neither pings nor limit. */
  readonly algorithm: 'HIGH_LEVEL' | 'INTERNAL' | 'NONE';
  readonly intervalMs: number;
  readonly probes: number;
}

export interface ConnectionOptions {
  readonly sessions: Sessions;
  readonly services: Omit<DispatchServices, 'mayReport'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told to clients in `getVersion`. */
  readonly version: string;
  readonly keepAlive: KeepAlive;
  readonly messageRate: RateLimitOptions;
  /** A client that lets more than this wait for it is dropped. */
  readonly maxBufferedBytes: number;
}

/** WebSocket close codes (RFC 6455 §7.4.1). */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const CLOSE_HANDSHAKE_MS = 1000;
/** Lines of up to 4 KB that one client may put into our log; a disk has an end. */
const REPORT_RATE = { perSecond: 0.2, burst: 10 };
/** A reason has at most 123 bytes of UTF-8 (RFC 6455 §5.5). */
const MAX_REASON_CHARS = 41;

type State =
  | { readonly phase: 'new' }
  | { readonly phase: 'opening' }
  | { readonly phase: 'established'; readonly session: ClientSession }
  | { readonly phase: 'closed' };

/**
 * One client's WebSocket: `connection` opens the session (once), then every message goes to the services. Keep-alive
 * follows reference/wcs-protocol.md §1.4. Ends when its socket does.
 */
export class Connection {
  readonly #socket: WebSocket;
  readonly #ends: Pick<SessionChannel, 'client' | 'server' | 'origin'>;
  readonly #options: ConnectionOptions;
  #logger: Logger;
  /** Why we closed it; undefined while, and where, the client did. */
  #closeReason: string | undefined;
  readonly #rate: RateLimit;
  readonly #reports: RateLimit;
  readonly #stopPinging: CancelTimer;
  readonly #closed = Promise.withResolvers<void>();
  #cancelTermination: CancelTimer = () => {};
  #state: State = { phase: 'new' };
  #misses = 0;

  constructor(
    socket: WebSocket,
    ends: Pick<SessionChannel, 'client' | 'server' | 'origin'>,
    options: ConnectionOptions,
  ) {
    this.#socket = socket;
    this.#ends = ends;
    this.#options = options;
    this.#logger = options.logger.child({ client: `${ends.client.address}:${ends.client.port}` });
    this.#rate = new RateLimit(options.clock, options.messageRate);
    this.#reports = new RateLimit(options.clock, REPORT_RATE);
    this.#stopPinging =
      options.keepAlive.algorithm === 'NONE'
        ? () => {}
        : options.clock.every(options.keepAlive.intervalMs, () => this.#probe());
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', () => (this.#misses = 0));
    socket.on('error', (error) => this.#logger.debug({ error }, 'a client connection failed'));
    socket.on('close', () => this.#socketClosed());
  }

  /** Resolves when the socket is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Closes the socket with a reason; a client that does not answer the close frame is cut off. */
  close(code = GOING_AWAY, reason = ''): void {
    if (this.#socket.readyState >= WebSocket.CLOSING) return;
    this.#closeReason = reason === '' ? 'closed by the server' : reason;
    this.#socket.close(code, reason.slice(0, MAX_REASON_CHARS));
    this.#cancelTermination = this.#options.clock.after(CLOSE_HANDSHAKE_MS, () => this.#socket.terminate());
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#misses = 0;
    if (!this.#rate.take()) {
      this.#logger.warn({}, 'a client sends too many messages; its connection is closed');
      return this.close(POLICY_VIOLATION, 'too many messages');
    }
    if (isBinary) return this.#logger.debug({}, 'a binary message is ignored');
    const message = this.#decode(data);
    if (message) this.#handle(message);
  }

  #decode(data: RawData): ClientMessage | undefined {
    try {
      return decodeClientMessage(String(data));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#logger.warn({ code: error.code }, 'a broken message is ignored');
      return undefined;
    }
  }

  #handle(message: ClientMessage): void {
    if (this.#state.phase === 'established') {
      const { services } = this.#options;
      const own = { logger: this.#logger, mayReport: () => this.#reports.take() };
      dispatch(this.#state.session, message, { ...services, ...own }).catch((error: unknown) => {
        this.#logger.error({ error, messageName: message.name }, 'a message could not be handled');
      });
    } else if (this.#state.phase === 'new' && message.name === 'connection') {
      this.#establish(message.connection).catch((error: unknown) => {
        this.#logger.error({ error }, 'a session could not be opened');
        this.close(POLICY_VIOLATION);
      });
    } else if (message.name !== 'ping' && message.name !== 'pong') {
      this.#logger.warn({ messageName: message.name }, 'a message before the session is established is ignored');
    }
  }

  async #establish(connection: ConnectionRequest): Promise<void> {
    this.#state = { phase: 'opening' };
    const channel: SessionChannel = {
      kind: 'websocket',
      ...this.#ends,
      send: (message) => this.#send(message),
      close: (reason) => this.close(NORMAL, reason),
    };
    const { sessions, version } = this.#options;
    const session = await sessions.open(channel, connection);
    if (this.#socket.readyState !== WebSocket.OPEN) {
      if (typeof session === 'object') sessions.close(session, 'closed while it was established');
      return;
    }
    if (typeof session === 'string') {
      this.#send({ name: 'fail', apiMethod: 'connect', info: STREAM_INFO.restrictedAccess });
      return this.close(NORMAL, 'refused');
    }
    this.#state = { phase: 'established', session };
    this.#logger = this.#logger.child({ sessionId: session.sessionId });
    const shown = session.forClient('ConnectionStatusEvent', connection);
    this.#send({ name: 'getUserData', authToken: session.sessionId, connection: shown });
    this.#send({ name: 'getVersion', version });
  }

  #send(message: ServerMessage): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > this.#options.maxBufferedBytes) {
      this.#logger.warn({}, 'a client does not read; its connection is cut off');
      this.#closeReason = 'does not read';
      return this.#socket.terminate();
    }
    this.#socket.send(encodeServerMessage(message));
  }

  #probe(): void {
    // While its backend thinks, a client waits, and is not spoken to; how long that takes has a limit of its own.
    if (this.#state.phase === 'opening') return;
    const { algorithm, probes } = this.#options.keepAlive;
    if (this.#misses >= probes) {
      this.#logger.info({ misses: this.#misses }, 'a client is silent; its connection is cut off');
      this.#closeReason = 'silent';
      return this.#socket.terminate();
    }
    this.#misses += 1;
    if (this.#state.phase !== 'established') return;
    if (algorithm === 'INTERNAL') this.#socket.ping();
    else this.#send({ name: 'ping' });
  }

  #socketClosed(): void {
    this.#stopPinging();
    this.#cancelTermination();
    const state = this.#state;
    this.#state = { phase: 'closed' };
    const reason = this.#closeReason ?? 'closed by the client';
    if (state.phase === 'established') this.#options.sessions.close(state.session, reason);
    this.#closed.resolve();
  }
}
