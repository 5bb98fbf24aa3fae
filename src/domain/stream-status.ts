/** Stream statuses a WCS client knows (reference/wcs-protocol.md §2.3). UNPUBLISHED, STOPPED and FAILED are terminal. */
export type StreamStatus = 'NEW' | 'PENDING' | 'PUBLISHING' | 'PLAYING' | 'UNPUBLISHED' | 'STOPPED' | 'FAILED';

export function isTerminal(status: StreamStatus): boolean {
  return status === 'UNPUBLISHED' || status === 'STOPPED' || status === 'FAILED';
}

/** The `info` vocabulary of WCS clients, word for word (reference/wcs-protocol.md §2.6). */
export const STREAM_INFO = {
  failedByIceError: 'Failed by ICE error',
  failedByIceTimeout: 'Failed by ICE timeout',
  failedByKeepAlive: 'Failed by ICE keep alive',
  failedByDtlsFingerprint: 'Failed by DTLS fingerprint error',
  failedByDtls: 'Failed by DTLS error',
  failedByRtmpWriter: 'Failed by RTMP writer error',
  failedByRtpActivity: 'Failed by RTP activity',
  stoppedBySessionDisconnect: 'Stopped by session disconnect',
  stoppedByRestTerminate: 'Stopped by rest /terminate',
  stoppedByPublisherStop: 'Stopped by publisher stop',
  stoppedByUser: 'Stopped by user',
  failedByError: 'Failed by error',
  failedToAddStreamToProxy: 'Failed to add stream to proxy',
  streamNotFound: 'Stream not found',
  streamNameInUse: 'Stream name is already in use',
  mediaSessionIdNull: 'MediaSessionId is null',
  mediaSessionIdInUse: 'MediaSessionId is already in use',
  noCommonCodecs: 'No common codecs',
  terminatedByKeepAlive: 'Terminated by keep-alive',
  restrictedAccess: 'Restricted access',
} as const;

export type StreamInfo = (typeof STREAM_INFO)[keyof typeof STREAM_INFO];
