import { AppError, ProtocolError } from '../domain/errors.ts';
import { STREAM_INFO, type StreamInfo, type StreamStatus } from '../domain/stream-status.ts';
import type { RtmpPlaybackEnd } from '../outputs/rtmp-player/rtmp-playback.ts';
import type { MediaEndReason } from '../webrtc/media-worker.ts';

/** How a stream ends: a terminal status and the sentence that WCS clients know for it (reference/wcs-protocol.md §2.6). */
export interface StreamEnd {
  readonly status: Extract<StreamStatus, 'UNPUBLISHED' | 'STOPPED' | 'FAILED'>;
  readonly info: StreamInfo;
}

/** The ordinary end: a publisher is UNPUBLISHED, a player STOPPED. */
export function ordinaryEnd(published: boolean, info: StreamInfo): StreamEnd {
  return { status: published ? 'UNPUBLISHED' : 'STOPPED', info };
}

/** The client's own wish. */
export function endOnRequest(published: boolean): StreamEnd {
  return ordinaryEnd(published, published ? STREAM_INFO.stoppedByPublisherStop : STREAM_INFO.stoppedByUser);
}

export function failure(info: StreamInfo): StreamEnd {
  return { status: 'FAILED', info };
}

/**
 * `remote_closed` is an ordinary end: the SDK closes its peer connection in `stop()`, and the DTLS alert may overtake the
 * message (reference/wcs-protocol.md §2.3).
 */
export function endOfMedia(published: boolean, reason: MediaEndReason): StreamEnd {
  switch (reason) {
    case 'remote_closed':
      return endOnRequest(published);
    case 'source_ended':
      return failure(STREAM_INFO.stoppedByPublisherStop);
    case 'ice_timeout':
      return failure(STREAM_INFO.failedByIceTimeout);
    case 'ice_keep_alive':
      return failure(STREAM_INFO.failedByKeepAlive);
    case 'dtls_fingerprint':
      return failure(STREAM_INFO.failedByDtlsFingerprint);
    case 'dtls_error':
      return failure(STREAM_INFO.failedByDtls);
    case 'rtp_activity':
      return failure(STREAM_INFO.failedByRtpActivity);
    case 'closed':
      return failure(STREAM_INFO.failedByError);
  }
}

/** Why a media worker did not answer an offer. */
export function endOfRefusedOffer(error: unknown): StreamEnd {
  if (error instanceof ProtocolError) return failure(STREAM_INFO.failedToAddStreamToProxy);
  const code = error instanceof AppError ? error.code : 'INTERNAL';
  if (code === 'NO_COMMON_CODECS') return failure(STREAM_INFO.noCommonCodecs);
  if (code === 'BAD_SDP') return failure(STREAM_INFO.failedToAddStreamToProxy);
  if (code === 'STREAM_NOT_FOUND') return failure(STREAM_INFO.streamNotFound);
  if (code === 'STREAM_NAME_IN_USE') return failure(STREAM_INFO.streamNameInUse);
  if (code === 'MEDIA_SESSION_IN_USE') return failure(STREAM_INFO.mediaSessionIdInUse);
  return failure(STREAM_INFO.failedByError);
}

/** Nothing came at all, or nothing that can be played. */
export function endOfRtmpPublication(reason: 'idle' | 'no_media'): StreamEnd {
  return failure(reason === 'idle' ? STREAM_INFO.failedByRtpActivity : STREAM_INFO.noCommonCodecs);
}

export function endOfRtmpPlayback(reason: RtmpPlaybackEnd): StreamEnd {
  switch (reason) {
    case 'source_ended':
      return failure(STREAM_INFO.stoppedByPublisherStop);
    case 'source_failed':
      return failure(STREAM_INFO.failedByError);
    case 'too_slow':
      return failure(STREAM_INFO.failedByRtmpWriter);
    case 'no_video':
      return failure(STREAM_INFO.failedByRtpActivity);
  }
}
