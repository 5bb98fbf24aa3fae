import type { Server, Socket } from 'node:net';
import type { CancelTimer, Clock } from '../domain/clock.ts';
import { ProtocolError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import { frame, FrameSplitter } from './ice-tcp-framing.ts';
import type { NetworkPath, PathOwner } from './network-path.ts';

/** What a released connection has for its last packets; a peer that does not read would keep it open for ever. */
const RELEASE_GRACE_MS = 1000;
/** Larger than every packet of ours and of a browser; RFC 4571 would allow 65,535. */
const MAX_FRAME_BYTES = 4096;

export interface IceTcpOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxConnections: number;
  /** Of one remote address without authenticated STUN, so that nobody can take all the places by doing nothing. */
  readonly maxUnauthenticatedPerAddress: number;
  /** A connection without authenticated STUN is closed after this long. */
  readonly authenticationTimeoutMs: number;
  /** What may wait for one slow reader; packets beyond are dropped. */
  readonly maxBacklogBytes: number;
  /** The path may be used as soon as it has an owner. */
  readonly onPacket: (packet: Buffer, path: NetworkPath) => void;
}

/** The passive side of ICE-TCP (RFC 6544): every connection is one path. Errors end only their own connection. */
export class IceTcp {
  readonly #options: IceTcpOptions;
  readonly #paths = new Set<TcpPath>();

  constructor(server: Server, options: IceTcpOptions) {
    this.#options = options;
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (error) => options.logger.warn({ error: error.message }, 'ICE-TCP listener failed'));
  }

  get connections(): number {
    return this.#paths.size;
  }

  /** Ends all connections at once. */
  destroy(): void {
    for (const path of this.#paths) path.destroy();
  }

  #accept(socket: Socket): void {
    socket.on('error', (error) => this.#options.logger.debug({ error: error.message }, 'ICE-TCP connection failed'));
    if (this.#paths.size >= this.#options.maxConnections || this.#isCrowded(socket.remoteAddress ?? '')) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const path = new TcpPath(socket, this.#options);
    this.#paths.add(path);
    const splitter = new FrameSplitter({ maxFrameBytes: MAX_FRAME_BYTES });
    socket.on('data', (bytes) => {
      try {
        for (const packet of splitter.push(bytes)) this.#options.onPacket(packet, path);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#options.logger.debug({ code: error.code }, 'ICE-TCP connection closed: bad framing');
        path.destroy();
      }
    });
    socket.on('close', () => {
      this.#paths.delete(path);
      path.onClosed();
    });
  }

  #isCrowded(address: string): boolean {
    let waiting = 0;
    for (const path of this.#paths) if (!path.isAdmitted && path.address === address) waiting++;
    return waiting >= this.#options.maxUnauthenticatedPerAddress;
  }
}

class TcpPath implements NetworkPath {
  readonly protocol = 'tcp';
  readonly address: string;
  readonly port: number;
  owner: PathOwner | undefined;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #maxBacklogBytes: number;
  #cancelTimeout: CancelTimer;
  #isAdmitted = false;

  constructor(socket: Socket, options: IceTcpOptions) {
    this.#socket = socket;
    this.address = socket.remoteAddress ?? '';
    this.port = socket.remotePort ?? 0;
    this.#clock = options.clock;
    this.#maxBacklogBytes = options.maxBacklogBytes;
    this.#cancelTimeout = options.clock.after(options.authenticationTimeoutMs, () => this.destroy());
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  send(packet: Buffer): void {
    if (this.#socket.writable && this.#socket.writableLength < this.#maxBacklogBytes) this.#socket.write(frame(packet));
  }

  admit(): void {
    this.#isAdmitted = true;
    this.#cancelTimeout();
  }

  release(): void {
    this.owner = undefined;
    this.#cancelTimeout();
    this.#cancelTimeout = this.#clock.after(RELEASE_GRACE_MS, () => this.destroy());
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onClosed(): void {
    this.#cancelTimeout();
    this.owner?.onPathLost(this);
    this.owner = undefined;
  }
}
