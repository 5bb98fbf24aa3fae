import type { AudioCodec, VideoCodec } from '../domain/media.ts';
import type { StreamInfo, StreamStatus } from '../domain/stream-status.ts';
import type { PlayStreamRequest, PublishStreamRequest } from '../protocol/wcs/client-messages.ts';
import { codecName, type MuteState, type StreamStatusObject } from '../protocol/wcs/stream-object.ts';
import type { ClientSession } from './sessions.ts';

/** One publisher or player of a client: what it asked for and what has become of it. Owned and changed by `Streams` only. */
export interface StreamRecord {
  readonly session: ClientSession;
  readonly mediaSessionId: string;
  readonly name: string;
  readonly published: boolean;
  readonly request: PublishStreamRequest | PlayStreamRequest;
  readonly record: boolean;
  readonly rtmpUrl: string | undefined;
  readonly createdMs: number;
  status: StreamStatus;
  info: StreamInfo | undefined;
  /** Known from the answer on. */
  tracks: NegotiatedTracks | undefined;
  /** Pixels; 0 until a keyframe has told. A player's are those it was told. */
  width: number;
  height: number;
  audioState: MuteState | undefined;
  videoState: MuteState | undefined;
  /** Rates that the worker has given, one a second. */
  rates: number;
  /** Only of a player: the stream it plays. */
  source: StreamRecord | undefined;
  /** Only of a player that gets the source in another picture size; released with its end. */
  rendition: LeasedRendition | undefined;
  /** Only of a publisher. */
  readonly players: Set<StreamRecord>;
}

export interface LeasedRendition {
  /** The media worker's stream. */
  readonly streamId: string;
  /** In pixels; 0 until known. */
  readonly size: { readonly width: number; readonly height: number };
  release(): void;
}

export interface NegotiatedTracks {
  readonly video?: { readonly codec: VideoCodec } | undefined;
  readonly audio?: { readonly codec: Exclude<AudioCodec, 'aac'> } | undefined;
}

/** A stream as REST shows it (reference/wcs-protocol.md §3.4). */
export interface StreamView extends Omit<StreamStatusObject, 'info' | 'recordName' | 'audioState' | 'videoState'> {
  readonly appKey: string;
  readonly sessionId: string;
  readonly sdp: string;
  readonly transport: 'UDP' | 'TCP';
  readonly cvoExtension: false;
  readonly mediaType: 'publish' | 'play';
  readonly origin?: string | undefined;
  readonly parentMediaSessionId?: string | undefined;
}

export function publisherRecord(
  session: ClientSession,
  request: PublishStreamRequest,
  createdMs: number,
): StreamRecord {
  return {
    ...blankRecord(session, request, createdMs),
    published: true,
    record: request.record,
    rtmpUrl: request.rtmpUrl,
  };
}

/** `record` of a player is a constant of the SDK and ignored. */
export function playerRecord(session: ClientSession, request: PlayStreamRequest, createdMs: number): StreamRecord {
  return { ...blankRecord(session, request, createdMs), published: false, record: false, rtmpUrl: undefined };
}

function blankRecord(session: ClientSession, request: PublishStreamRequest | PlayStreamRequest, createdMs: number) {
  return {
    session,
    mediaSessionId: request.mediaSessionId,
    name: request.name,
    request,
    createdMs,
    status: 'PENDING' as StreamStatus,
    info: undefined,
    tracks: undefined,
    width: 0,
    height: 0,
    audioState: undefined,
    videoState: undefined,
    rates: 0,
    source: undefined,
    rendition: undefined,
    players: new Set<StreamRecord>(),
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
    sdp: stream.request.sdp.replace(/^(a=ice-pwd:)[^\r\n]*/gm, '$1***'),
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
    quality: 'quality' in request ? request.quality : 0,
    createDate: stream.createdMs,
    mediaProvider: request.mediaProvider,
  };
}

/** A player reports what its publisher has muted. */
function mutesOf(stream: StreamRecord): Pick<StreamStatusObject, 'audioState' | 'videoState'> {
  const { audioState, videoState } = stream.source ?? stream;
  return { audioState, videoState };
}
