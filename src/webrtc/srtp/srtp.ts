/** DTLS-SRTP protection profiles that we use (RFC 5764 §4.1.2, RFC 7714 §14.2). */
export type SrtpProfile = 'AEAD_AES_128_GCM' | 'AES_CM_128_HMAC_SHA1_80';

/** One direction's master key (16 bytes) and master salt (12 bytes for GCM, 14 for CM). */
export interface SrtpMaster {
  readonly key: Buffer;
  readonly salt: Buffer;
}

/** What a finished DTLS handshake yields (RFC 5764 §4.2), named from our side. */
export interface SrtpKeys {
  readonly profile: SrtpProfile;
  readonly inbound: SrtpMaster;
  readonly outbound: SrtpMaster;
}

/** Removes protection. Both methods return a view that is valid until the next call, or `undefined` for what must be dropped. */
export interface SrtpReceiver {
  unprotectRtp(packet: Buffer): Buffer | undefined;
  unprotectRtcp(packet: Buffer): Buffer | undefined;
  /** Packets dropped so far. `malformed` are those that cannot be SRTP by their form, or bring a 65th SSRC. */
  readonly counters: { readonly authFailures: number; readonly replays: number; readonly malformed: number };
}

/** Adds protection to single packets: retransmissions, joins and RTCP. The burst path of many viewers is `SrtpFanout` (`fanout.ts`, made in `create-fanout.ts`). */
export interface SrtpSender {
  /**
   * `packet` is a plain RTP packet; `index` is its 48-bit packet index (roll-over counter · 65536 + sequence number),
   * kept by the caller who made the sequence number. The returned view is valid until the next call.
   */
  protectRtp(packet: Buffer, index: number): Buffer;
  /** The SRTCP index is kept inside. The returned view is valid until the next call. */
  protectRtcp(packet: Buffer): Buffer;
}
