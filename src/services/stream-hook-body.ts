import { statusObjectOf, type StreamRecord } from './stream-record.ts';

/**
 * A stream for the hooks that are about a stream as a whole (`publishStream`, `stopStream`, `StreamKeepAliveEvent`, …): fields
 * and order of the seed "In a player via RTMP" and reference/wcs-protocol.md §4, what WebRTC adds at the end.
 */
export function hookBodyOf(stream: StreamRecord): object {
  const { mediaSessionId, name, published, status, record, custom, request, tracks } = stream;
  return {
    mediaSessionId,
    name,
    published,
    hasVideo: tracks ? tracks.video !== undefined : request.hasVideo,
    hasAudio: tracks ? tracks.audio !== undefined : request.hasAudio,
    status,
    record,
    width: stream.width || (request.width ?? 0),
    height: stream.height || (request.height ?? 0),
    bitrate: request.bitrate,
    minBitrate: request.minBitrate,
    maxBitrate: request.maxBitrate,
    quality: request.quality ?? 0,
    mediaProvider: request.mediaProvider,
    custom,
    sdp: request.sdp,
    transport: request.transport,
    rtmpUrl: stream.rtmpUrl,
    constraints: request.constraints,
    cvoExtension: request.cvoExtension,
    localMediaInfo: request.localMediaInfo,
  };
}

/**
 * The same for `publishStream` and `playStream`, where it is asked about. What an RTMP client would record is always asked about as if it
 * would (seed "In a player via RTMP"): backends compare with that, and nothing else says so.
 */
export function requestHookBodyOf(stream: StreamRecord): object {
  const body = hookBodyOf(stream);
  return stream.published && stream.session.kind === 'rtmp' ? { ...body, record: true } : body;
}

/** A stream for `StreamStatusEvent`: what its client is told of it, with what the client sent (reference/wcs-protocol.md §4). */
export function statusHookBodyOf(stream: StreamRecord): object {
  return { ...statusObjectOf(stream), custom: stream.custom, sdp: stream.request.sdp };
}
