import type { NtpTime } from './ntp.ts';

/** RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1). */
export const RTCP_SR = 200;
export const RTCP_RR = 201;
export const RTCP_SDES = 202;
export const RTCP_BYE = 203;
export const RTCP_RTPFB = 205;
export const RTCP_PSFB = 206;

/** Feedback formats: RFC 4585 §6.2–6.3, RFC 5104 §4.3.1, draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1. */
export const FMT_NACK = 1;
export const FMT_TRANSPORT_CC = 15;
export const FMT_PLI = 1;
export const FMT_FIR = 4;
export const FMT_APPLICATION = 15;

export const SDES_CNAME = 1;

/** RFC 3550 §6.4.1. */
export interface ReportBlock {
  readonly ssrc: number;
  /** 0–255, in 1/256. */
  readonly fractionLost: number;
  /** Signed 24 bits. */
  readonly cumulativeLost: number;
  readonly extendedHighestSequence: number;
  /** In RTP timestamp units. */
  readonly jitter: number;
  /** Compact NTP time of the last sender report, 0 if there was none. */
  readonly lastSr: number;
  /** In 2^-16 s. */
  readonly delaySinceLastSr: number;
}

export interface SenderReport {
  readonly type: 'sr';
  readonly ssrc: number;
  readonly ntp: NtpTime;
  readonly rtpTimestamp: number;
  readonly packetCount: number;
  readonly octetCount: number;
  readonly reports: readonly ReportBlock[];
}

export interface ReceiverReport {
  readonly type: 'rr';
  readonly ssrc: number;
  readonly reports: readonly ReportBlock[];
}

export interface SourceDescription {
  readonly type: 'sdes';
  readonly chunks: readonly { readonly ssrc: number; readonly cname: string | undefined }[];
}

export interface Goodbye {
  readonly type: 'bye';
  readonly ssrcs: readonly number[];
}

export interface GenericNack {
  readonly type: 'nack';
  readonly senderSsrc: number;
  readonly mediaSsrc: number;
  /** 16-bit sequence numbers in the order of the message. */
  readonly sequences: readonly number[];
}

export interface PictureLossIndication {
  readonly type: 'pli';
  readonly senderSsrc: number;
  readonly mediaSsrc: number;
}

export interface FullIntraRequest {
  readonly type: 'fir';
  readonly senderSsrc: number;
  readonly entries: readonly { readonly ssrc: number; readonly commandSequence: number }[];
}

export interface ReceiverEstimate {
  readonly type: 'remb';
  readonly senderSsrc: number;
  readonly bitrateBps: number;
  readonly ssrcs: readonly number[];
}

export interface TransportFeedback {
  readonly type: 'transport-cc';
  readonly senderSsrc: number;
  readonly mediaSsrc: number;
  readonly feedbackCount: number;
  /** Transport-wide sequence number of `arrivalsUs[0]`; the others follow, modulo 2^16. */
  readonly baseSequence: number;
  /**
   * Arrival time of each packet on the receiver's clock, in µs modulo 2^24 · 64 ms; NaN for a packet that did not arrive.
   */
  readonly arrivalsUs: Float64Array;
}

export type RtcpPacket =
  | SenderReport
  | ReceiverReport
  | SourceDescription
  | Goodbye
  | GenericNack
  | PictureLossIndication
  | FullIntraRequest
  | ReceiverEstimate
  | TransportFeedback;
