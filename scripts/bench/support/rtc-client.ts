import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { DtlsClient } from 'werift';
import { isRtcp } from '../../../src/protocol/rtp/packet.ts';
import { encodeXorAddress } from '../../../src/protocol/stun/stun-address.ts';
import { findAttribute, parseStun, STUN_ATTRIBUTE, STUN_TYPE } from '../../../src/protocol/stun/stun-message.ts';
import { StunWriter } from '../../../src/protocol/stun/stun-writer.ts';
import { CERTIFICATE_SIGNATURE, createDtlsCertificate } from '../../../src/webrtc/dtls-certificate.ts';
import { createSrtpReceiver } from '../../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../../src/webrtc/srtp/sender.ts';
import type { SrtpProfile, SrtpReceiver, SrtpSender } from '../../../src/webrtc/srtp/srtp.ts';

/** Where the server is and how it knows us, as its SDP says. */
export interface RemoteEnd {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly address: string;
  readonly port: number;
}

const CHECK_INTERVAL_MS = 50;
const CONNECT_TIMEOUT_MS = 15_000;
const RECEIVE_BUFFER_BYTES = 4 << 20;
const PROFILES: Readonly<Record<number, { profile: SrtpProfile; saltBytes: number }>> = {
  1: { profile: 'AES_CM_128_HMAC_SHA1_80', saltBytes: 14 },
  7: { profile: 'AEAD_AES_128_GCM', saltBytes: 12 },
};
const CONTROLLED_PRIORITY = Buffer.from([0x6e, 0, 1, 0xff]);

const certificate = await createDtlsCertificate();

/** Of every client of this process, as `a=fingerprint` has it. */
export const clientFingerprint = `${certificate.fingerprint.algorithm} ${certificate.fingerprint.value}`;

/**
 * The network side of one browser, as cheap as it can be: ICE, DTLS (both real) and then packets that nobody decrypts unless
 * asked to. Its owner closes it.
 */
export class RtcClient {
  readonly iceUfrag = randomBytes(6).toString('hex');
  readonly icePwd = randomBytes(18).toString('hex');
  /** Protected packets as they come. The buffers are the receiver's to keep. */
  onProtectedRtp: (packet: Buffer) => void = () => {};
  onProtectedRtcp: (packet: Buffer) => void = () => {};
  profile: SrtpProfile | undefined;
  readonly #socket: Socket;
  #remote: RemoteEnd | undefined;
  #role: 'controlling' | 'controlled' = 'controlling';
  #dtls: DtlsClient | undefined;
  #onDtls: (datagram: Buffer) => void = () => {};
  #onNominated: () => void = () => {};
  #sender: SrtpSender | undefined;
  #receiver: SrtpReceiver | undefined;

