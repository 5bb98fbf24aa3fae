import type { AudioCodec, VideoCodec } from '../../domain/media.ts';
import type { RemoteTransport } from './transport.ts';

/** Codecs that travel over RTP to and from a browser. */
export type RtpCodec = VideoCodec | Exclude<AudioCodec, 'aac'>;
export type RtpVideoCodec = VideoCodec;
export type RtpAudioCodec = Exclude<AudioCodec, 'aac'>;

/** What was agreed for a publisher. `sections` mirrors the offer one to one; tracks and sections point to `transports` by index. */
export interface PublishPlan {
  readonly transports: readonly RemoteTransport[];
  readonly video?: PublishTrack<RtpVideoCodec> | undefined;
  readonly audio?: PublishTrack<RtpAudioCodec> | undefined;
  readonly answer: AnswerPlan;
}

/** What was agreed for a player: at most one track of each kind, in the source's codec. */
export interface PlayPlan {
  readonly transports: readonly RemoteTransport[];
  readonly video?: TrackPlan<RtpVideoCodec> | undefined;
  readonly audio?: TrackPlan<RtpAudioCodec> | undefined;
  readonly answer: AnswerPlan;
}

export interface TrackPlan<Codec extends RtpCodec = RtpCodec> {
  readonly codec: Codec;
  readonly payloadType: number;
  readonly clockRateHz: number;
  readonly channels: number;
  /** Payload type of the retransmissions (RFC 4588) of `payloadType`; absent where the offer has none. */
  readonly rtxPayloadType?: number | undefined;
  /** Lower-case hex `profile-level-id` of the chosen H.264 payload type, where it has one. */
  readonly h264ProfileLevelId?: string | undefined;
  /** What both sides do; exactly what the answer says. */
  readonly feedback: Feedback;
  /** Index into `transports`. All tracks of a bundled offer share one. */
  readonly transportIndex: number;
}

export interface PublishTrack<Codec extends RtpCodec = RtpCodec> extends TrackPlan<Codec> {
  /** As announced in the offer; absent where it announces none, so demultiplex by payload type then. */
  readonly ssrc?: number | undefined;
  readonly rtxSsrc?: number | undefined;
  /** RFC 8285 id of the transport-wide sequence number; present exactly when `feedback.transportCc`. */
  readonly transportCcExtensionId?: number | undefined;
}

/** RTCP feedback (RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb, draft-holmer-rmcat-transport-wide-cc). */
export interface Feedback {
  readonly nack: boolean;
  readonly nackPli: boolean;
  readonly ccmFir: boolean;
  readonly googRemb: boolean;
  readonly transportCc: boolean;
}

/** What the answer's text needs; of no interest to the media path. */
export interface AnswerPlan {
  readonly mediaSessionId: string;
  /** Wall-clock time in ms; the version of the session in `o=`. */
  readonly createdMs: number;
  /** Upper bound told to a publisher, in kbit/s; 0 = none. */
  readonly maxBitrateKbps: number;
  /** True when the offer groups its sections with BUNDLE (RFC 9143). */
  readonly bundle: boolean;
  /** One for each section of the offer, in its order. */
  readonly sections: readonly AnswerSection[];
}

export type AnswerSection =
  | {
      readonly accepted: true;
      readonly kind: 'audio' | 'video';
      readonly mid: string | undefined;
      readonly protocol: string;
      readonly transportIndex: number;
      readonly inBundle: boolean;
      readonly rtcpReducedSize: boolean;
      /** `fmtp` text of the chosen payload type; empty = no line. */
      readonly fmtp: string;
    }
  | {
      readonly accepted: false;
      readonly media: string;
      readonly mid: string | undefined;
      readonly protocol: string;
      /** The offered formats, given back untouched. */
      readonly formats: string;
    };

/** Where the answer of a play plan says the media will come from. RTX only where the track has `rtxPayloadType`. */
export interface PlaySsrcs {
  readonly audio?: { readonly ssrc: number } | undefined;
  readonly video?: { readonly ssrc: number; readonly rtxSsrc?: number | undefined } | undefined;
}

/** What `negotiatePlay` must know of the source. */
export interface PlaySource {
  readonly video?: { readonly codec: RtpVideoCodec; readonly h264ProfileLevelId?: string | undefined } | undefined;
  readonly audio?: { readonly codec: RtpAudioCodec } | undefined;
}

export interface PublishOptions {
  readonly mediaSessionId: string;
  readonly createdMs: number;
  readonly maxBitrateKbps: number;
}

export interface PlayOptions {
  readonly mediaSessionId: string;
  readonly createdMs: number;
}
