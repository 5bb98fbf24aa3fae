import type { RemoteTransport } from './transport.ts';

/** An SDP offer as far as a media server needs it. Everything unknown is left out. Made by `parseOffer`. */
export interface Offer {
  readonly sections: readonly OfferSection[];
  /** The mids of the BUNDLE group in its order (RFC 9143); empty where the offer has no such group. */
  readonly bundle: readonly string[];
}

export interface OfferSection {
  /** First word of the m-line; only `audio` and `video` can be accepted. */
  readonly kind: 'audio' | 'video' | 'other';
  readonly media: string;
  readonly mid: string | undefined;
  readonly port: number;
  readonly protocol: string;
  /** The formats of the m-line as text, to be given back in a rejection. */
  readonly formats: string;
  readonly direction: Direction;
  /** RTP payload types that have a codec, in the order of the m-line; RTX is folded into the `rtxPt` of its payload. */
  readonly payloads: readonly OfferPayload[];
  /** Header extensions (RFC 8285): URI to id. */
  readonly extensions: ReadonlyMap<string, number>;
  /** Absent unless ICE credentials and at least one fingerprint are there. */
  readonly transport: RemoteTransport | undefined;
  readonly rtcpMux: boolean;
  readonly rtcpReducedSize: boolean;
  readonly bundleOnly: boolean;
  /** In the order in which the section names them. */
  readonly ssrcs: readonly number[];
  /** First and second member of an FID group (RFC 5576): media and retransmission. */
  readonly fid: { readonly ssrc: number; readonly rtxSsrc: number } | undefined;
  /** Stream id of the section's `a=msid`. */
  readonly msid: string | undefined;
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface OfferPayload {
  readonly pt: number;
  /** Lower case, as `h264`. */
  readonly codec: string;
  readonly clockRateHz: number;
  readonly channels: number;
  /** Keys in lower case. Empty where the line is missing. */
  readonly fmtp: ReadonlyMap<string, string>;
  /** As `nack pli`; those of `a=rtcp-fb:*` included. */
  readonly rtcpFb: ReadonlySet<string>;
  readonly rtxPt: number | undefined;
}
