import { AppError } from '../../src/domain/errors.ts';
import { isRtcp } from '../../src/protocol/rtp/packet.ts';
import { parseRtcp } from '../../src/protocol/rtp/rtcp-parse.ts';
import type { RtcpPacket } from '../../src/protocol/rtp/rtcp-types.ts';
import type { Peer, PeerEndReason, PeerHost, PeerHostCounters, PeerOptions } from '../../src/webrtc/peer.ts';
import { createSrtpReceiver } from '../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../src/webrtc/srtp/sender.ts';
import type { SrtpMaster } from '../../src/webrtc/srtp/srtp.ts';

/** Peers without a network: they connect when the test says so, and their packets are really protected. */
export class MemoryPeerHost implements PeerHost {
  readonly ports = { udpPort: 1, tcpPort: 1 };
  readonly peers = new Map<string, MemoryPeer>();
  /** Peers with this id are refused as those of a bad offer are. */
  refusedId: string | undefined;
  isClosed = false;

  get counters(): PeerHostCounters {
    return {
      peers: this.peers.size,
      udpPaths: 0,
      tcpConnections: 0,
      stunRejected: 0,
      unexpectedPackets: 0,
      sendsDropped: 0,
    };
  }

  createPeer(options: PeerOptions): Peer {
    if (options.id === this.refusedId) throw new AppError('BAD_SDP', 'refused by the test');
    const peer = new MemoryPeer(options, () => this.peers.delete(options.id));
    this.peers.set(options.id, peer);
    return peer;
  }

  peer(id: string): MemoryPeer {
    const peer = this.peers.get(id);
    if (!peer) throw new Error(`no peer ${id}`);
    return peer;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const peer of this.peers.values()) peer.close();
  }
}

let keys = 0;

function master(): SrtpMaster {
  keys += 1;
  return { key: Buffer.alloc(16, keys), salt: Buffer.alloc(14, keys + 128) };
}

/** The server's side of a peer, and the browser at its other end. */
export class MemoryPeer implements Peer {
  readonly id: string;
  readonly local = {
    iceUfrag: 'ufrag',
    icePwd: 'a-password-of-22-chars',
    fingerprint: { algorithm: 'sha-256', value: 'AA:BB' },
    setup: 'passive',
    candidates: [],
  } as const;
  /** What the browser has got: plain packets that passed authentication and the replay check. */
  readonly rtp: Buffer[] = [];
  readonly rtcp: RtcpPacket[] = [];
  /** While set, what is sent to the browser is lost on the way. */
  isDeaf = false;
  /** What it could not decrypt, or had already. */
  rejected = 0;
  isClosed = false;
  readonly #options: PeerOptions;
  readonly #forget: () => void;
  readonly #toServer = master();
  readonly #toBrowser = master();
  readonly #sender = createSrtpSender('AES_CM_128_HMAC_SHA1_80', this.#toServer);
  readonly #receiver = createSrtpReceiver('AES_CM_128_HMAC_SHA1_80', this.#toBrowser);

  constructor(options: PeerOptions, forget: () => void) {
    this.id = options.id;
    this.#options = options;
    this.#forget = forget;
  }

  connect(): void {
    const profile = 'AES_CM_128_HMAC_SHA1_80';
    this.#options.onConnected({ profile, inbound: this.#toServer, outbound: this.#toBrowser });
  }

  /** The browser sends. `index` is the 48-bit packet index of the sender. */
  sendRtp(packet: Buffer, index: number): void {
    this.#options.onPacket(Buffer.from(this.#sender.protectRtp(packet, index)));
  }

  sendRtcp(...compound: Buffer[]): void {
    this.#options.onPacket(Buffer.from(this.#sender.protectRtcp(Buffer.concat(compound))));
  }

  send(packet: Buffer): void {
    if (this.isDeaf) return;
    const copy = Buffer.from(packet);
    const plain = isRtcp(copy) ? this.#receiver.unprotectRtcp(copy) : this.#receiver.unprotectRtp(copy);
    if (!plain) this.rejected += 1;
    else if (isRtcp(copy)) this.rtcp.push(...parseRtcp(plain));
    else this.rtp.push(Buffer.from(plain));
  }

  /** What has come since the last call. */
  takeRtp(): Buffer[] {
    return this.rtp.splice(0);
  }

  takeRtcp<Type extends RtcpPacket['type']>(type: Type): Extract<RtcpPacket, { type: Type }>[] {
    return this.rtcp.splice(0).filter((packet) => packet.type === type) as Extract<RtcpPacket, { type: Type }>[];
  }

  close(): void {
    this.end('closed');
  }

  end(reason: PeerEndReason): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#forget();
    this.#options.onEnded(reason);
  }
}