  static async open(address: string): Promise<RtcClient> {
    const socket = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
    const listening = once(socket, 'listening');
    socket.bind(0, address);
    await listening;
    // A burst must not be lost while this process does something else. Not every system lets it be that much.
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    } catch {
      // As it is, then.
    }
    return new RtcClient(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (packet, from) => this.#receive(packet, from));
    // A server that has gone answers with ICMP; what was to be measured then fails for want of packets.
    socket.on('error', () => {});
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** `controlling` towards an ICE-lite server, `controlled` towards one that made the offer. Rejects after 15 s. */
  async connect(remote: RemoteEnd, role: 'controlling' | 'controlled'): Promise<void> {
    this.#remote = remote;
    this.#role = role;
    const nominated = new Promise<void>((resolve) => (this.#onNominated = resolve));
    this.sendCheck();
    const checks = setInterval(() => this.sendCheck(), CHECK_INTERVAL_MS);
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => timeout.reject(new Error(`no connection to ${remote.address}:${remote.port}`)),
      CONNECT_TIMEOUT_MS,
    );
    try {
      await Promise.race([nominated, timeout.promise]);
      clearInterval(checks);
      await Promise.race([this.#handshake(), timeout.promise]);
    } finally {
      clearInterval(checks);
      clearTimeout(timer);
    }
  }

  /** A connectivity check, later a consent check (RFC 7675); browsers send one every few seconds. */
  sendCheck(): void {
    const remote = this.#remote!;
    const isControlling = this.#role === 'controlling';
    const request = new StunWriter(STUN_TYPE.request, randomBytes(12))
      .add(STUN_ATTRIBUTE.username, Buffer.from(`${remote.iceUfrag}:${this.iceUfrag}`))
      .add(isControlling ? STUN_ATTRIBUTE.iceControlling : STUN_ATTRIBUTE.iceControlled, randomBytes(8))
      .add(STUN_ATTRIBUTE.priority, CONTROLLED_PRIORITY);
    if (isControlling) request.add(STUN_ATTRIBUTE.useCandidate, Buffer.alloc(0));
    this.#send(request.finish(remote.icePwd));
  }

  /** `index` is the 48-bit packet index of SRTP, whose low 16 bits are the packet's sequence number. */
  sendRtp(packet: Buffer, index: number): void {
    this.#send(this.#sender!.protectRtp(packet, index));
  }

  sendRtcp(compound: Buffer): void {
    this.#send(this.#sender!.protectRtcp(compound));
  }

  /** The plain packet, or undefined where the tag is wrong. */
  open(packet: Buffer): Buffer | undefined {
    return isRtcp(packet) ? this.#receiver!.unprotectRtcp(packet) : this.#receiver!.unprotectRtp(packet);
  }

  close(): void {
    // werift's retransmission loops end at their next turn.
    if (this.#dtls) this.#dtls.dtls.flight = 99;
    this.#socket.close();
  }

  #receive(packet: Buffer, from: RemoteInfo): void {
    const first = packet[0]!;
    if (first >= 128) {
      if (isRtcp(packet)) this.onProtectedRtcp(packet);
      else this.onProtectedRtp(packet);
    } else if (first >= 20) this.#onDtls(packet);
    else this.#onStun(packet, from);
  }

  #onStun(packet: Buffer, from: RemoteInfo): void {
    const message = parseStun(packet);
    if (message.type === STUN_TYPE.success) {
      if (this.#role === 'controlling') this.#onNominated();
    } else if (message.type === STUN_TYPE.request && this.#remote) {
      const address = encodeXorAddress(from.address, from.port, message.transactionId);
      const response = new StunWriter(STUN_TYPE.success, message.transactionId).add(
        STUN_ATTRIBUTE.xorMappedAddress,
        address,
      );
      this.#send(response.finish(this.icePwd));
      if (findAttribute(message, STUN_ATTRIBUTE.useCandidate)) this.#onNominated();
    }
  }

  async #handshake(): Promise<void> {
    const transport = {
      type: 'bench',
      address: { address: '', family: '', port: 0 },
      closed: false,
      onData: (_data: Buffer, _from: readonly [string, number]): void => {},
      send: (data: Buffer) => Promise.resolve(this.#send(data)),
      close: () => Promise.resolve(),
    };
    const client = new DtlsClient({
      cert: certificate.certPem,
      key: certificate.keyPem,
      signatureHash: CERTIFICATE_SIGNATURE,
      srtpProfiles: [7, 1],
      extendedMasterSecret: true,
      transport,
    });
    this.#dtls = client;
    this.#onDtls = (datagram) => transport.onData(datagram, ['', 0]);
    const connected = client.onConnect.asPromise();
    void client.connect().catch(() => {});
    await connected;
    const chosen = PROFILES[client.srtp.srtpProfile ?? 0];
    if (!chosen) throw new Error('the server has chosen no SRTP profile');
    const keys = client.extractSessionKeys(16, chosen.saltBytes);
    this.profile = chosen.profile;
    this.#sender = createSrtpSender(chosen.profile, { key: keys.localKey, salt: keys.localSalt });
    this.#receiver = createSrtpReceiver(chosen.profile, { key: keys.remoteKey, salt: keys.remoteSalt });
  }

  #send(packet: Buffer): void {
    this.#socket.send(packet, this.#remote!.port, this.#remote!.address);
  }
}
