import type { AudioCodec, MediaUnit, VideoCodec } from '../domain/media.ts';

/**
 * The one narrow door between control and media (design §1): plain serialisable commands and events, no packet and no
 * object with methods crosses it, so that a worker can live on another thread. `webrtc/local-media-worker.ts` is the
 * worker on this thread.
 */
export interface MediaWorker {
  /** The ports that ended up bound (0 in the options means any free one). */
  readonly ports: { readonly udpPort: number; readonly tcpPort: number };
  /**
   * Answers a publisher's offer. Rejects with AppError `BAD_SDP` or `NO_COMMON_CODECS`; nothing is left behind then.
   * After it resolves exactly one `connected` or `ended` event follows within the connect timeout.
   */
  publish(request: PublishRequest): Promise<PublishAnswer>;
  /**
   * Makes a stream of media units instead of RTP: a rendition, or what came by another protocol. Throws AppError
   * `MEDIA_SESSION_IN_USE`. Players of it are asked for keyframes by `keyframeNeeded`.
   */
  openUnitStream(request: UnitStreamRequest): void;
  /** Ignored for unknown streams and for units of another codec than the stream's. `unit` may be kept and is not changed. */
  writeUnit(streamId: string, unit: MediaUnit): void;
  /** Its players end with `source_ended`. Unknown ids are ignored. */
  closeUnitStream(streamId: string): void;
  /** Answers a player's offer. As `publish`; also rejects with `STREAM_NOT_FOUND` when the stream has ended meanwhile. */
  play(request: PlayRequest): Promise<PlayAnswer>;
  /** Ends a publisher or player. Unknown ids are ignored. Its `ended` event carries the reason `closed`. */
  close(sessionId: string): void;
  /** Asks the source for a keyframe; coalesced so that a source never sees more than one request per 500 ms. */
  requestKeyframe(streamId: string): void;
  /** While wanted, `frame` and `senderReport` events are emitted for this stream, beginning with the cached GOP. */
  setFramesWanted(streamId: string, wanted: boolean): void;
  /** The listener for all events. Set once, before the first command. */
  onEvent(listener: (event: MediaEvent) => void): void;
  /** For metrics. */
  totals(): Promise<MediaTotals>;
  /** Ends all sessions and releases the sockets. */
  dispose(): Promise<void>;
}

export interface PublishRequest {
  /** The client's mediaSessionId; names both the session and the stream (`streamId`). */
  readonly sessionId: string;
  readonly offerSdp: string;
  readonly transport: 'UDP' | 'TCP';
  /** Upper bound told to the browser, in kbit/s; 0 = none. */
  readonly maxBitrateKbps: number;
}

export interface PublishAnswer {
  readonly answerSdp: string;
  readonly video?: { readonly codec: VideoCodec } | undefined;
  readonly audio?: { readonly codec: Exclude<AudioCodec, 'aac'> } | undefined;
}

export interface PlayRequest {
  readonly sessionId: string;
  /** The publisher's session id, or that of a unit stream. */
  readonly streamId: string;
  readonly offerSdp: string;
  readonly transport: 'UDP' | 'TCP';
}

export type PlayAnswer = PublishAnswer;

export interface UnitStreamRequest {
  /** Unlike that of any session. */
  readonly streamId: string;
  readonly video?: { readonly codec: 'h264' } | undefined;
  readonly audio?: { readonly codec: Exclude<AudioCodec, 'aac'> } | undefined;
}

/** Why a session ended; edges translate it to the WCS vocabulary. */
export type MediaEndReason =
  | 'closed'
  | 'source_ended'
  | 'ice_timeout'
  | 'ice_keep_alive'
  | 'dtls_fingerprint'
  | 'dtls_error'
  | 'rtp_activity'
  | 'remote_closed';

/** An access unit or audio frame as it left the reorder buffer, still on the sender's RTP clock. */
export interface RtpFrame {
  readonly kind: 'video' | 'audio';
  readonly codec: VideoCodec | Exclude<AudioCodec, 'aac'>;
  /** RTP timestamp unwrapped to more than 32 bits; ticks of `clockRateHz`. */
  readonly rtpTime: number;
  readonly clockRateHz: number;
  /** Monotonic arrival time of the frame's first packet. */
  readonly arrivalUs: number;
  /** Audio frames are always `true`. */
  readonly isKeyframe: boolean;
  /** Video only, else 0: the size of the picture, known from the keyframe. */
  readonly width: number;
  readonly height: number;
  /** H.264: Annex-B, SPS + PPS in front of every IDR. Owned by the receiver of the event. */
  readonly data: Buffer;
}

/** Since the worker was made, sessions that have ended included. Nothing here names a session or a stream. */
export interface MediaTotals {
  /** From publishers. */
  readonly inbound: FlowTotals;
  /** To players. */
  readonly outbound: FlowTotals;
}

export interface FlowTotals {
  /** RTP packets of media: without retransmissions on a stream of their own, each packet once. */
  readonly packets: number;
  /** Of these packets, without headers and padding. */
  readonly payloadBytes: number;
  /** Packets asked for again: by us of publishers, or by players of us (video). */
  readonly nacks: number;
  /** PLI and FIR: to publishers, or from players. */
  readonly keyframeRequests: number;
  /** Of publishers: not repaired. Of players: as their receiver reports say (video). */
  readonly lostPackets: number;
}

/** What flowed in the last second. */
export interface VideoRate {
  /** Bits of RTP payload: without headers, padding and retransmissions. A packet that came as a retransmission counts once. */
  readonly videoRateBps: number;
  readonly fps: number;
  /** Packets asked for again, since the session began: by us of a publisher, by a player of us. */
  readonly nack: number;
  /** Keyframe requests since the session began, to a publisher or from a player. */
  readonly pli: number;
  /** Since the session began, repaired ones not counted for a publisher. */
  readonly lostPackets: number;
  readonly width: number;
  readonly height: number;
}

export type MediaEvent =
  | { readonly type: 'connected'; readonly sessionId: string }
  | { readonly type: 'ended'; readonly sessionId: string; readonly reason: MediaEndReason }
  /** The first media packet of a session came in (publisher) or went out (player). */
  | { readonly type: 'mediaStarted'; readonly sessionId: string }
  /** The size of a stream's picture is known or has changed. */
  | { readonly type: 'videoFormat'; readonly streamId: string; readonly width: number; readonly height: number }
  /** Once a second for each session with video. `direction` is the server's view. */
  | {
      readonly type: 'rate';
      readonly sessionId: string;
      readonly direction: 'inbound' | 'outbound';
      readonly rate: VideoRate;
    }
  | {
      readonly type: 'notEnoughBandwidth';
      readonly sessionId: string;
      readonly bitrateBps: number;
      readonly availableBps: number;
    }
  /** A player of a unit stream needs a keyframe; at most one of these in 500 ms for each stream. */
  | { readonly type: 'keyframeNeeded'; readonly streamId: string }
  | { readonly type: 'frame'; readonly streamId: string; readonly frame: RtpFrame }
  /** A hole in the video was given up; frames resume at the next keyframe. */
  | { readonly type: 'framesLost'; readonly streamId: string }
  /** NTP time (µs since 1900, from the sender's clock) that corresponds to an unwrapped RTP time. */
  | {
      readonly type: 'senderReport';
      readonly streamId: string;
      readonly kind: 'video' | 'audio';
      readonly ntpUs: number;
      readonly rtpTime: number;
    };
