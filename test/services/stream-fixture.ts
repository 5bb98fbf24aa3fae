import { silentLogger } from '../../src/domain/logger.ts';
import type { RtmpPublicationOptions } from '../../src/inputs/rtmp-publisher/rtmp-publication.ts';
import type { RtmpPlaybackOptions, RtmpViewer } from '../../src/outputs/rtmp-player/rtmp-playback.ts';
import type { PlayStreamRequest, PublishStreamRequest } from '../../src/protocol/wcs/client-messages.ts';
import type { ServerMessage } from '../../src/protocol/wcs/server-messages.ts';
import type {
  AccessOperation,
  Backend,
  BackendAnswer,
  BackendEvent,
  BackendSession,
  SessionKind,
} from '../../src/services/backend.ts';
import { RtmpStreams } from '../../src/services/rtmp-streams.ts';
import { type ClientSession, Sessions } from '../../src/services/sessions.ts';
import { StreamNames } from '../../src/services/stream-names.ts';
import { Streams } from '../../src/services/streams.ts';
import { WebrtcStreams } from '../../src/services/webrtc-streams.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { FakeMediaWorker } from './fake-media-worker.ts';

/** The services of streams and sessions on a manual clock, over media that begins and ends when the test says so. */
export function streamFixture() {
  const clock = new ManualClock();
  const worker = new FakeMediaWorker();
  const names = new StreamNames();
  const backend = new FakeBackend();
  const publications: FakePublication[] = [];
  const playbacks: FakePlayback[] = [];
  const inHub = new Map<string, string>();
  const hub = { isLive: (_name: string): boolean => true };
  const streams = new Streams({ names, clock, logger: silentLogger });
  const webrtcStreams = new WebrtcStreams({
    streams,
    worker,
    publishers: {
      published: ({ name, mediaSessionId }) => void inHub.set(mediaSessionId, name),
      unpublished: (mediaSessionId) => void inHub.delete(mediaSessionId),
    },
    clock,
    logger: silentLogger,
    inboundRateIntervalS: 0,
    outboundRateIntervalS: 0,
  });
  worker.onEvent((event) => webrtcStreams.onMediaEvent(event));
  const rtmpStreams = new RtmpStreams({
    streams,
    publishers: {
      open(options) {
        const publication = new FakePublication(options);
        publications.push(publication);
        return publication;
      },
    },
    players: {
      open(options) {
        if (!hub.isLive(options.name)) return undefined;
        const playback = new FakePlayback(options);
        playbacks.push(playback);
        return playback;
      },
    },
    clock,
  });
  const sessions = new Sessions({
    clock,
    logger: silentLogger,
    backend,
    onGone: (session) => streams.sessionGone(session),
  });
  let port = 5000;

  return {
    clock,
    worker,
    names,
    backend,
    publications,
    playbacks,
    inHub,
    hub,
    streams,
    webrtcStreams,
    rtmpStreams,
    sessions,
    /** A client that is let in, and all that it is sent. */
    async client(kind: SessionKind = 'rtmp', connection: Partial<BackendSession['connection']> = {}) {
      const sent: ServerMessage[] = [];
      const closed: string[] = [];
      port += 1;
      const session = await sessions.open(
        {
          kind,
          client: { address: '127.0.0.1', port },
          server: { address: '192.168.1.1', port: 1935 },
          send: (message) => void sent.push(message),
          close: (reason) => void closed.push(reason),
        },
        { ...CONNECTION, ...connection },
      );
      if (typeof session === 'string') throw new Error('the client was not let in');
      return new TestClient(session, sent, closed);
    },
  };
}

export type StreamFixture = ReturnType<typeof streamFixture>;

class TestClient {
  readonly session: ClientSession;
  readonly sent: readonly ServerMessage[];
  /** Why the server has closed the connection. */
  readonly closed: readonly string[];

  constructor(session: ClientSession, sent: readonly ServerMessage[], closed: readonly string[]) {
    this.session = session;
    this.sent = sent;
    this.closed = closed;
  }

