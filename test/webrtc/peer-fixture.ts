import { systemClock, type Clock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { createPeerHost, type PeerHostOptions } from '../../src/webrtc/peer-host.ts';
import type { Peer, PeerEndReason, PeerHost, PeerOptions, RemoteTransport } from '../../src/webrtc/peer.ts';
import type { SrtpKeys } from '../../src/webrtc/srtp/srtp.ts';
import { createDtlsCertificate } from '../../src/webrtc/dtls-certificate.ts';
import { PeerClient } from './peer-client.ts';

const certificate = createDtlsCertificate();

export async function openHost(options: Partial<PeerHostOptions> = {}, clock: Clock = systemClock): Promise<PeerHost> {
  return createPeerHost({
    bindAddress: '127.0.0.1',
    advertisedAddresses: ['127.0.0.1'],
    portFrom: 0,
    portTo: 0,
    clock,
    logger: silentLogger,
    certificate: await certificate,
    ...options,
  });
}

/** A peer of the host whose callbacks can be waited for. */
export class ObservedPeer {
  readonly peer: Peer;
  readonly packets: Buffer[] = [];
  connectedCount = 0;
  endings: PeerEndReason[] = [];
  readonly connected: Promise<SrtpKeys>;
  readonly ended: Promise<PeerEndReason>;
  #packetWaiter: ((packet: Buffer) => void) | undefined;

  static async create(
    host: PeerHost,
    remote: Partial<RemoteTransport> = {},
    options: Partial<PeerOptions> = {},
  ): Promise<ObservedPeer> {
    return new ObservedPeer(host, await PeerClient.remote(remote), options);
  }

  private constructor(host: PeerHost, remote: RemoteTransport, options: Partial<PeerOptions>) {
    const connected = Promise.withResolvers<SrtpKeys>();
    const ended = Promise.withResolvers<PeerEndReason>();
    this.connected = connected.promise;
    this.ended = ended.promise;
    this.peer = host.createPeer({
      id: 'peer-1',
      remote,
      transport: 'UDP',
      srtpProfiles: ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'],
      onConnected: (keys) => {
        this.connectedCount++;
        connected.resolve(keys);
      },
      onPacket: (packet) => {
        const copy = Buffer.from(packet);
        this.packets.push(copy);
        this.#packetWaiter?.(copy);
      },
      onEnded: (reason) => {
        this.endings.push(reason);
        ended.resolve(reason);
      },
      ...options,
    });
  }

  nextPacket(): Promise<Buffer> {
    return new Promise((resolve) => (this.#packetWaiter = resolve));
  }
}
