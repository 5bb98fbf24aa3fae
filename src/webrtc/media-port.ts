import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server } from 'node:net';
import { AppError } from '../domain/errors.ts';

const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** How often another free port is tried when the TCP port of the same number is taken. */
const ANY_PORT_ATTEMPTS = 20;

export interface MediaPortOptions {
  /** An IP literal; undefined is every address of both families, or of IPv4 where the machine has no IPv6. */
  readonly bindAddress?: string | undefined;
  /** First and last port to try; `portFrom` 0 is any free one. */
  readonly portFrom: number;
  readonly portTo: number;
}

/** A UDP socket and a TCP listener on the same port number. The caller owns and closes both. */
export interface MediaPort {
  readonly udp: Socket;
  readonly tcp: Server;
  readonly bindAddress: string;
  readonly port: number;
}

/** Binds the first free port. Rejects with AppError `BAD_CONFIGURATION` when there is none; nothing is left open then. */
export async function openMediaPort(options: MediaPortOptions): Promise<MediaPort> {
  const addresses = options.bindAddress ? [options.bindAddress] : ['::', '0.0.0.0'];
  for (const bindAddress of addresses) {
    for (const port of portsToTry(options)) {
      try {
        return await openAt(bindAddress, port);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EADDRINUSE' || code === 'EACCES') continue;
        if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error;
        if (options.bindAddress === undefined) break;
        throw new AppError(
          'BAD_CONFIGURATION',
          `ip_local="${bindAddress}" is not possible: this machine has no such address; expected one of its own addresses`,
        );
      }
    }
  }
  const { portFrom, portTo } = options;
  throw new AppError(
    'BAD_CONFIGURATION',
    `media_port_from="${portFrom}" to media_port_to="${portTo}" is not possible: no port there is free for both UDP and TCP; expected a free one in between, or media_port_from=0 for any`,
  );
}

function* portsToTry({ portFrom, portTo }: MediaPortOptions): Generator<number> {
  if (portFrom === 0) for (let attempt = 0; attempt < ANY_PORT_ATTEMPTS; attempt++) yield 0;
  else for (let port = portFrom; port <= portTo; port++) yield port;
}

async function openAt(bindAddress: string, wantedPort: number): Promise<MediaPort> {
  const family = isIPv6(bindAddress) ? 6 : 4;
  const udp = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // A lookup that answers at once makes `send` synchronous, so that the caller's buffer can be reused.
    lookup: (host, _options, done) => done(null, host, family),
  });
  try {
    // With such a lookup the event comes before `bind` returns.
    const bound = once(udp, 'listening');
    udp.bind({ address: bindAddress, port: wantedPort, exclusive: true });
    await bound;
    enlargeBuffers(udp);
    const { port } = udp.address();
    const tcp = createServer();
    tcp.listen({ host: bindAddress, port, exclusive: true });
    await once(tcp, 'listening');
    return { udp, tcp, bindAddress, port };
  } catch (error) {
    udp.close();
    throw error;
  }
}

/** Best effort: the kernel may allow less. */
function enlargeBuffers(udp: Socket): void {
  try {
    udp.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    udp.setSendBufferSize(SOCKET_BUFFER_BYTES);
  } catch {
    // Smaller buffers only mean more loss under bursts.
  }
}
