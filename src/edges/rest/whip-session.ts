import { randomUUID } from 'node:crypto';
import type { Logger } from '../../domain/logger.ts';
import { isTerminal, STREAM_INFO } from '../../domain/stream-status.ts';
import type { ServerMessage } from '../../protocol/wcs/server-messages.ts';
import type { ClientSession, SessionChannel, Sessions } from '../../services/sessions.ts';
import type { Streams } from '../../services/streams.ts';
import type { WebrtcStreams } from '../../services/webrtc-streams.ts';
import { CLOSED, FAILED, OUTAGE, PARTLY_TAKEN, refusalOf, type WhipRefusal } from './whip-refusals.ts';
import type { OfferedTracks } from './whip-request.ts';

/** A client's request to publish or to play. */
export interface WhipOffer {
  readonly published: boolean;
  readonly name: string;
  readonly sdp: string;
  readonly tracks: OfferedTracks;
  readonly ends: Pick<SessionChannel, 'client' | 'server' | 'origin'>;
  readonly userAgent: string;
  /** Empty for the default application. */
  readonly appKey: string;
  /** Of the URL. */
  readonly params: Readonly<Record<string, string>>;
  /** Of the bearer. */
  readonly token: string | undefined;
}

export interface WhipServices {
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly webrtcStreams: WebrtcStreams;
  readonly logger: Logger;
}

export type WhipOutcome = { readonly answerSdp: string } | { readonly refusal: WhipRefusal };

const MEDIA_PROVIDER = 'WebRTC';

/**
 * One stream of one HTTP client, as a session of its own: what the services tell the session becomes the answer to the
 * client's request; from then on it lives as long as its stream.
 */
export class WhipSession {
  readonly offer: WhipOffer;
  /** Whoever knows it may end the session, so it is told to the client only (RFC 9725 §5). */
  readonly secretId = randomUUID();
  readonly #mediaSessionId = randomUUID();
  readonly #services: WhipServices;
  readonly #outcome = Promise.withResolvers<WhipOutcome>();
  readonly #closed = Promise.withResolvers<void>();
  #session: ClientSession | undefined;
  #closeReason: string | undefined;
  #stopped: Promise<boolean> | undefined;

  constructor(offer: WhipOffer, services: WhipServices) {
    this.offer = offer;
    this.#services = services;
  }

  /** Resolves when the session is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** To be called once. A session that is refused is closed. */
  async open(): Promise<WhipOutcome> {
    const { sessions, logger } = this.#services;
    const session = await sessions.open(this.#channel(), this.#connection());
    if (typeof session === 'string') {
      this.close('refused');
      return { refusal: session === 'outage' ? OUTAGE : refusalOf(STREAM_INFO.restrictedAccess) };
    }
    if (this.#closeReason !== undefined) {
      sessions.close(session, this.#closeReason);
      return { refusal: CLOSED };
    }
    this.#session = session;
    this.#start(session).catch((error: unknown) => {
      logger.error({ error, sessionId: session.sessionId }, 'a stream could not be started');
      this.#refuse(FAILED);
    });
    return this.#outcome.promise;
  }

  /** The client's wish to end its stream. False where the backend forbids it. Memoised. */
  stop(): Promise<boolean> {
    return (this.#stopped ??= this.#stop());
  }

  /** Idempotent. */
  close(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    if (this.#session) this.#services.sessions.close(this.#session, reason);
    this.#outcome.resolve({ refusal: CLOSED });
    this.#closed.resolve();
  }

  async #stop(): Promise<boolean> {
    const { streams } = this.#services;
    if (this.#session) await streams.stop(this.#session, this.#mediaSessionId, this.offer.published);
    if (!streams.get(this.#mediaSessionId)) {
      this.close('closed by the client');
      return true;
    }
    this.#stopped = undefined;
    return false;
  }

  #start(session: ClientSession): Promise<void> {
    const { webrtcStreams } = this.#services;
    const { published, name, sdp, tracks, params, token } = this.offer;
    const request = {
      mediaSessionId: this.#mediaSessionId,
      name,
      sdp,
      ...tracks,
      mediaProvider: MEDIA_PROVIDER,
      transport: 'UDP' as const,
      bitrate: 0,
      minBitrate: 0,
      maxBitrate: 0,
      custom: unlessEmpty(token === undefined ? params : { ...params, token }),
    };
    return published
      ? webrtcStreams.publish(session, { ...request, record: false })
      : webrtcStreams.play(session, { ...request, width: 0, height: 0, quality: 0 });
  }

  /** What else sessions are told, HTTP clients have no ear for. */
  #receive(message: ServerMessage): void {
    if (message.name === 'setRemoteSDP') {
      if (this.offer.published && refusesSection(message.sdp)) this.#refuse(PARTLY_TAKEN);
      else this.#outcome.resolve({ answerSdp: message.sdp });
    }
    if (message.name === 'notifyStreamStatusEvent' && isTerminal(message.stream.status)) {
      this.#refuse(refusalOf(message.stream.info));
    }
  }

  /** Nothing is closed before whoever speaks to the client has finished. */
  #refuse(refusal: WhipRefusal): void {
    this.#outcome.resolve({ refusal });
    queueMicrotask(() => this.close('its stream has ended'));
  }

  #channel(): SessionChannel {
    return {
      kind: 'http',
      ...this.offer.ends,
      uniqueId: this.#mediaSessionId,
      send: (message) => this.#receive(message),
      close: (reason) => this.close(reason),
    };
  }

  #connection() {
    const { appKey, userAgent, params, token } = this.offer;
    return {
      appKey,
      mediaProviders: [MEDIA_PROVIDER],
      keepAlive: false,
      clientVersion: userAgent,
      clientOSVersion: '',
      clientBrowserVersion: '',
      custom: unlessEmpty(params),
      token,
    };
  }
}

/** As of RTMP clients, whose URL is all that they say as well. */
function unlessEmpty(custom: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  return Object.keys(custom).length > 0 ? custom : undefined;
}

/** Port 0 (RFC 3264 §6). */
function refusesSection(answerSdp: string): boolean {
  return /^m=\S+ 0 /m.test(answerSdp);
}
