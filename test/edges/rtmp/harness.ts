import type { Server } from 'node:net';
import { systemClock, type Clock } from '../../../src/domain/clock.ts';
import type { Logger } from '../../../src/domain/logger.ts';
import { listen } from '../../../src/edges/listen.ts';
import { createRtmpServer, type RtmpServerOptions } from '../../../src/edges/rtmp/server.ts';
import type { RtmpPublicationOptions } from '../../../src/inputs/rtmp-publisher/rtmp-publication.ts';
import type { RtmpPlaybackOptions } from '../../../src/outputs/rtmp-player/rtmp-playback.ts';
import type { RawMessage } from '../../../src/protocol/rtmp/raw-message.ts';
import {
  allowEverything,
  type AccessOperation,
  type Backend,
  type BackendAnswer,
  type BackendSession,
} from '../../../src/services/backend.ts';
import { RtmpStreams } from '../../../src/services/rtmp-streams.ts';
import { Sessions } from '../../../src/services/sessions.ts';
import { StreamNames } from '../../../src/services/stream-names.ts';
import { Streams } from '../../../src/services/streams.ts';

export interface OpenPublication {
  readonly options: RtmpPublicationOptions;
  readonly written: RawMessage[];
  closeReason: string | undefined;
}

export interface OpenPlayback {
  readonly options: RtmpPlaybackOptions;
  /** What the edge has called, in order. */
  readonly calls: string[];
}

export interface Question {
  readonly session: BackendSession;
  readonly operation: AccessOperation;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly sentence: string;
}

export interface RtmpHarness extends AsyncDisposable {
  readonly port: number;
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly publications: OpenPublication[];
  readonly playbacks: OpenPlayback[];
  /** What the backend was asked, in order. */
  readonly questions: Question[];
  readonly log: LogLine[];
  readonly connectionCount: () => number;
  readonly listener: Server;
  close(): Promise<void>;
}

export interface HarnessOptions extends Partial<
  Omit<RtmpServerOptions, 'sessions' | 'streams' | 'rtmpStreams' | 'logger'>
> {
  /** What the backend answers; it allows everything where this is absent. */
  readonly answer?: (question: Question) => Promise<BackendAnswer> | BackendAnswer;
}

/** The server with the real services, on a free port; media goes nowhere, and the backend is the test's. */
export async function startRtmpHarness(options: HarnessOptions = {}): Promise<RtmpHarness> {
  const { answer = () => ({ allowed: true }), clock = systemClock, ...limits } = options;
  const publications: OpenPublication[] = [];
  const playbacks: OpenPlayback[] = [];
  const questions: Question[] = [];
  const log: LogLine[] = [];
  const logger = collectingLogger(log);
  const backend: Backend = {
    ...allowEverything,
    async ask(session, operation, body) {
      const question = { session, operation, body: body as Record<string, unknown> };
      questions.push(question);
      return answer(question);
    },
  };
  const serviceClock: Clock = systemClock;
  const streams = new Streams({ names: new StreamNames(), clock: serviceClock, logger });
  const sessions = new Sessions({
    clock: serviceClock,
    logger,
    backend,
    onGone: (session) => streams.sessionGone(session),
  });
  const rtmpStreams = new RtmpStreams({
    streams,
    clock: serviceClock,
    publishers: {
      open(publicationOptions) {
        const publication: OpenPublication = { options: publicationOptions, written: [], closeReason: undefined };
        publications.push(publication);
        return {
          write: (message) => void publication.written.push({ ...message, payload: Buffer.from(message.payload) }),
          close: (reason) => void (publication.closeReason ??= reason),
        };
      },
    },
    players: {
      open(playbackOptions) {
        const calls: string[] = [];
        playbacks.push({ options: playbackOptions, calls });
        return {
          start: () => void calls.push('start'),
          pause: () => void calls.push('pause'),
          resume: () => void calls.push('resume'),
          mute: (kinds) => void calls.push(`mute ${JSON.stringify(kinds)}`),
          close: () => void calls.push('close'),
        };
      },
    },
  });
  const server = createRtmpServer({
    sessions,
    streams,
    rtmpStreams,
    useStreamParamsAsConnection: false,
    maxConnections: 100,
    maxConnectionsPerAddress: 100,
    maxIdleConnectionsPerAddress: 50,
    clock,
    logger,
    ...limits,
  });
  const listening = await listen(server.listener, {
    key: 'rtmp.port',
    port: 0,
    hostKey: 'ip_local',
    host: '127.0.0.1',
    logger,
  });
  const close = async (): Promise<void> => {
    await server.close('the test has ended');
    await listening.close();
  };
  return {
    port: listening.port,
    sessions,
    streams,
    publications,
    playbacks,
    questions,
    log,
    connectionCount: () => server.connectionCount,
    listener: server.listener,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function collectingLogger(log: LogLine[], context: object = {}): Logger {
  const write = (level: LogLine['level']) => (fields: object, sentence: string) =>
    void log.push({ level, fields: { ...context, ...fields }, sentence });
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => collectingLogger(log, { ...context, ...fields }),
  };
}
