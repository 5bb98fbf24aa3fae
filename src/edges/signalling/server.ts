import type { IncomingMessage, Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { AddressCounter, plainAddress } from '../../domain/client-address.ts';
import type { Clock } from '../../domain/clock.ts';
import type { Closable } from '../../domain/life-cycle.ts';
import type { Logger } from '../../domain/logger.ts';
import { RateLimit, type RateLimitOptions } from '../../domain/rate-limit.ts';
import type { SessionChannel, Sessions } from '../../services/sessions.ts';
import type { Streams } from '../../services/streams.ts';
import type { WebrtcStreams } from '../../services/webrtc-streams.ts';
import { placeOf } from '../../services/place-of.ts';
import { Connection, type KeepAlive } from './connection.ts';
import type { Snapshots } from './dispatch.ts';

export interface SignallingOptions {
  /** Listening or about to; their owner closes them, after this server. */
  readonly servers: readonly (Server | HttpsServer)[];
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly webrtcStreams: WebrtcStreams;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  readonly keepAlive?: KeepAlive;
  readonly maxConnections?: number;
  /** Of one client address (IPv6: one /64). */
  readonly maxConnectionsPerAddress?: number;
  /** A Chromium offer is up to 9 KB inside JSON. */
  readonly maxMessageBytes?: number;
  readonly messageRate?: RateLimitOptions;
  readonly maxBufferedBytes?: number;
}

export interface SignallingServer extends Closable {
  readonly connectionCount: number;
}

const DEFAULTS = {
  keepAlive: { algorithm: 'HIGH_LEVEL', intervalMs: 5000, probes: 10 } satisfies KeepAlive,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1000,
  maxMessageBytes: 256 * 1024,
  messageRate: { perSecond: 50, burst: 200 },
  maxBufferedBytes: 4 * 1024 * 1024,
};

/** Refusals that are logged one by one; whoever is refused tries again, and fast. */
const REFUSAL_LOG_RATE = { perSecond: 1, burst: 5 };

/**
 * The WCS WebSocket API on the given HTTP servers: any path, no sub-protocol, text frames (reference/wcs-protocol.md §1.1).
 * `close` ends every connection; from then on upgrades are refused,
 * until the owner of the HTTP servers closes them.
 */
export function createSignallingServer(options: SignallingOptions): SignallingServer {
  const { logger, clock, sessions, streams, webrtcStreams, snapshots, version } = options;
  const { keepAlive, maxConnections, maxConnectionsPerAddress, maxMessageBytes, messageRate, maxBufferedBytes } = {
    ...DEFAULTS,
    ...withoutUndefined(options),
  };
  const connections = new Set<Connection>();
  const countByPlace = new AddressCounter();
  const refusalLog = new RateLimit(clock, REFUSAL_LOG_RATE);
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => false,
  });
  const services = { streams, webrtcStreams, snapshots, logger };
  let closing: Promise<void> | undefined;

  const accept = (webSocket: WebSocket, request: IncomingMessage): void => {
    const ends = endsOf(request);
    const place = placeOf(ends.client.address);
    const connection = new Connection(webSocket, ends, {
      sessions,
      services,
      clock,
      logger,
      version,
      keepAlive,
      messageRate,
      maxBufferedBytes,
    });
    connections.add(connection);
    countByPlace.add(place);
    void connection.closed.then(() => {
      connections.delete(connection);
      countByPlace.remove(place);
    });
    if (closing) connection.close();
  };

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', (error) => logger.debug({ error }, 'a client connection failed'));
    const { address } = endsOf(request).client;
    const ofAddress = countByPlace.of(placeOf(address));
    if (closing || connections.size >= maxConnections || ofAddress >= maxConnectionsPerAddress) {
      if (refusalLog.take()) {
        logger.warn({ address, ofAddress, connections: connections.size }, 'a connection is refused');
      }
      socket.once('finish', () => socket.destroy());
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    webSockets.handleUpgrade(request, socket, head, accept);
  };

  for (const server of options.servers) server.on('upgrade', onUpgrade);

  return {
    get connectionCount() {
      return connections.size;
    },
    close(reason) {
      closing ??= closeAll(reason);
      return closing;
    },
  };

  async function closeAll(reason: string): Promise<void> {
    const gone = [...connections].map((connection) => {
      connection.close(undefined, reason);
      return connection.closed;
    });
    await Promise.all(gone);
  }
}

function withoutUndefined(options: SignallingOptions): Partial<SignallingOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function endsOf(request: IncomingMessage): Pick<SessionChannel, 'client' | 'server' | 'origin'> {
  const socket: Socket = request.socket;
  return {
    client: { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 },
    server: { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 },
    origin: request.headers.origin,
  };
}
