import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';

export interface ListenOptions {
  /** Keys of the configuration that name the port and the address, for the error. */
  readonly key: string;
  readonly port: number;
  readonly hostKey: string;
  /** Undefined is all interfaces. */
  readonly host?: string | undefined;
  readonly logger: Logger;
}

export interface Listening {
  readonly port: number;
  /** Stops accepting and ends every connection, also one that has not said anything yet. Memoised. */
  close(): Promise<void>;
}

/** Binds a server, which it owns from then on. Rejects with AppError BAD_CONFIGURATION, one sentence, when it cannot. */
export async function listen(server: Server, { key, port, hostKey, host, logger }: ListenOptions): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen({ port, ...(host ? { host } : {}) });
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRNOTAVAIL') {
      throw impossible(`${hostKey}="${host}"`, 'this machine has no such address; expected one of its own addresses');
    }
    const reasons: Record<string, string> = {
      EADDRINUSE: 'the port is in use by another program; expected a free port, or 0 for any free one',
      EACCES: 'this user may not bind the port; expected one above 1023, or 0 for any free one',
    };
    throw impossible(`${key}="${port}"`, reasons[code ?? ''] ?? message);
  }
  // Such as a connection that cannot be accepted for want of file descriptors.
  server.on('error', (error) => logger.error({ error, key }, 'a listening socket failed'));
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { port: (server.address() as AddressInfo).port, close: () => (closing ??= close()) };
}

function impossible(setting: string, reason: string): AppError {
  return new AppError('BAD_CONFIGURATION', `${setting} is not possible: ${reason}`);
}
