/** The transport part of an offer. */
export interface RemoteTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprints: readonly Fingerprint[];
  /** `passive` in an offer makes us the DTLS client. We answer `passive` to everything else. */
  readonly setup: 'actpass' | 'active' | 'passive';
}

export interface Fingerprint {
  /** Lower case, as `sha-256`. */
  readonly algorithm: string;
  /** Upper-case hex pairs with colons. */
  readonly value: string;
}

/** The transport part of our answer. */
export interface LocalTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: Fingerprint;
  readonly setup: 'active' | 'passive';
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  readonly foundation: string;
  readonly protocol: 'udp' | 'tcp';
  readonly priority: number;
  readonly address: string;
  readonly port: number;
}
