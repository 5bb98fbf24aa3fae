import type { CancelTimer, Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import { isTerminal, STREAM_INFO, type StreamInfo, type StreamStatus } from '../domain/stream-status.ts';
import type { StreamAddress, StreamEventRequest } from '../protocol/wcs/client-messages.ts';
import type { MuteEventType } from '../protocol/wcs/server-messages.ts';
import type { BackendAnswer } from './backend.ts';
import type { ClientSession } from './sessions.ts';
import { endOnRequest, failure, ordinaryEnd, type StreamEnd } from './stream-end.ts';
import { hookBodyOf, requestHookBodyOf, statusHookBodyOf } from './stream-hook-body.ts';
import type { StreamNames } from './stream-names.ts';
import { overwriteStream } from './stream-overwrite.ts';
import { type NegotiatedTracks, statusObjectOf, type StreamRecord, type StreamView, viewOf } from './stream-record.ts';

export interface StreamsOptions {
  readonly names: StreamNames;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the backend's consent to PUBLISHING or PLAYING; after it the stream is FAILED. */
  readonly startTimeoutMs?: number;
  readonly maxStreamsPerSession?: number;
}

/** A publisher has reached PUBLISHING. `rtmpUrl` may carry secrets. */
export interface PublishedStream extends NegotiatedTracks {
  readonly name: string;
  readonly mediaSessionId: string;
  readonly sessionId: string;
  readonly appKey: string;
  readonly record: boolean;
  readonly rtmpUrl?: string | undefined;
}

export interface UnpublishedStream {
  readonly name: string;
  readonly mediaSessionId: string;
  readonly status: StreamStatus;
  readonly info: StreamInfo;
}

export interface StreamFilter {
  readonly mediaSessionId?: string | undefined;
  readonly mediaSessionIds?: readonly string[] | undefined;
  readonly name?: string | undefined;
  readonly published?: boolean | undefined;
  readonly status?: string | undefined;
}

const DEFAULT_START_TIMEOUT_MS = 15_000;
const DEFAULT_MAX_STREAMS_PER_SESSION = 100;

const MUTES: ReadonlyMap<string, { track: 'audioState' | 'videoState'; muted: boolean; type: MuteEventType }> = new Map(
  [
    ['audioMuted', { track: 'audioState', muted: true, type: 'audioMuted' }],
    ['audioUnmuted', { track: 'audioState', muted: false, type: 'audioUnmuted' }],
    ['videoMuted', { track: 'videoState', muted: true, type: 'videoMuted' }],
    ['videoUnmuted', { track: 'videoState', muted: false, type: 'videoUnmuted' }],
  ],
);

/**
 * The streams of all clients, whatever protocol brings or takes their media: who has which name, what state each is in, what
 * clients and backend are told. Every request that the backend has allowed ends in PUBLISHING or PLAYING, or in a
 * terminal status, within the start timeout; after a terminal status nothing more is said about a stream
 * (reference/wcs-protocol.md §2.3).
 *
 * `WebrtcStreams` and `RtmpStreams` bring streams here: `admit`, for a player `attach`, `started`, and `end` when the media
 * ends. Its owner tells it when a session is gone (`sessionGone`).
 */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<string, StreamRecord>();
  readonly #publishedListeners = new Set<(stream: PublishedStream) => void>();
  readonly #unpublishedListeners = new Set<(stream: UnpublishedStream) => void>();
  readonly #deadlines = new Map<StreamRecord, CancelTimer>();
  /** Those whose stop the backend is asked about. */
  readonly #stopping = new Set<StreamRecord>();

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Called for every publisher that reaches PUBLISHING. The returned function ends the subscription. */
  onPublished(listener: (stream: PublishedStream) => void): () => void {
    this.#publishedListeners.add(listener);
    return () => void this.#publishedListeners.delete(listener);
  }

  /** Called once for every publisher that had been announced by `onPublished`, when its name is free again. */
  onUnpublished(listener: (stream: UnpublishedStream) => void): () => void {
    this.#unpublishedListeners.add(listener);
    return () => void this.#unpublishedListeners.delete(listener);
  }

  /**
   * Takes a new stream in, asks the backend about it, and claims a publisher's name. False: it has ended, and its client knows.
   * `lateInfo` is said when it does not start in time.
   */
  async admit(stream: StreamRecord, lateInfo: StreamInfo): Promise<boolean> {
    const refusal = this.#refusalOf(stream);
    if (refusal) {
      this.refuse(stream, refusal);
      return false;
    }
    const { session, mediaSessionId, published } = stream;
    this.#streams.set(mediaSessionId, stream);
    const answer = await session.ask(published ? 'publishStream' : 'playStream', requestHookBodyOf(stream));
    if (isTerminal(stream.status)) return false;
    const end = this.#endOfAnswer(stream, answer);
    if (end) {
      this.end(stream, end);
      return false;
    }
    const { clock, startTimeoutMs = DEFAULT_START_TIMEOUT_MS } = this.#options;
    const cancel = clock.after(startTimeoutMs, () => this.end(stream, failure(lateInfo)));
    this.#deadlines.set(stream, cancel);
    this.#move(stream, 'PENDING');
    this.#tellBackend(stream);
    return true;
  }

  /** Tells a client why its stream is not taken in. */
  refuse(stream: StreamRecord, info: StreamInfo): void {
    this.#reportEnd(stream, failure(info));
  }

  /** Makes a player end with the publisher that it plays. `undefined`: nobody publishes that name; the player has ended. */
  attach(player: StreamRecord): StreamRecord | undefined {
    const source = this.#publisherNamed(player.name);
    if (!source) {
      this.end(player, failure(STREAM_INFO.streamNotFound));
      return undefined;
    }
    player.source = source;
    source.players.add(player);
    return source;
  }

  /** Media has begun: PENDING becomes PUBLISHING or PLAYING. */
  started(stream: StreamRecord): void {
    if (stream.status !== 'PENDING') return;
    this.#cancelDeadline(stream);
    this.#move(stream, stream.published ? 'PUBLISHING' : 'PLAYING');
    this.#report(stream);
    if (stream.published) this.#announce(stream);
  }

  /** Tells a player that has begun the size of its picture, in pixels; 0 is not known yet. */
  tellFormat(player: StreamRecord, { width, height }: { readonly width: number; readonly height: number }): void {
    if (player.status !== 'PLAYING' || !player.tracks?.video || width === 0 || height === 0) return;
    player.width = width;
    player.height = height;
    const { session, mediaSessionId } = player;
    session.send({ name: 'notifyVideoFormat', mediaSessionId, width, height });
  }

  /** The first end wins. The name is free before anybody is told. */
  end(stream: StreamRecord, end: StreamEnd): void {
    if (isTerminal(stream.status)) return;
    const { mediaSessionId, name } = stream;
    const wasPublishing = stream.status === 'PUBLISHING';
    this.#cancelDeadline(stream);
    this.#streams.delete(mediaSessionId);
    stream.source?.players.delete(stream);
    if (stream.published) this.#options.names.release(name, mediaSessionId);
    this.#reportEnd(stream, end);
    stream.closeMedia(end.info);
    for (const player of stream.players) this.end(player, failure(STREAM_INFO.stoppedByPublisherStop));
    if (wasPublishing) this.#tell(this.#unpublishedListeners, { name, mediaSessionId, ...end });
  }

  /** Every stream of a client that has not ended. */
  get all(): Iterable<StreamRecord> {
    return this.#streams.values();
  }

  get(mediaSessionId: string): StreamRecord | undefined {
    return this.#streams.get(mediaSessionId);
  }

  /**
   * `unPublishStream` and `stopStream`, unless the backend forbids it. Ignored for what is not a stream of this session and
   * kind, and while the backend is asked.
   */
  async stop(session: ClientSession, mediaSessionId: string, published: boolean): Promise<void> {
    const stream = this.#streams.get(mediaSessionId);
    if (stream?.session !== session || stream.published !== published || this.#stopping.has(stream)) return;
    this.#stopping.add(stream);
    const apiMethod = published ? 'unPublishStream' : 'stopStream';
    const { allowed } = await session.ask(apiMethod, hookBodyOf(stream));
    this.#stopping.delete(stream);
    if (allowed) return this.end(stream, endOnRequest(published));
    if (isTerminal(stream.status)) return;
    session.send({ name: 'fail', apiMethod, mediaSessionId, info: STREAM_INFO.restrictedAccess });
  }

  /** Whether the backend lets a player pause. False for what is not a player of this session. */
  async mayPause(session: ClientSession, mediaSessionId: string): Promise<boolean> {
    const stream = this.#streams.get(mediaSessionId);
    if (stream?.session !== session || stream.published) return false;
    return (await session.ask('pauseStream', hookBodyOf(stream))).allowed;
  }

  /** Whether a name can be played now. */
  async available(session: ClientSession, address: StreamAddress): Promise<void> {
    const id = address.mediaSessionId;
    const info = (await session.ask('availableStream', address)).allowed
      ? this.#publisherNamed(address.name)
        ? undefined
        : STREAM_INFO.streamNotFound
      : STREAM_INFO.restrictedAccess;
    session.send({ name: 'availableStream', id, available: info === undefined, ...(info && { info }) });
  }

  /** A publisher's mute, unmute or data for all its players. Unknown types are ignored. */
  sendEvent(session: ClientSession, event: StreamEventRequest): void {
    const stream = this.#streams.get(event.mediaSessionId);
    if (stream?.session !== session || stream.status !== 'PUBLISHING') return;
    if (event.type === 'data') return this.#sendDataToPlayers(stream, event.payload);
    const mute = MUTES.get(event.type);
    if (!mute) return;
    stream[mute.track] = { muted: mute.muted };
    for (const { session: player, mediaSessionId, status } of stream.players) {
      if (status === 'PLAYING') player.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: mute.type } });
    }
  }

  /** Data from outside for all players of a name. Throws AppError STREAM_NOT_FOUND. */
  sendData(name: string, payload: unknown): void {
    const stream = this.#publisherNamed(name);
    if (!stream) throw new AppError('STREAM_NOT_FOUND', 'no such stream');
    this.#sendDataToPlayers(stream, payload);
  }

  /** Whether this very publisher has that name. */
  isPublished(name: string, mediaSessionId: string): boolean {
    return this.#publisherNamed(name)?.mediaSessionId === mediaSessionId;
  }

  /**
   * The push that a publisher's `rtmpUrl` asked for has failed (reference/wcs-protocol.md §3.1). Its page is warned and the
   * stream goes on: a FAILED would end it, and a second PUBLISHING would make pages do twice what they do on the first.
   * Ignored when nobody publishes that name any more.
   */
  rtmpWriterFailed(name: string): void {
    const stream = this.#publisherNamed(name);
    if (!stream) return;
    const { session, mediaSessionId } = stream;
    session.send({ name: 'fail', apiMethod: 'publishStream', mediaSessionId, info: STREAM_INFO.failedByRtmpWriter });
  }

  /** Streams of clients: publishers and players, and how many of them have begun. */
  get counts(): { readonly publishers: number; readonly players: number; readonly pending: number } {
    const counts = { publishers: 0, players: 0, pending: 0 };
    for (const { status, published } of this.#streams.values()) {
      if (status === 'NEW' || status === 'PENDING') counts.pending += 1;
      else if (published) counts.publishers += 1;
      else counts.players += 1;
    }
    return counts;
  }

  /** All live publishers and players that match every given field. */
  find(filter: StreamFilter = {}): StreamView[] {
    return this.#matching(filter).map(viewOf);
  }

  /** Ends what matches. Throws AppError STREAM_NOT_FOUND when nothing does. */
  terminate(filter: StreamFilter): void {
    const streams = this.#matching(filter);
    if (streams.length === 0) throw new AppError('STREAM_NOT_FOUND', 'no such stream');
    for (const stream of streams) this.end(stream, ordinaryEnd(stream.published, STREAM_INFO.stoppedByRestTerminate));
  }

  /** The client's connection is gone: its names are free at once, because its page reconnects under the same name. */
  sessionGone(session: ClientSession): void {
    for (const stream of this.#streams.values()) {
      if (stream.session !== session) continue;
      this.end(stream, ordinaryEnd(stream.published, STREAM_INFO.stoppedBySessionDisconnect));
    }
  }

  #refusalOf({ mediaSessionId, name, session }: StreamRecord): StreamInfo | undefined {
    if (mediaSessionId === '') return STREAM_INFO.mediaSessionIdNull;
    if (this.#streams.has(mediaSessionId)) return STREAM_INFO.mediaSessionIdInUse;
    if (name === '') return STREAM_INFO.failedByError;
    const { maxStreamsPerSession = DEFAULT_MAX_STREAMS_PER_SESSION } = this.#options;
    let own = 0;
    for (const stream of this.#streams.values()) if (stream.session === session) own += 1;
    return own >= maxStreamsPerSession ? STREAM_INFO.failedByError : undefined;
  }

  #endOfAnswer(stream: StreamRecord, { allowed, overwrite }: BackendAnswer): StreamEnd | undefined {
    if (!allowed) return failure(STREAM_INFO.restrictedAccess);
    if (overwrite) overwriteStream(stream, overwrite);
    if (!stream.published || this.#options.names.reserve(stream.name, stream.mediaSessionId)) return undefined;
    return failure(STREAM_INFO.streamNameInUse);
  }

  #announce(stream: StreamRecord): void {
    const { name, mediaSessionId, record, rtmpUrl, session, tracks } = stream;
    const { sessionId, appKey } = session;
    const published = { name, mediaSessionId, sessionId, appKey, record, rtmpUrl, ...tracks };
    this.#tell(this.#publishedListeners, published);
  }

  #sendDataToPlayers(publisher: StreamRecord, payload: unknown): void {
    for (const { session, mediaSessionId, status } of publisher.players) {
      if (status !== 'PLAYING') continue;
      session.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: 'data', payload } });
    }
  }

  #reportEnd(stream: StreamRecord, end: StreamEnd): void {
    stream.info = end.info;
    this.#move(stream, end.status);
    this.#report(stream);
  }

  /** The log does not get the name: players ask for RTMP URLs by name. */
  #move(stream: StreamRecord, to: StreamStatus): void {
    const { session, published, status: from, info } = stream;
    const mediaSessionId = idForLog(stream);
    stream.status = to;
    const { sessionId } = session;
    const kind = published ? 'publisher' : 'player';
    this.#options.logger.info({ mediaSessionId, sessionId, kind, from, to, reason: info }, 'a stream moved');
  }

  #report(stream: StreamRecord): void {
    const { session } = stream;
    const shown = session.forClient('StreamStatusEvent', statusObjectOf(stream));
    session.send({ name: 'notifyStreamStatusEvent', stream: shown });
    this.#tellBackend(stream);
  }

  /** Nobody waits for the backend: what it does not want ends when it says so. */
  #tellBackend(stream: StreamRecord): void {
    void stream.session.tell('StreamStatusEvent', statusHookBodyOf(stream)).then((verdict) => {
      if (verdict === 'denied') this.end(stream, failure(STREAM_INFO.restrictedAccess));
    });
  }

  #cancelDeadline(stream: StreamRecord): void {
    this.#deadlines.get(stream)?.();
    this.#deadlines.delete(stream);
  }

  #publisherNamed(name: string): StreamRecord | undefined {
    const holder = this.#options.names.holderOf(name);
    const stream = holder === undefined ? undefined : this.#streams.get(holder);
    return stream?.status === 'PUBLISHING' ? stream : undefined;
  }

  #matching(filter: StreamFilter): StreamRecord[] {
    return [...this.#streams.values()].filter(
      (stream) =>
        (filter.mediaSessionId === undefined || stream.mediaSessionId === filter.mediaSessionId) &&
        (filter.mediaSessionIds === undefined || filter.mediaSessionIds.includes(stream.mediaSessionId)) &&
        (filter.name === undefined || stream.name === filter.name) &&
        (filter.published === undefined || stream.published === filter.published) &&
        (filter.status === undefined || stream.status === filter.status),
    );
  }

  /** A listener that throws disturbs neither the stream nor the other listeners. */
  #tell<Event>(listeners: ReadonlySet<(event: Event) => void>, event: Event): void {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#options.logger.error({ error }, 'a listener of stream events failed');
      }
    }
  }
}

/** The id of an RTMP player begins with the name that it asked for. */
function idForLog({ mediaSessionId, request: { name } }: StreamRecord): string {
  return mediaSessionId.startsWith(`${name}/`) ? `***${mediaSessionId.slice(name.length)}` : mediaSessionId;
}
