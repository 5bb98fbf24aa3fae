import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import { isTerminal, STREAM_INFO } from '../domain/stream-status.ts';
import type { PlayStreamRequest, PublishStreamRequest } from '../protocol/wcs/client-messages.ts';
import { codecName } from '../protocol/wcs/stream-object.ts';
import type { MediaEvent, MediaWorker, PublishAnswer } from '../webrtc/media-worker.ts';
import type { ClientSession } from './sessions.ts';
import { endOfMedia, endOfRefusedOffer } from './stream-end.ts';
import { type StreamRecord, streamRecord } from './stream-record.ts';
import type { Streams } from './streams.ts';

/** Brings what the media worker receives to everybody else. */
export interface WebrtcPublisherHub {
  /** Throws AppError `STREAM_NAME_IN_USE`. */
  published(stream: Pick<StreamRecord, 'name' | 'mediaSessionId'> & Pick<PublishAnswer, 'video' | 'audio'>): void;
  /** Ignored for what was never published. */
  unpublished(mediaSessionId: string, reason: string): void;
}

/** Gives players a stream in another form than it was published in. Sizes are in pixels, 0 = not known, or as published. */
export interface PlayerRenditions {
  /**
   * `undefined` where the player takes what is published, straight from the media worker; a worker that has no such stream
   * then refuses the player. Throws AppError, as the worker rejects, where the stream cannot be played.
   */
  lease(source: StreamRecord, wish: { readonly width: number; readonly height: number }): LeasedRendition | undefined;
}

/** Released with the end of its player. */
export interface LeasedRendition {
  /** The media worker's stream. */
  readonly streamId: string;
  /** In pixels; 0 until known. */
  readonly size: { readonly width: number; readonly height: number };
  release(): void;
}

export interface WebrtcStreamsOptions {
  readonly streams: Streams;
  readonly worker: MediaWorker;
  readonly publishers: WebrtcPublisherHub;
  /** Absent: players get what is published, whatever size they ask for. */
  readonly renditions?: PlayerRenditions | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Seconds between two `inboundVideoRate` to a publisher and two `outboundVideoRate` to a player; 0 = none. */
  readonly inboundRateIntervalS: number;
  readonly outboundRateIntervalS: number;
}

/** A stream that the worker has been asked for. */
interface WorkerMedia {
  readonly stream: StreamRecord;
  /** Undefined until the worker has answered. */
  answer: PublishAnswer | undefined;
  /** Only of a player that gets something else than what is published. */
  lease: LeasedRendition | undefined;
  /** Rates that the worker has given, one a second. */
  rates: number;
}

/** Publishing and playing over a media worker, whose every event its owner hands over (`onMediaEvent`). */
export class WebrtcStreams {
  readonly #options: WebrtcStreamsOptions;
  /** By mediaSessionId, until the end of the stream. */
  readonly #media = new Map<string, WorkerMedia>();
  /** Ids that the worker still has, or may have. They stay taken after the stream's end, so that late events hit nobody else. */
  readonly #idsInWorker = new Set<string>();

  constructor(options: WebrtcStreamsOptions) {
    this.#options = options;
  }

