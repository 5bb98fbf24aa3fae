import type { RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import { SourceLimiter } from '../domain/source-limiter.ts';
import { createDtlsCertificate, type DtlsCertificate } from './dtls-certificate.ts';
import { isUsableFingerprint } from './dtls-verify.ts';
import { checkBinding } from './ice-binding.ts';
import { hostCandidates, reachableAddresses } from './ice-candidates.ts';
import { IceTcp } from './ice-tcp.ts';
import { openMediaPort, type MediaPort, type MediaPortOptions } from './media-port.ts';
import type { NetworkPath } from './network-path.ts';
import type { Peer, PeerHost, PeerHostCounters, PeerOptions } from './peer.ts';
import { PeerSession } from './peer-session.ts';
import { UdpPaths } from './udp-paths.ts';

export interface PeerHostOptions extends MediaPortOptions {
  /** IP addresses for the candidates; empty = those that the machine can be reached at. */
  readonly advertisedAddresses: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Made anew when absent. */
  readonly certificate?: DtlsCertificate | undefined;
  /** From `createPeer` to `onConnected`. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Silence after which a connected peer is given up. Default 30,000. */
  readonly keepAliveTimeoutMs?: number | undefined;
  readonly limits?: Partial<PeerHostLimits> | undefined;
}

export interface PeerHostLimits {
  readonly maxTcpConnections: number;
  readonly maxUnauthenticatedTcpPerAddress: number;
  readonly tcpAuthenticationTimeoutMs: number;
  /** What may wait for one slow TCP reader. */
  readonly maxTcpBacklogBytes: number;
  /** STUN that fails its checks, per source address; more and its STUN from unknown ports is not even checked. */
  readonly maxStunFailuresPerSecond: number;
}

const DEFAULT_LIMITS: PeerHostLimits = {
  maxTcpConnections: 1000,
  maxUnauthenticatedTcpPerAddress: 64,
  tcpAuthenticationTimeoutMs: 10_000,
  maxTcpBacklogBytes: 512 * 1024,
  maxStunFailuresPerSecond: 100,
};
/** An error that a packet sets off can be set off by every packet; the log is told of some. */
const MAX_LOGGED_ERRORS_PER_SECOND = 5;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_KEEP_ALIVE_TIMEOUT_MS = 30_000;

/** Opens the ports and makes the certificate. Rejects with AppError `BAD_CONFIGURATION` when no port is free. */
export async function createPeerHost(options: PeerHostOptions): Promise<PeerHost> {
  const certificate = options.certificate ?? (await createDtlsCertificate());
  return new SharedPortHost(options, certificate, await openMediaPort(options));
}

/** All peers of one media worker behind one UDP and one TCP port; sorts packets by their first byte (RFC 7983 §7). */
class SharedPortHost implements PeerHost {
  readonly ports: PeerHost['ports'];
  readonly #options: PeerHostOptions;
  readonly #certificate: DtlsCertificate;
  readonly #mediaPort: MediaPort;
  readonly #addresses: readonly string[];
  readonly #byUfrag = new Map<string, PeerSession>();
  readonly #udpPaths: UdpPaths;
  readonly #tcp: IceTcp;
  readonly #limiter: SourceLimiter;
  readonly #errorLimiter: SourceLimiter;
  #stunRejected = 0;
  #unexpectedPackets = 0;
  #closing: Promise<void> | undefined;

  constructor(options: PeerHostOptions, certificate: DtlsCertificate, mediaPort: MediaPort) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { udp, tcp, port, bindAddress } = mediaPort;
    this.#options = options;
    this.#certificate = certificate;
    this.#mediaPort = mediaPort;
    this.ports = { udpPort: port, tcpPort: port };
    this.#addresses =
      options.advertisedAddresses.length > 0 ? options.advertisedAddresses : reachableAddresses(bindAddress);
    const perSecond = { clock: options.clock, windowMs: 1000 };
    this.#limiter = new SourceLimiter({ ...perSecond, max: limits.maxStunFailuresPerSecond });
    this.#errorLimiter = new SourceLimiter({ ...perSecond, max: MAX_LOGGED_ERRORS_PER_SECOND });
    this.#udpPaths = new UdpPaths(udp);
    this.#tcp = new IceTcp(tcp, {
      clock: options.clock,
      logger: options.logger,
      maxConnections: limits.maxTcpConnections,
      maxUnauthenticatedPerAddress: limits.maxUnauthenticatedTcpPerAddress,
      authenticationTimeoutMs: limits.tcpAuthenticationTimeoutMs,
      maxBacklogBytes: limits.maxTcpBacklogBytes,
      onPacket: (packet, path) => this.#sort(packet, path, path),
    });
    udp.on('message', (packet, from) => this.#sort(packet, this.#udpPaths.find(from.address, from.port), from));
    udp.on('error', (error) => options.logger.warn({ error: error.message }, 'media socket failed'));
  }

  get counters(): PeerHostCounters {
    return {
      peers: this.#byUfrag.size,
      udpPaths: this.#udpPaths.size,
      tcpConnections: this.#tcp.connections,
      stunRejected: this.#stunRejected,
      unexpectedPackets: this.#unexpectedPackets,
      sendsDropped: this.#udpPaths.dropped,
    };
  }

  createPeer(options: PeerOptions): Peer {
    if (this.#closing) throw new AppError('INTERNAL', 'the media port is closed');
    if (options.remote.setup === 'passive') {
      throw new AppError('BAD_SDP', 'a=setup:passive is not supported: the server does not begin the DTLS handshake');
    }
    if (!options.remote.fingerprints.some(isUsableFingerprint)) {
      throw new AppError('BAD_SDP', 'no a=fingerprint with sha-256, sha-384 or sha-512');
    }
    const session = new PeerSession(options, {
      clock: this.#options.clock,
      logger: this.#options.logger,
      certificate: this.#certificate,
      candidates: hostCandidates(this.#addresses, this.#mediaPort.port, options.transport),
      connectTimeoutMs: this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      keepAliveTimeoutMs: this.#options.keepAliveTimeoutMs ?? DEFAULT_KEEP_ALIVE_TIMEOUT_MS,
      forget: (ended) => this.#byUfrag.delete(ended.local.iceUfrag),
    });
    this.#byUfrag.set(session.local.iceUfrag, session);
    return session;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const session of this.#byUfrag.values()) session.close();
    const { udp, tcp } = this.#mediaPort;
    const closed = Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    udp.close();
    tcp.close();
    this.#tcp.destroy();
    await closed;
  }

  /** The rim: nothing that comes from the network, nor an error in what it sets off, may end the process. */
  #sort(packet: Buffer, path: NetworkPath | undefined, from: NetworkPath | RemoteInfo): void {
    try {
      const first = packet[0] ?? 0xff;
      if (first >= 128 && first <= 191 && path?.owner) path.owner.onMedia(packet);
      else if (first <= 3) this.#onStun(packet, path, from);
      else if (first >= 20 && first <= 63 && path?.owner) path.owner.onDtls(packet);
      else this.#unexpectedPackets++;
    } catch (error) {
      if (!this.#errorLimiter.allows(from.address)) return;
      this.#errorLimiter.charge(from.address);
      this.#options.logger.error({ error }, 'a packet set off an error');
    }
  }

  #onStun(packet: Buffer, known: NetworkPath | undefined, from: NetworkPath | RemoteInfo): void {
    if (!known?.owner && !this.#limiter.allows(from.address)) {
      this.#stunRejected++;
      return;
    }
    const check = checkBinding(packet, from, (localUfrag) => this.#byUfrag.get(localUfrag));
    if (check.verdict === 'ignored') return;
    if (check.verdict === 'rejected') {
      this.#stunRejected++;
      this.#limiter.charge(from.address);
      return;
    }
    const path = known ?? this.#udpPaths.make(from.address, from.port);
    path.send(check.response);
    if (check.verdict === 'accepted') check.session.onBinding(path, check.nominates);
  }
}
