import type { CancelTimer, Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Logger } from '../domain/logger.ts';
import { isTerminal, STREAM_INFO, type StreamInfo, type StreamStatus } from '../domain/stream-status.ts';
import type {
  PlayStreamRequest,
  PublishStreamRequest,
  StreamAddress,
  StreamEventRequest,
} from '../protocol/wcs/client-messages.ts';
import { codecName } from '../protocol/wcs/stream-object.ts';
import type { MuteEventType } from '../protocol/wcs/server-messages.ts';
import type { MediaEvent, MediaWorker, PublishAnswer } from '../webrtc/media-worker.ts';
import type { ClientSession } from './sessions.ts';
import { endOfMedia, endOfRefusedOffer, endOnRequest, failure, ordinaryEnd, type StreamEnd } from './stream-end.ts';
import type { StreamNames } from './stream-names.ts';
import {
  type LeasedRendition,
  type NegotiatedTracks,
  playerRecord,
  publisherRecord,
  statusObjectOf,
  type StreamRecord,
  type StreamView,
  viewOf,
} from './stream-record.ts';

/** Gives players a stream in another picture size. Sizes are in pixels, 0 = not known, or as published. */
export interface PlayerRenditions {
  /** `undefined` where what is published is what is asked for. */
  lease(source: StreamRecord, wish: { readonly width: number; readonly height: number }): LeasedRendition | undefined;
}

export interface StreamsOptions {
  readonly worker: MediaWorker;
  /** Absent: players get what is published, whatever size they ask for. */
  readonly renditions?: PlayerRenditions | undefined;
  readonly names: StreamNames;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the request to PUBLISHING or PLAYING; after it the stream is FAILED. */
  readonly startTimeoutMs?: number;
  readonly maxStreamsPerSession?: number;
  /** Seconds between two `inboundVideoRate` to a publisher and two `outboundVideoRate` to a player; 0 = none. */
  readonly inboundRateIntervalS: number;
  readonly outboundRateIntervalS: number;
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
 * Publishing and playing over a media worker. Every request ends in PUBLISHING or PLAYING, or in a terminal status, within
 * the start timeout; after a terminal status nothing more is said about a stream (reference/wcs-protocol.md §2.3).
 *
 * Its owner gives it every event of the worker (`onMediaEvent`) and tells it when a session is gone (`sessionGone`).
 */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<string, StreamRecord>();
  readonly #publishedListeners = new Set<(stream: PublishedStream) => void>();
  readonly #unpublishedListeners = new Set<(stream: UnpublishedStream) => void>();
  readonly #deadlines = new Map<StreamRecord, CancelTimer>();
  /** Ids that the worker still has, or may have. They stay taken after the stream's end, so that late events hit nobody else. */
  readonly #idsInWorker = new Set<string>();

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

