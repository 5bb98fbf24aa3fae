import type { LocalTransport, RemoteTransport } from '../protocol/sdp/transport.ts';
import type { SrtpKeys, SrtpProfile } from './srtp/srtp.ts';

export type { Candidate, Fingerprint, LocalTransport, RemoteTransport } from '../protocol/sdp/transport.ts';

/**
 * A peer is one remote browser: ICE-lite, then DTLS, then an opaque pipe for SRTP and SRTCP packets. It knows nothing of
 * media. All peers of a media worker share one UDP port and one TCP port (reference/webrtc.md, part one).
 */
export interface PeerHost {
  readonly ports: { readonly udpPort: number; readonly tcpPort: number };
  readonly counters: PeerHostCounters;
  /**
   * Throws AppError `BAD_SDP` for an offer with `a=setup:passive` or without a fingerprint that can be trusted. The peer's
   * owner closes it unless `onEnded` was called.
   */
  createPeer(options: PeerOptions): Peer;
  /** Closes all peers (reason `closed`) and the sockets; resolves when they are gone. */
  close(): Promise<void>;
}

/** Read at any time. The first three are current numbers, the others only grow. */
export interface PeerHostCounters {
  readonly peers: number;
  /** Remote addresses that peers are heard from. */
  readonly udpPaths: number;
  readonly tcpConnections: number;
  /** STUN requests that failed their checks or came too often. */
  readonly stunRejected: number;
  /** Packets that no peer claims, or that are none of STUN, DTLS, SRTP and SRTCP. */
  readonly unexpectedPackets: number;
  /** UDP packets not sent because the kernel's buffer was full. */
  readonly sendsDropped: number;
}

export interface PeerOptions {
  readonly id: string;
  readonly remote: RemoteTransport;
  /** TCP puts ICE-TCP passive candidates into the description, UDP the UDP ones. */
  readonly transport: 'UDP' | 'TCP';
  /** Most wanted first; the first one that the client offers is taken. */
  readonly srtpProfiles: readonly SrtpProfile[];
  /** Once, when a candidate pair is nominated and DTLS is finished and verified. */
  readonly onConnected: (keys: SrtpKeys) => void;
  /** An SRTP or SRTCP packet (first byte 128–191). The buffer is valid only during the call and may be written to. */
  readonly onPacket: (packet: Buffer) => void;
  /** Once, whatever ended it. */
  readonly onEnded: (reason: PeerEndReason) => void;
}

export type PeerEndReason =
  'closed' | 'ice_timeout' | 'ice_keep_alive' | 'dtls_fingerprint' | 'dtls_error' | 'remote_closed';

export interface Peer {
  readonly id: string;
  readonly local: LocalTransport;
  /** Sends one protected packet at once. `packet` may be reused as soon as the call returns (see the dgram trap in reference/webrtc.md §2). */
  send(packet: Buffer): void;
  /** Idempotent; sends a DTLS close_notify where there is someone to tell. */
  close(): void;
}
