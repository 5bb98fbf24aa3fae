import type { Socket } from 'node:dgram';
import type { NetworkPath, PathOwner } from './network-path.ts';

/**
 * The admitted remote addresses of one UDP socket. Looked up for every packet, so keyed by port and then address: no
 * string is built.
 */
export class UdpPaths {
  readonly #socket: Socket;
  readonly #byPort = new Map<number, Map<string, UdpPath>>();
  #size = 0;
  /** Packets that the kernel had no room for. */
  dropped = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get size(): number {
    return this.#size;
  }

  find(address: string, port: number): NetworkPath | undefined {
    return this.#byPort.get(port)?.get(address);
  }

  /** A path that is not in the table before it is admitted. */
  make(address: string, port: number): NetworkPath {
    return new UdpPath(this, address, port);
  }

  /**
   * Synchronous because the socket's `lookup` is. Only when the kernel's buffer is full does node keep a reference to the
   * packet instead of sending it; then everything else is dropped until that one is gone, so that no queue builds up.
   */
  send(packet: Buffer, address: string, port: number): void {
    if (this.#socket.getSendQueueCount() > 0) this.dropped++;
    else this.#socket.send(packet, port, address);
  }

  add(path: UdpPath): void {
    let byAddress = this.#byPort.get(path.port);
    if (!byAddress) this.#byPort.set(path.port, (byAddress = new Map()));
    if (!byAddress.has(path.address)) this.#size++;
    byAddress.set(path.address, path);
  }

  remove(path: UdpPath): void {
    const byAddress = this.#byPort.get(path.port);
    if (byAddress?.get(path.address) !== path) return;
    byAddress.delete(path.address);
    this.#size--;
    if (byAddress.size === 0) this.#byPort.delete(path.port);
  }
}

class UdpPath implements NetworkPath {
  readonly protocol = 'udp';
  readonly address: string;
  readonly port: number;
  owner: PathOwner | undefined;
  readonly #paths: UdpPaths;

  constructor(paths: UdpPaths, address: string, port: number) {
    this.#paths = paths;
    this.address = address;
    this.port = port;
  }

  send(packet: Buffer): void {
    this.#paths.send(packet, this.address, this.port);
  }

  admit(): void {
    this.#paths.add(this);
  }

  release(): void {
    this.owner = undefined;
    this.#paths.remove(this);
  }
}
