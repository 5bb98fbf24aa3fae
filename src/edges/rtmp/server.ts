import { createServer, type Server, type Socket } from 'node:net';
import { AddressCounter, plainAddress } from '../../domain/client-address.ts';
import type { Clock } from '../../domain/clock.ts';
import type { Closable } from '../../domain/life-cycle.ts';
import type { Logger } from '../../domain/logger.ts';
import { RateLimit } from '../../domain/rate-limit.ts';
import { placeOf } from '../../services/place-of.ts';
import type { CommandServices } from './client-commands.ts';
import { RtmpConnection } from './connection.ts';

export interface RtmpServerOptions extends CommandServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxConnections: number;
  /** Of one client address (IPv6: one /64). */
  readonly maxConnectionsPerAddress: number;
  /** The same, of those that neither publish nor play. */
  readonly maxIdleConnectionsPerAddress: number;
  readonly setupTimeoutMs?: number;
  readonly pingIntervalMs?: number;
}

export interface RtmpServer extends Closable {
  /** To be listened on, and closed after this server, by its owner. */
  readonly listener: Server;
  readonly connectionCount: number;
}

/** Limits of reference/rtmp.md §5. */
const DEFAULT_SETUP_TIMEOUT_MS = 10_000;
const DEFAULT_PING_INTERVAL_MS = 30_000;
const TCP_KEEP_ALIVE_MS = 30_000;
/** Refusals that are logged one by one; whoever is refused tries again, and fast. */
const REFUSAL_LOG_RATE = { perSecond: 1, burst: 5 };

/** RTMP clients: players of any live stream and encoders. `close` ends every connection; from then on new ones are refused. */
export function createRtmpServer(options: RtmpServerOptions): RtmpServer {
  const { clock, logger, maxConnections, maxConnectionsPerAddress, maxIdleConnectionsPerAddress } = options;
  const { setupTimeoutMs = DEFAULT_SETUP_TIMEOUT_MS, pingIntervalMs = DEFAULT_PING_INTERVAL_MS } = options;
  const connections = new Set<RtmpConnection>();
  const countByPlace = new AddressCounter();
  const idleByPlace = new AddressCounter();
  const refusalLog = new RateLimit(clock, REFUSAL_LOG_RATE);
  let closing: Promise<void> | undefined;

  const accept = (socket: Socket): void => {
    const address = plainAddress(socket.remoteAddress);
    const place = placeOf(address);
    const ofAddress = countByPlace.of(place);
    const idle = idleByPlace.of(place);
    const isFull = connections.size >= maxConnections || ofAddress >= maxConnectionsPerAddress;
    if (closing || isFull || idle >= maxIdleConnectionsPerAddress) {
      socket.on('error', (error) => logger.debug({ error }, 'a client connection failed'));
      if (refusalLog.take()) {
        logger.warn({ address, ofAddress, idle, connections: connections.size }, 'an RTMP connection is refused');
      }
      socket.destroy();
      return;
    }
    let isIdle = true;
    const setIdle = (nowIdle: boolean): void => {
      if (nowIdle === isIdle) return;
      isIdle = nowIdle;
      if (isIdle) idleByPlace.add(place);
      else idleByPlace.remove(place);
    };
    countByPlace.add(place);
    idleByPlace.add(place);
    const connection = new RtmpConnection(socket, {
      services: options,
      clock,
      logger,
      setupTimeoutMs,
      pingIntervalMs,
      onActivity: (activity) => setIdle(activity === 'idle'),
    });
    connections.add(connection);
    void connection.closed.then(() => {
      connections.delete(connection);
      countByPlace.remove(place);
      setIdle(false);
    });
  };

  const keepAlive = { keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
  return {
    listener: createServer({ noDelay: true, ...keepAlive }, accept),
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
      connection.close(reason);
      return connection.closed;
    });
    await Promise.all(gone);
  }
}