  /** `<mediaSessionId> <status>[: <info>]` of every status that the client was sent. */
  get statuses(): string[] {
    return this.sent.flatMap((message) => {
      if (message.name !== 'notifyStreamStatusEvent') return [];
      const { mediaSessionId, status, info } = message.stream;
      return [`${mediaSessionId} ${status}${info === undefined ? '' : `: ${info}`}`];
    });
  }
}

const CONNECTION: BackendSession['connection'] = {
  appKey: '',
  mediaProviders: [],
  keepAlive: false,
  clientVersion: '',
  clientOSVersion: '',
  clientBrowserVersion: '',
};

export const VIEWER: RtmpViewer = {
  write: () => {},
  writeAll: () => {},
  backlogBytes: 0,
  takenBytes: 0,
  unacknowledgedBytes: 0,
  expectRate: () => {},
};

export function webrtcPublish(mediaSessionId: string, name = 'test'): PublishStreamRequest {
  return { ...WEBRTC, mediaSessionId, name, record: false };
}

export function webrtcPlay(mediaSessionId: string, name = 'test'): PlayStreamRequest {
  return { ...WEBRTC, mediaSessionId, name, width: 0, height: 0, quality: 0 };
}

const WEBRTC = {
  hasVideo: true,
  hasAudio: true,
  mediaProvider: 'WebRTC',
  sdp: 'offer',
  transport: 'UDP' as const,
  bitrate: 0,
  minBitrate: 0,
  maxBitrate: 0,
};

/** Allows everything at once unless told otherwise, and keeps what it hears, in order. */
export class FakeBackend implements Backend {
  readonly asked: { operation: AccessOperation; body: Readonly<Record<string, unknown>> }[] = [];
  readonly told: { event: BackendEvent; body: Readonly<Record<string, unknown>> }[] = [];
  readonly gone: string[] = [];
  answer: (operation: AccessOperation, body: object) => BackendAnswer | Promise<BackendAnswer> = () => ({
    allowed: true,
  });
  verdict: (
    event: BackendEvent,
    body: Readonly<Record<string, unknown>>,
  ) => 'ok' | 'denied' | Promise<'ok' | 'denied'> = () => 'ok';
  /** Fields that clients do not see. */
  hidden: readonly string[] = [];

  async ask(_session: BackendSession, operation: AccessOperation, body: object): Promise<BackendAnswer> {
    this.asked.push({ operation, body: { ...body } });
    return this.answer(operation, body);
  }

  async tell(_session: BackendSession, event: BackendEvent, body: object): Promise<'ok' | 'denied'> {
    const told = { ...body };
    this.told.push({ event, body: told });
    return this.verdict(event, told);
  }

  forClient<Body extends object>({ kind }: BackendSession, _event: BackendEvent | 'OnDataEvent', body: Body): Body {
    if (kind !== 'websocket') return body;
    return Object.fromEntries(Object.entries(body).filter(([field]) => !this.hidden.includes(field))) as Body;
  }

  sessionGone(session: BackendSession): void {
    this.gone.push(session.sessionId);
  }

  /** `<event> <status>[: <info>]` of all that it was told. */
  get story(): string[] {
    return this.told.map(({ event, body }) => {
      const { status, info } = body as { status?: string; info?: string };
      return [event, ...(status === undefined ? [] : [info === undefined ? status : `${status}: ${info}`])].join(' ');
    });
  }
}

class FakePublication {
  readonly options: RtmpPublicationOptions;
  readonly closed: string[] = [];

  constructor(options: RtmpPublicationOptions) {
    this.options = options;
  }

  write(): void {}

  close(reason: string): void {
    this.closed.push(reason);
  }
}

class FakePlayback {
  readonly options: RtmpPlaybackOptions;
  closed = 0;

  constructor(options: RtmpPlaybackOptions) {
    this.options = options;
  }

  start(): void {}
  pause(): void {}
  resume(): void {}
  mute(): void {}

  close(): void {
    this.closed += 1;
  }
}