  async publish(session: ClientSession, request: PublishStreamRequest): Promise<void> {
    const { worker, clock } = this.#options;
    const stream = streamRecord(session, request, true, clock.nowMs());
    if (!(await this.#admit(stream))) return;
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
    const { streams, worker, renditions, clock } = this.#options;
    const stream = streamRecord(session, request, false, clock.nowMs());
    if (!(await this.#admit(stream))) return;
    const source = streams.attach(stream);
    if (!source) return;
    const answer = await this.#askWorker(stream, (media) => {
      media.lease = renditions?.lease(source, request);
      return worker.play({
        sessionId: stream.mediaSessionId,
        streamId: media.lease?.streamId ?? source.mediaSessionId,
        offerSdp: request.sdp,
        transport: request.transport,
      });
    });
    if (!answer) return;
    if (answer.audio) {
      const codec = codecName(answer.audio.codec);
      session.send({ name: 'notifyAudioCodec', mediaSessionId: stream.mediaSessionId, codec });
    }
    this.#sendAnswer(stream, answer);
  }

  /** Takes every event of the media worker; those that are not about clients are left alone. */
  onMediaEvent(event: MediaEvent): void {
    switch (event.type) {
      case 'connected':
        return this.#withMedia(event.sessionId, (media) => this.#connected(media));
      case 'ended':
        this.#idsInWorker.delete(event.sessionId);
        return this.#withMedia(event.sessionId, ({ stream }) =>
          this.#options.streams.end(stream, endOfMedia(stream.published, event.reason)),
        );
      case 'videoFormat':
        return this.#resized(event.streamId, event);
      case 'rate':
        return this.#withMedia(event.sessionId, (media) => this.#sendRate(media, event));
      case 'notEnoughBandwidth':
        return this.#withMedia(event.sessionId, ({ stream: { session, mediaSessionId } }) => {
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

  #withMedia(mediaSessionId: string, act: (media: WorkerMedia) => void): void {
    const media = this.#media.get(mediaSessionId);
    if (media) act(media);
  }

  async #admit(stream: StreamRecord): Promise<boolean> {
    const { streams } = this.#options;
    if (!this.#idsInWorker.has(stream.mediaSessionId)) return streams.admit(stream, STREAM_INFO.failedByIceTimeout);
    streams.refuse(stream, STREAM_INFO.mediaSessionIdInUse);
    return false;
  }

  /** `undefined` when the worker refused (the client is told) or the stream has ended meanwhile (the worker is told). */
  async #askWorker(
    stream: StreamRecord,
    ask: (media: WorkerMedia) => Promise<PublishAnswer>,
  ): Promise<PublishAnswer | undefined> {
    const { worker, streams, logger } = this.#options;
    const { mediaSessionId } = stream;
    const media: WorkerMedia = { stream, answer: undefined, lease: undefined, rates: 0 };
    this.#idsInWorker.add(mediaSessionId);
    this.#media.set(mediaSessionId, media);
    stream.closeMedia = (info) => this.#closeMedia(media, info);
    try {
      const answer = await ask(media);
      if (!isTerminal(stream.status)) return answer;
      worker.close(mediaSessionId);
    } catch (error) {
      this.#idsInWorker.delete(mediaSessionId);
      const end = endOfRefusedOffer(error);
      logger.warn({ error, mediaSessionId, info: end.info }, 'the media worker refused an offer');
      streams.end(stream, end);
    }
    return undefined;
  }

  #closeMedia({ stream, lease }: WorkerMedia, info: string): void {
    const { worker, publishers } = this.#options;
    const { mediaSessionId, published } = stream;
    this.#media.delete(mediaSessionId);
    if (this.#idsInWorker.has(mediaSessionId)) worker.close(mediaSessionId);
    lease?.release();
    if (published) publishers.unpublished(mediaSessionId, info);
  }

  #sendAnswer(stream: StreamRecord, answer: PublishAnswer): void {
    const { session, mediaSessionId } = stream;
    stream.tracks = { video: answer.video, audio: answer.audio };
    this.#withMedia(mediaSessionId, (media) => (media.answer = answer));
    session.send({ name: 'setRemoteSDP', mediaSessionId, sdp: answer.answerSdp });
  }

  #connected({ stream, answer, lease }: WorkerMedia): void {
    const { streams, publishers, logger } = this.#options;
    const { name, mediaSessionId, source } = stream;
    if (stream.status !== 'PENDING') return;
    if (stream.published) {
      try {
        publishers.published({ name, mediaSessionId, video: answer?.video, audio: answer?.audio });
      } catch (error) {
        logger.error({ error, mediaSessionId }, 'a publisher could not be brought to the others');
        return streams.end(stream, endOfRefusedOffer(error));
      }
    }
    streams.started(stream);
    if (source) streams.tellFormat(stream, lease?.size ?? source);
  }

  /** A publisher's stream, or a rendition of one. */
  #resized(streamId: string, size: { readonly width: number; readonly height: number }): void {
    const { width, height } = size;
    const publisher = this.#media.get(streamId)?.stream;
    if (publisher?.width === width && publisher.height === height) return;
    if (publisher) {
      publisher.width = width;
      publisher.height = height;
    }
    for (const { stream, lease } of this.#media.values()) {
      const playedId = lease ? lease.streamId : stream.source?.mediaSessionId;
      if (playedId === streamId) this.#options.streams.tellFormat(stream, size);
    }
  }

  /** Not before PUBLISHING or PLAYING: the SDK throws when a rate comes before its peer connection exists. */
  #sendRate(media: WorkerMedia, { direction, rate }: Extract<MediaEvent, { type: 'rate' }>): void {
    const { inboundRateIntervalS, outboundRateIntervalS } = this.#options;
    const { session, mediaSessionId, published, status } = media.stream;
    if (status === 'PENDING' || published !== (direction === 'inbound')) return;
    media.rates += 1;
    const intervalS = published ? inboundRateIntervalS : outboundRateIntervalS;
    if (intervalS === 0 || media.rates % intervalS !== 0) return;
    const { videoRateBps: videoRate, ...counts } = rate;
    session.send({ name: published ? 'inboundVideoRate' : 'outboundVideoRate', mediaSessionId, videoRate, ...counts });
  }
}