  async publish(session: ClientSession, request: PublishStreamRequest): Promise<void> {
    const { worker, names } = this.#options;
    const stream = publisherRecord(session, request, this.#options.clock.nowMs());
    if (!this.#begin(stream)) return;
    if (!names.reserve(stream.name, stream.mediaSessionId))
      return this.#end(stream, failure(STREAM_INFO.streamNameInUse));
    if (!(await this.#isAllowed(stream, 'publishStream'))) return;
    const answer = await this.#askWorker(stream, () =>
      worker.publish({
        sessionId: stream.mediaSessionId,
        offerSdp: request.sdp,
        transport: request.transport,
        maxBitrateKbps: request.maxBitrate,
      }),
    );
    if (answer) this.#sendAnswer(stream, answer);
  }

  async play(session: ClientSession, request: PlayStreamRequest): Promise<void> {
    const { worker } = this.#options;
    const stream = playerRecord(session, request, this.#options.clock.nowMs());
    if (!this.#begin(stream)) return;
    if (!(await this.#isAllowed(stream, 'playStream'))) return;
    const source = this.#publisherNamed(request.name);
    if (!source) return this.#end(stream, failure(STREAM_INFO.streamNotFound));
    stream.source = source;
    source.players.add(stream);
    stream.rendition = this.#options.renditions?.lease(source, request);
    const streamId = stream.rendition?.streamId ?? source.mediaSessionId;
    const answer = await this.#askWorker(stream, () =>
      worker.play({
        sessionId: stream.mediaSessionId,
        streamId,
        offerSdp: request.sdp,
        transport: request.transport,
      }),
    );
    if (!answer) return;
    if (answer.audio) {
      const codec = codecName(answer.audio.codec);
      session.send({ name: 'notifyAudioCodec', mediaSessionId: stream.mediaSessionId, codec });
    }
    this.#sendAnswer(stream, answer);
  }

  /** `unPublishStream` and `stopStream`. Ignored for what is not a stream of this session and kind. */
  stop(session: ClientSession, mediaSessionId: string, published: boolean): void {
    const stream = this.#streams.get(mediaSessionId);
    if (stream?.session === session && stream.published === published) this.#end(stream, endOnRequest(published));
  }

  /** Whether a name can be played now. */
  async available(session: ClientSession, address: StreamAddress): Promise<void> {
    const id = address.mediaSessionId;
    const info = (await session.mayDo('availableStream', address))
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
      if (status === 'PENDING') counts.pending += 1;
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
    for (const stream of streams) this.#end(stream, ordinaryEnd(stream.published, STREAM_INFO.stoppedByRestTerminate));
  }

  /** The client's connection is gone: its names are free at once, because its page reconnects under the same name. */
  sessionGone(session: ClientSession): void {
    for (const stream of this.#streams.values()) {
      if (stream.session !== session) continue;
      this.#end(stream, ordinaryEnd(stream.published, STREAM_INFO.stoppedBySessionDisconnect));
    }
  }

  /** Takes every event of the media worker; those that are not about clients are left alone. */
  onMediaEvent(event: MediaEvent): void {
    switch (event.type) {
      case 'connected':
        return this.#withStream(event.sessionId, (stream) => this.#connected(stream));
      case 'ended':
        this.#idsInWorker.delete(event.sessionId);
        return this.#withStream(event.sessionId, (stream) =>
          this.#end(stream, endOfMedia(stream.published, event.reason)),
        );
      case 'videoFormat':
        return this.#resized(event.streamId, event.width, event.height);
      case 'rate':
        return this.#withStream(event.sessionId, (stream) => this.#sendRate(stream, event));
      case 'notEnoughBandwidth':
        return this.#withStream(event.sessionId, ({ session, mediaSessionId }) => {
          const payload = { info: `${event.bitrateBps}/${event.availableBps}` };
          session.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: 'notEnoughBandwidth', payload } });
        });
      case 'mediaStarted':
      case 'frame':
      case 'framesLost':
      case 'senderReport':
      case 'keyframeNeeded':
    }
  }

