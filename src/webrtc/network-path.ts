/** One way to a remote address and port: over the shared UDP socket, or one ICE-TCP connection. */
export interface NetworkPath {
  readonly protocol: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
  /** The session whose authenticated STUN came over this path last. */
  owner: PathOwner | undefined;
  /** Sends one packet at once. `packet` may be reused when the call returns. */
  send(packet: Buffer): void;
  /** The path has got its first owner. */
  admit(): void;
  /** The owner needs it no longer: forgets the address, or ends the connection after what was sent. Idempotent. */
  release(): void;
}

/** A session, as its paths see it. */
export interface PathOwner {
  onDtls(datagram: Buffer): void;
  onMedia(packet: Buffer): void;
  /** The path is gone or belongs to another session now; it is not to be released. */
  onPathLost(path: NetworkPath): void;
}
