import { isIP, isIPv6 } from 'node:net';
import type { Socket, TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../domain/clock.ts';
import type { RunEnd } from '../domain/transponder.ts';
import { endOfError, RunFailure } from './run-failure.ts';
import type { DestinationStage } from './run-failure.ts';

export type Resolve = (host: string) => Promise<readonly { readonly address: string }[]>;
export type Connect = (options: TcpNetConnectOpts) => Socket;

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly localAddress: string | undefined;
  /** For all addresses together. */
  readonly timeoutMs: number;
  readonly resolve: Resolve;
  readonly connect: Connect;
  readonly tlsOptions: ConnectionOptions;
  readonly allowAddress: (address: string) => string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onDialling: (address: string) => void;
}

const MAX_ADDRESSES = 8;

/**
 * The addresses that may be dialled, in the resolver's order. The name is resolved once and what was checked is what is
 * dialled, so that a second answer cannot lead elsewhere.
 *
 * @throws {RunFailure} dest_dns, dest_forbidden_address, dest_unreachable
 */
export async function resolveAllowed({ host, resolve, allowAddress, localAddress }: DialOptions): Promise<string[]> {
  let found: string[];
  try {
    found = (await resolve(host)).slice(0, MAX_ADDRESSES).map(({ address }) => address);
  } catch (error) {
    const { exitClass, detail } = endOfError(error, 'resolving');
    throw new RunFailure(exitClass, detail);
  }
  if (found.length === 0) throw new RunFailure('dest_dns', 'the host has no address');
  const refusals = found.map((address) => allowAddress(address));
  const allowed = found.filter((_, index) => refusals[index] === undefined);
  if (allowed.length === 0) {
    throw new RunFailure('dest_forbidden_address', `publishing to ${found[0]} is not allowed: ${refusals[0]}`);
  }
  if (localAddress === undefined) return allowed;
  const usable = allowed.filter((address) => isIPv6(address) === isIPv6(localAddress));
  if (usable.length > 0) return usable;
  throw new RunFailure('dest_unreachable', `no address of the destination can be reached from ${localAddress}`);
}

/**
 * A connected socket (after the TLS handshake for rtmps) to the first address that answers. The caller owns it and its errors.
 *
 * @throws {RunFailure} with the end that the last address gave
 */
export async function dialFirst(
  addresses: readonly string[],
  options: DialOptions,
): Promise<{ readonly socket: Socket; readonly address: string }> {
  let end: RunEnd = { exitClass: 'dest_unreachable', detail: 'no address to dial' };
  for (const address of addresses) {
    if (options.signal.aborted) break;
    options.onDialling(address);
    try {
      return { socket: await dialOne(address, options, options.timeoutMs / addresses.length), address };
    } catch (error) {
      end = endOfError(error, 'connecting');
    }
  }
  throw new RunFailure(end.exitClass, end.detail);
}

function dialOne(address: string, options: DialOptions, timeoutMs: number): Promise<Socket> {
  const { port, localAddress, signal, clock } = options;
  return new Promise((resolve, reject) => {
    const tcp = options.connect({ host: address, port, localAddress });
    const sockets = [tcp];
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown, stage: DestinationStage): void => {
      if (isSettled) return;
      settle();
      for (const socket of sockets) socket.destroy();
      const { exitClass, detail } = endOfError(error, stage);
      reject(new RunFailure(exitClass, detail));
    };
    const onAbort = (): void => fail(new RunFailure('asked_stop', 'closed while connecting'), 'connecting');
    const cancelTimer = clock.after(timeoutMs, () =>
      fail(new RunFailure('dest_timeout', `${address} did not answer in time`), 'connecting'),
    );
    const finish = (socket: Socket): void => {
      settle();
      resolve(socket);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    tcp.setNoDelay(true);
    tcp.on('error', (error) => fail(error, 'connecting'));
    tcp.once('connect', () => {
      if (!options.tls) return finish(tcp);
      // Said, so that no variable of the environment makes it otherwise.
      const verification = { rejectUnauthorized: true } as const;
      const secure = connectTls({ ...options.tlsOptions, ...verification, ...serverName(options.host), socket: tcp });
      sockets.unshift(secure);
      tcp.on('close', () =>
        fail(new RunFailure('tls_error', 'the destination closed during the TLS handshake'), 'tls'),
      );
      secure.on('error', (error) => fail(error, 'tls'));
      secure.once('secureConnect', () => finish(secure));
    });
  });
}

/** The certificate is checked against `host`; an address is never sent as server name (RFC 6066 §3). */
function serverName(host: string): { readonly host: string; readonly servername: string } {
  return { host, servername: isIP(host) === 0 ? host : '' };
}
