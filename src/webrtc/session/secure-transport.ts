import type { LocalTransport, RemoteTransport } from '../../protocol/sdp/transport.ts';
import { isRtcp } from '../../protocol/rtp/packet.ts';
import type { Peer, PeerEndReason, PeerHost } from '../peer.ts';
import { createSrtpReceiver } from '../srtp/receiver.ts';
import { createSrtpSender } from '../srtp/sender.ts';
import type { SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender } from '../srtp/srtp.ts';

interface SecureTransportOptions {
  readonly id: string;
  readonly remote: RemoteTransport;
  readonly transport: 'UDP' | 'TCP';
  readonly srtpProfiles: readonly SrtpProfile[];
  readonly onConnected: (keys: SrtpKeys) => void;
  /** A plain RTP packet; valid until the call returns. */
  readonly onRtp: (packet: Buffer) => void;
  /** A plain compound RTCP packet; valid until the call returns. */
  readonly onRtcp: (compound: Buffer) => void;
  readonly onEnded: (reason: PeerEndReason) => void;
}

/** One peer with its SRTP contexts: plain packets on this side, protected ones on the wire. */
export class SecureTransport {
  readonly #peer: Peer;
  #receiver: SrtpReceiver | undefined;
  #sender: SrtpSender | undefined;

  constructor(host: PeerHost, options: SecureTransportOptions) {
    this.#peer = host.createPeer({
      id: options.id,
      remote: options.remote,
      transport: options.transport,
      srtpProfiles: options.srtpProfiles,
      onConnected: (keys) => {
        this.#receiver = createSrtpReceiver(keys.profile, keys.inbound);
        this.#sender = createSrtpSender(keys.profile, keys.outbound);
        options.onConnected(keys);
      },
      onPacket: (packet) => {
        if (!this.#receiver) return;
        if (isRtcp(packet)) {
          const compound = this.#receiver.unprotectRtcp(packet);
          if (compound) options.onRtcp(compound);
        } else {
          const plain = this.#receiver.unprotectRtp(packet);
          if (plain) options.onRtp(plain);
        }
      },
      onEnded: options.onEnded,
    });
  }

  get local(): LocalTransport {
    return this.#peer.local;
  }

  /** Nothing is sent before `onConnected`. */
  sendRtp(packet: Buffer, index: number): void {
    if (this.#sender) this.#peer.send(this.#sender.protectRtp(packet, index));
  }

  sendRtcp(compound: Buffer): void {
    if (this.#sender) this.#peer.send(this.#sender.protectRtcp(compound));
  }

  /** A packet that the fan-out has protected already. */
  sendProtected(packet: Buffer): void {
    this.#peer.send(packet);
  }

  close(): void {
    this.#peer.close();
  }
}

/**
 * One transport for each of `remotes`, that is one, or one for each section of an offer without BUNDLE. Throws what
 * `createPeer` throws, and leaves no transport open then and tells nobody.
 */
export function openTransports(
  host: PeerHost,
  id: string,
  remotes: readonly RemoteTransport[],
  optionsOf: (index: number) => Omit<SecureTransportOptions, 'id' | 'remote'>,
): SecureTransport[] {
  const opened: SecureTransport[] = [];
  let isGivenUp = false;
  try {
    for (const [index, remote] of remotes.entries()) {
      const options = optionsOf(index);
      const onEnded = (reason: PeerEndReason) => {
        if (!isGivenUp) options.onEnded(reason);
      };
      opened.push(new SecureTransport(host, { ...options, id: index === 0 ? id : `${id}#${index}`, remote, onEnded }));
    }
    return opened;
  } catch (error) {
    isGivenUp = true;
    for (const transport of opened) transport.close();
    throw error;
  }
}
