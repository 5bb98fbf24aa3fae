import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export interface TcpRelayOptions {
  /** Where connections lead; undefined = nowhere: they are taken and nothing is read or said. */
  readonly destinationPort: number | undefined;
  /** Each connection is reset when it is that old. */
  readonly lifetimeMs?: number | undefined;
}

/** A TCP port in front of a healthy destination, whose faults are a test's. One port all its life. */
export interface TcpRelay {
  readonly port: number;
  /** When each one so far was taken, oldest first; wall clock. */
  readonly connectedAtMs: readonly number[];
  /** Resets all connections; new ones are taken as before. */
  reset(): void;
  /** Ends all connections in good order; new ones are refused. */
  shut(): Promise<void>;
  /** Takes connections again. */
  open(): Promise<void>;
  close(): Promise<void>;
}

export async function startTcpRelay(options: TcpRelayOptions): Promise<TcpRelay> {
  const clients = new Set<Socket>();
  const inner = new Set<Socket>();
  const connectedAtMs: number[] = [];
  const make = (): Server =>
    createServer({ noDelay: true, pauseOnConnect: options.destinationPort === undefined }, (client) => {
      connectedAtMs.push(Date.now());
      keep(clients, client);
      if (options.lifetimeMs !== undefined) {
        const timer = setTimeout(() => client.resetAndDestroy(), options.lifetimeMs);
        client.once('close', () => clearTimeout(timer));
      }
      if (options.destinationPort === undefined) return;
      const destination = connect({ port: options.destinationPort, host: '127.0.0.1', noDelay: true });
      keep(inner, destination);
      client.once('close', () => destination.destroy());
      destination.once('close', () => client.destroy());
      client.pipe(destination).pipe(client);
    });

  let server = make();
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const shut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const client of clients) client.destroy();
    await closed;
  };
  return {
    port,
    connectedAtMs,
    reset() {
      for (const client of clients) client.resetAndDestroy();
    },
    shut,
    async open() {
      server = make();
      await listen(port);
    },
    async close() {
      await shut();
      for (const socket of inner) socket.destroy();
    },
  };
}

function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.once('close', () => sockets.delete(socket));
}
