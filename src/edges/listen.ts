import { once } from 'node:events';
import type { Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { AppError } from '../domain/errors.ts';

export interface ListenOptions {
  /** Key of the configuration that names the port, for the error. */
  readonly key: string;
  readonly port: number;
  /** Undefined is all interfaces. */
  readonly host?: string | undefined;
}

/** Binds a server and returns its port. Rejects with AppError BAD_CONFIGURATION, one sentence, when it cannot. */
export async function listen(server: Server, { key, port, host }: ListenOptions): Promise<number> {
  server.listen({ port, ...(host ? { host } : {}) });
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      EADDRINUSE: 'the port is in use by another program; expected a free port, or 0 for any free one',
      EACCES: 'this user may not bind the port; expected one above 1023, or 0 for any free one',
      EADDRNOTAVAIL: `this machine has no address "${host}"; expected one of its own addresses`,
    };
    throw new AppError('BAD_CONFIGURATION', `${key}="${port}" is not possible: ${reasons[code ?? ''] ?? message}`);
  }
  return (server.address() as AddressInfo).port;
}

/** Stops accepting and ends what is open; resolves when the server is closed. */
export async function closeServer(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections?.();
  await closed;
}
