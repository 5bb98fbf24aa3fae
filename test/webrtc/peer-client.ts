import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket as TcpSocket } from 'node:net';
import { DtlsClient } from 'werift';
import { parseStun, STUN_ATTRIBUTE, STUN_TYPE, type StunMessage } from '../../src/protocol/stun/stun-message.ts';
import { StunWriter } from '../../src/protocol/stun/stun-writer.ts';
import {
  CERTIFICATE_SIGNATURE,
  createDtlsCertificate,
  type DtlsCertificate,
} from '../../src/webrtc/dtls-certificate.ts';
import { frame, FrameSplitter } from '../../src/webrtc/ice-tcp-framing.ts';
import type { LocalTransport, RemoteTransport } from '../../src/webrtc/peer.ts';
import { untilClosed } from '../support/until-closed.ts';

export interface BindingOptions {
  nominate?: boolean;
  username?: string;
  password?: string;
  extra?: { type: number; value: Buffer }[];
}

/** What a request has to know of the server. */
type Credentials = Pick<LocalTransport, 'iceUfrag' | 'icePwd'>;

interface Pipe {
  send(packet: Buffer): void;
  close(): void;
}

/** What a browser does on the wire, step by step: STUN of our own making, DTLS by werift, opaque media packets. */
export class PeerClient {
  static async udp(family: 4 | 6, host: string, port: number): Promise<PeerClient> {
    const socket: UdpSocket = createSocket(family === 4 ? 'udp4' : 'udp6');
    socket.bind(0, family === 4 ? '127.0.0.1' : '::1');
    await once(socket, 'listening');
    const client = new PeerClient({
      send: (packet) => socket.send(packet, port, host),
      close: () => void socket.close(),
    });
    client.localPort = socket.address().port;
    socket.on('message', (packet) => client.receive(packet));
    return client;
  }

  /** `splitBytes` cuts what is written into pieces of that size. */
  static async tcp(host: string, port: number, splitBytes = Infinity): Promise<PeerClient> {
    const socket: TcpSocket = connect(port, host);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    await once(socket, 'connect');
    const client = new PeerClient({
      send: (packet) => {
        const framed = frame(packet);
        for (let at = 0; at < framed.length; at += splitBytes) socket.write(framed.subarray(at, at + splitBytes));
      },
      close: () => void socket.destroy(),
    });
    client.localPort = socket.localPort!;
    client.closed = untilClosed(socket);
    client.stopReading = () => void socket.pause();
    const splitter = new FrameSplitter({ maxFrameBytes: 65_535 });
    socket.on('data', (bytes) => splitter.push(bytes).forEach((packet) => client.receive(packet)));
    return client;
  }

  static certificate: Promise<DtlsCertificate> = createDtlsCertificate();

  localPort = 0;
  closed: Promise<unknown> | undefined;
  /** Of TCP: from now on nothing is taken off the connection. */
  stopReading: () => void = () => {};
  dtls: DtlsClient | undefined;
  readonly ufrag = 'browser1';
  #pipe: Pipe;
  readonly #stunWaiters = new Map<string, (message: StunMessage) => void>();
  readonly #mediaWaiters: ((packet: Buffer) => void)[] = [];
  readonly #media: Buffer[] = [];
  /** Every DTLS datagram that came, for tests that look at the wire. */
  readonly dtlsDatagrams: Buffer[] = [];
  #onDtls: ((packet: Buffer) => void) | undefined;

  private constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  receive(packet: Buffer): void {
    const first = packet[0]!;
    if (first <= 3) {
      const message = parseStun(packet);
      this.#stunWaiters.get(message.transactionId.toString('hex'))?.(message);
    } else if (first <= 63) {
      this.dtlsDatagrams.push(packet);
      this.#onDtls?.(packet);
    } else {
      const waiter = this.#mediaWaiters.shift();
      if (waiter) waiter(packet);
      else this.#media.push(packet);
    }
  }

  send(packet: Buffer): void {
    this.#pipe.send(packet);
  }

  /** Media packets that nobody has asked for yet. */
  get waitingMedia(): number {
    return this.#media.length;
  }

  nextMedia(): Promise<Buffer> {
    const ready = this.#media.shift();
    return ready ? Promise.resolve(ready) : new Promise((resolve) => this.#mediaWaiters.push(resolve));
  }

  request(local: Credentials, options: BindingOptions = {}): { packet: Buffer; transactionId: Buffer } {
    const transactionId = randomBytes(12);
    const writer = new StunWriter(STUN_TYPE.request, transactionId)
      .add(STUN_ATTRIBUTE.username, Buffer.from(options.username ?? `${local.iceUfrag}:${this.ufrag}`))
      .add(STUN_ATTRIBUTE.iceControlling, randomBytes(8))
      .add(STUN_ATTRIBUTE.priority, Buffer.from([0x6e, 0, 1, 0xff]));
    for (const { type, value } of options.extra ?? []) writer.add(type, value);
    if (options.nominate) writer.add(STUN_ATTRIBUTE.useCandidate, Buffer.alloc(0));
    return { packet: writer.finish(options.password ?? local.icePwd), transactionId };
  }

  /** Sends a binding request and resolves with its answer. */
  bind(local: Credentials, options: BindingOptions = {}): Promise<StunMessage> {
    const { packet, transactionId } = this.request(local, options);
    return new Promise((resolve) => {
      this.#stunWaiters.set(transactionId.toString('hex'), resolve);
      this.send(packet);
    });
  }

  /** Resolves when the client believes that it is connected. `patch` may spoil the client before it begins. */
  async handshake(options: { srtpProfiles?: (1 | 7)[]; patch?: (client: DtlsClient) => void } = {}): Promise<void> {
    const { certPem, keyPem } = await PeerClient.certificate;
    const transport = {
      type: 'test',
      address: { address: '', family: '', port: 0 },
      closed: false,
      onData: (_data: Buffer, _from: readonly [string, number]): void => {},
      send: (data: Buffer) => Promise.resolve(this.send(data)),
      close: () => Promise.resolve(),
    };
    const client = new DtlsClient({
      cert: certPem,
      key: keyPem,
      signatureHash: CERTIFICATE_SIGNATURE,
      srtpProfiles: options.srtpProfiles ?? [7, 1],
      extendedMasterSecret: true,
      transport,
    });
    this.dtls = client;
    this.#onDtls = (packet) => transport.onData(packet, ['', 0]);
    options.patch?.(client);
    const connected = client.onConnect.asPromise();
    void client.connect().catch(() => {});
    await connected;
  }

  close(): void {
    // Lets werift's retransmission loops end at their next turn.
    if (this.dtls) this.dtls.dtls.flight = 99;
    this.#pipe.close();
  }

  static async remote(overrides: Partial<RemoteTransport> = {}): Promise<RemoteTransport> {
    const { fingerprint } = await PeerClient.certificate;
    return {
      iceUfrag: 'browser1',
      icePwd: 'browser-password-of-24-characters',
      fingerprints: [fingerprint],
      setup: 'actpass',
      ...overrides,
    };
  }
}
