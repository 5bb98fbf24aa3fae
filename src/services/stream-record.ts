import type { AudioCodec, VideoCodec } from '../domain/media.ts';
import type { StreamInfo, StreamStatus } from '../domain/stream-status.ts';
import { codecName, type MuteState, type StreamStatusObject } from '../protocol/wcs/stream-object.ts';
import type { ClientSession } from './sessions.ts';

/** What a client asks for when it publishes or plays. Absent is what its protocol has no word for. */
export interface StreamRequest {
  readonly mediaSessionId: string;
  readonly name: string;
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
  /** `WebRTC`, or `Flash` for RTMP. */
  readonly mediaProvider: string;
  /** kbit/s; 0 = none. */
  readonly bitrate: number;
  readonly minBitrate: number;
  readonly maxBitrate: number;
  /** Only of a player; pixels, and at most 100; 0 = as published. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly quality?: number | undefined;
  /** Only of a publisher. */
  readonly record?: boolean | undefined;
  readonly rtmpUrl?: string | undefined;
  readonly custom?: unknown;
  /** Only of WebRTC. */
  readonly sdp?: string | undefined;
  readonly transport?: 'UDP' | 'TCP' | undefined;
  /** Only of pages; any JSON. */
  readonly constraints?: unknown;
  readonly cvoExtension?: unknown;
  readonly localMediaInfo?: unknown;
}

/** One publisher or player of a client: what it asked for and what has become of it. Changed by `Streams` and its owner only. */
export interface StreamRecord {
  readonly session: ClientSession;
  readonly mediaSessionId: string;
  readonly published: boolean;
  readonly request: StreamRequest;
  readonly createdMs: number;
  /** As the client asked, unless the backend has answered otherwise; these four are final once the stream is PENDING. */
  name: string;
  record: boolean;
  /** May carry secrets. */
  rtmpUrl: string | undefined;
  custom: unknown;
  /** NEW while the backend thinks, PENDING until there is media. */
  status: StreamStatus;
  info: StreamInfo | undefined;
  /** Known once client and server have agreed. */
  tracks: NegotiatedTracks | undefined;
  /** Pixels; 0 until a keyframe has told. A player's are those it was told. */
  width: number;
  height: number;
  audioState: MuteState | undefined;
  videoState: MuteState | undefined;
  /** Only of a player: the stream it plays. */
  source: StreamRecord | undefined;
  /** Only of a publisher. */
  readonly players: Set<StreamRecord>;
  /** Lets go of everything that brings or takes the media. Set by who opened that; called once, at the end of the stream. */
  closeMedia: (info: StreamInfo) => void;
}

export interface NegotiatedTracks {
  readonly video?: { readonly codec: VideoCodec } | undefined;
  readonly audio?: { readonly codec: AudioCodec } | undefined;
}

/** A stream as REST shows it (reference/wcs-protocol.md §3.4). */
export interface StreamView extends Omit<StreamStatusObject, 'info' | 'recordName' | 'audioState' | 'videoState'> {
  readonly appKey: string;
  readonly sessionId: string;
  /** Only of WebRTC, as `transport`. */
  readonly sdp?: string | undefined;
  readonly transport?: 'UDP' | 'TCP' | undefined;
  readonly cvoExtension: false;
  readonly mediaType: 'publish' | 'play';
  readonly origin?: string | undefined;
  readonly parentMediaSessionId?: string | undefined;
}

export function streamRecord(
  session: ClientSession,
  request: StreamRequest,
  published: boolean,
  createdMs: number,
): StreamRecord {
  return {
    session,
    mediaSessionId: request.mediaSessionId,
    published,
    request,
    createdMs,
    name: request.name,
    record: request.record ?? false,
    rtmpUrl: request.rtmpUrl,
    custom: request.custom,
    status: 'NEW',
    info: undefined,
    tracks: undefined,
    width: 0,
    height: 0,
    audioState: undefined,
    videoState: undefined,
    source: undefined,
    players: new Set(),
    closeMedia: () => {},
  };
}

export function statusObjectOf(stream: StreamRecord): StreamStatusObject {
  return { ...commonFields(stream), info: stream.info, ...mutesOf(stream) };
}

export function viewOf(stream: StreamRecord): StreamView {
  return {
    appKey: stream.session.appKey,
    sessionId: stream.session.sessionId,
    ...commonFields(stream),
    // Who has the ICE password may speak for the client.
    sdp: stream.request.sdp?.replace(/^(a=ice-pwd:)[^\r\n]*/gm, '$1***'),
    transport: stream.request.transport,
    cvoExtension: false,
    mediaType: stream.published ? 'publish' : 'play',
    origin: stream.session.origin,
    parentMediaSessionId: stream.source?.mediaSessionId,
  };
}

function commonFields(stream: StreamRecord) {
  const { request, tracks } = stream;
  return {
    mediaSessionId: stream.mediaSessionId,
    name: stream.name,
    published: stream.published,
    hasVideo: tracks ? tracks.video !== undefined : request.hasVideo,
    hasAudio: tracks ? tracks.audio !== undefined : request.hasAudio,
    status: stream.status,
    audioCodec: tracks?.audio && codecName(tracks.audio.codec),
    videoCodec: tracks?.video && codecName(tracks.video.codec),
    record: stream.record,
    width: stream.width,
    height: stream.height,
    bitrate: request.bitrate,
    minBitrate: request.minBitrate,
    maxBitrate: request.maxBitrate,
    quality: request.quality ?? 0,
    createDate: stream.createdMs,
    mediaProvider: request.mediaProvider,
  };
}

/** A player reports what its publisher has muted. */
function mutesOf(stream: StreamRecord): Pick<StreamStatusObject, 'audioState' | 'videoState'> {
  const { audioState, videoState } = stream.source ?? stream;
  return { audioState, videoState };
}