  #withStream(mediaSessionId: string, act: (stream: StreamRecord) => void): void {
    const stream = this.#streams.get(mediaSessionId);
    if (stream) act(stream);
  }

  /** Takes a new stream in and starts its deadline, or tells the client why not. */
  #begin(stream: StreamRecord): boolean {
    const { clock, startTimeoutMs = DEFAULT_START_TIMEOUT_MS } = this.#options;
    const refusal = this.#refusalOf(stream);
    if (refusal) {
      this.#reportEnd(stream, failure(refusal));
      return false;
    }
    this.#streams.set(stream.mediaSessionId, stream);
    const cancel = clock.after(startTimeoutMs, () => this.#end(stream, failure(STREAM_INFO.failedByIceTimeout)));
    this.#deadlines.set(stream, cancel);
    return true;
  }

  #refusalOf({ mediaSessionId, name, session }: StreamRecord): StreamInfo | undefined {
    if (mediaSessionId === '') return STREAM_INFO.mediaSessionIdNull;
    if (this.#streams.has(mediaSessionId) || this.#idsInWorker.has(mediaSessionId)) {
      return STREAM_INFO.mediaSessionIdInUse;
    }
    if (name === '') return STREAM_INFO.failedByError;
    const { maxStreamsPerSession = DEFAULT_MAX_STREAMS_PER_SESSION } = this.#options;
    let own = 0;
    for (const stream of this.#streams.values()) if (stream.session === session) own += 1;
    return own >= maxStreamsPerSession ? STREAM_INFO.failedByError : undefined;
  }

  async #isAllowed(stream: StreamRecord, operation: 'publishStream' | 'playStream'): Promise<boolean> {
    if (!(await stream.session.mayDo(operation, stream.request))) {
      this.#end(stream, failure(STREAM_INFO.restrictedAccess));
    }
    return !isTerminal(stream.status);
  }

  /** `undefined` when the worker refused (the client is told) or the stream has ended meanwhile (the worker is told). */
  async #askWorker(stream: StreamRecord, ask: () => Promise<PublishAnswer>): Promise<PublishAnswer | undefined> {
    const { worker, logger } = this.#options;
    const { mediaSessionId } = stream;
    this.#idsInWorker.add(mediaSessionId);
    try {
      const answer = await ask();
      if (!isTerminal(stream.status)) return answer;
      worker.close(mediaSessionId);
    } catch (error) {
      this.#idsInWorker.delete(mediaSessionId);
      const end = endOfRefusedOffer(error);
      logger.warn({ error, mediaSessionId, info: end.info }, 'the media worker refused an offer');
      this.#end(stream, end);
    }
    return undefined;
  }

  #sendAnswer(stream: StreamRecord, answer: PublishAnswer): void {
    const { session, mediaSessionId } = stream;
    stream.tracks = { video: answer.video, audio: answer.audio };
    session.send({ name: 'setRemoteSDP', mediaSessionId, sdp: answer.answerSdp });
  }

  #connected(stream: StreamRecord): void {
    if (stream.status !== 'PENDING') return;
    this.#cancelDeadline(stream);
    stream.status = stream.published ? 'PUBLISHING' : 'PLAYING';
    this.#logMove(stream, 'PENDING');
    this.#sendStatus(stream);
    if (stream.published) this.#announce(stream);
    else if (stream.source) this.#sendFormat(stream, stream.rendition?.size ?? stream.source);
  }

  #announce(stream: StreamRecord): void {
    const { name, mediaSessionId, record, rtmpUrl, session, tracks } = stream;
    const { sessionId, appKey } = session;
    const published = { name, mediaSessionId, sessionId, appKey, record, rtmpUrl, ...tracks };
    this.#tell(this.#publishedListeners, published);
  }

  /** A publisher's stream, or a rendition of one. */
  #resized(streamId: string, width: number, height: number): void {
    const publisher = this.#streams.get(streamId);
    if (publisher?.width === width && publisher.height === height) return;
    if (publisher) {
      publisher.width = width;
      publisher.height = height;
    }
    for (const player of publisher?.players ?? this.#streams.values()) {
      const playedId = player.rendition ? player.rendition.streamId : player.source?.mediaSessionId;
      if (playedId === streamId) this.#sendFormat(player, { width, height });
    }
  }

  #sendFormat(player: StreamRecord, { width, height }: { width: number; height: number }): void {
    if (player.status !== 'PLAYING' || !player.tracks?.video || width === 0 || height === 0) return;
    player.width = width;
    player.height = height;
    const { session, mediaSessionId } = player;
    session.send({ name: 'notifyVideoFormat', mediaSessionId, width, height });
  }

  /** Not before PUBLISHING or PLAYING: the SDK throws when a rate comes before its peer connection exists. */
  #sendRate(stream: StreamRecord, { direction, rate }: Extract<MediaEvent, { type: 'rate' }>): void {
    const { inboundRateIntervalS, outboundRateIntervalS } = this.#options;
    if (stream.status === 'PENDING' || stream.published !== (direction === 'inbound')) return;
    stream.rates += 1;
    const intervalS = stream.published ? inboundRateIntervalS : outboundRateIntervalS;
    if (intervalS === 0 || stream.rates % intervalS !== 0) return;
    const { videoRateBps: videoRate, ...counts } = rate;
    const { session, mediaSessionId } = stream;
    const name = stream.published ? 'inboundVideoRate' : 'outboundVideoRate';
    session.send({ name, mediaSessionId, videoRate, ...counts });
  }

  #sendDataToPlayers(publisher: StreamRecord, payload: unknown): void {
    for (const { session, mediaSessionId, status } of publisher.players) {
      if (status !== 'PLAYING') continue;
      session.send({ name: 'notifyStreamEvent', event: { mediaSessionId, type: 'data', payload } });
    }
  }

  /** The first end wins. The name is free before anybody is told. */
  #end(stream: StreamRecord, end: StreamEnd): void {
    if (isTerminal(stream.status)) return;
    const { worker, names } = this.#options;
    const { mediaSessionId, name } = stream;
    const wasPublishing = stream.status === 'PUBLISHING';
    this.#cancelDeadline(stream);
    this.#streams.delete(mediaSessionId);
    stream.source?.players.delete(stream);
    if (stream.published) names.release(name, mediaSessionId);
    this.#reportEnd(stream, end);
    if (this.#idsInWorker.has(mediaSessionId)) worker.close(mediaSessionId);
    stream.rendition?.release();
    for (const player of stream.players) this.#end(player, failure(STREAM_INFO.stoppedByPublisherStop));
    if (wasPublishing) this.#tell(this.#unpublishedListeners, { name, mediaSessionId, ...end });
  }

  #reportEnd(stream: StreamRecord, end: StreamEnd): void {
    const from = stream.status;
    stream.status = end.status;
    stream.info = end.info;
    this.#logMove(stream, from);
    this.#sendStatus(stream);
  }

  /** Not with the name: players ask for RTMP URLs by name. */
  #logMove({ mediaSessionId, session, published, status, info }: StreamRecord, from: StreamStatus): void {
    const { sessionId } = session;
    const kind = published ? 'publisher' : 'player';
    this.#options.logger.info({ mediaSessionId, sessionId, kind, from, to: status, reason: info }, 'a stream moved');
  }

  #sendStatus(stream: StreamRecord): void {
    stream.session.send({ name: 'notifyStreamStatusEvent', stream: statusObjectOf(stream) });
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
