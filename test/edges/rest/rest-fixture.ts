import { AppError } from '../../../src/domain/errors.ts';
import type { RestConfig } from '../../../src/edges/rest/rest-app.ts';
import { buildRestApp } from '../../../src/edges/rest/rest-app.ts';
import type { Readiness, SessionDirectory, StreamDirectory } from '../../../src/edges/rest/directories.ts';
import type { WhipSessions } from '../../../src/edges/rest/whip-sessions.ts';
import { transponderFixture } from '../../services/transponder-fixture.ts';

export const stream = { mediaSessionId: 'm1', name: 'cam', published: true, status: 'PUBLISHING' };
export const session = { sessionId: 's1', appKey: 'defaultApp', status: 'ESTABLISHED' };

/** The app over the real service; streams and sessions are lists that remember what was asked. */
export function restFixture(
  config: Partial<RestConfig> = {},
  service: Parameters<typeof transponderFixture>[0] = undefined,
  whip: WhipSessions | undefined = undefined,
) {
  const transponders = transponderFixture(service);
  transponders.service.sourceUp('cam');
  const asked: unknown[] = [];
  const lists = { streams: [stream], sessions: [session], forbiddenSessions: [] as string[] };
  const streams: StreamDirectory = {
    find(filter) {
      asked.push({ ...filter });
      return lists.streams;
    },
    terminate(filter) {
      asked.push({ ...filter });
      if (lists.streams.length === 0) throw new AppError('STREAM_NOT_FOUND', 'no stream matches');
    },
    sendData(name, payload) {
      if (!lists.streams.some((known) => known.name === name)) throw new AppError('STREAM_NOT_FOUND', 'no such stream');
      asked.push({ name, payload });
    },
  };
  const sessions: SessionDirectory = {
    find(filter) {
      asked.push({ ...filter });
      return lists.sessions;
    },
    terminate(sessionId) {
      if (lists.sessions.some((known) => known.sessionId === sessionId)) return;
      throw new AppError('SESSION_NOT_FOUND', 'there is no such connection');
    },
    async sendData(sessionId, operationId, payload) {
      const known = lists.sessions.find((one) => one.sessionId === sessionId);
      if (!known) throw new AppError('SESSION_NOT_FOUND', 'there is no such connection');
      if (lists.forbiddenSessions.includes(sessionId))
        throw new AppError('RESTRICTED_ACCESS', 'the backend allows no data');
      asked.push({ sessionId, operationId, payload });
    },
  };
  const snapshots = {
    take(name: string) {
      if (name !== 'cam') return Promise.reject(new AppError('STREAM_NOT_FOUND', 'no such stream'));
      return Promise.resolve(Buffer.from('png'));
    },
  };
  const metrics = { contentType: 'text/plain; version=0.0.4', text: () => Promise.resolve('transponder_sessions 1\n') };
  const readiness: { now: Readiness } = { now: { ready: true, state: 'ready', ports: { http: 8081 } } };
  const logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields: object, sentence: string) => {
      const { err, ...rest } = fields as { err?: Error };
      transponders.logged.push(`${JSON.stringify(rest)} ${sentence} ${err?.stack}`);
    },
    child: () => logger,
  };
  const app = buildRestApp({
    services: {
      transponders: transponders.service,
      streams,
      sessions,
      snapshots,
      metrics,
      whip,
      readiness: () => readiness.now,
    },
    config: {
      credentials: undefined,
      accessControl: {
        allowOrigin: '*',
        allowHeaders: 'content-type,x-requested-with',
        allowMethods: 'POST',
        headers: undefined,
      },
      whip: { iceServers: [], maxOffersPerMinute: 100 },
      ...config,
    },
    logger,
    clock: transponders.clock,
  });
  return {
    ...transponders,
    app,
    asked,
    lists,
    readiness,
    post: (path: string, body?: object | string, headers: Record<string, string> = {}) =>
      app.inject({
        method: 'POST',
        url: `/rest-api${path}`,
        headers: { 'content-type': 'application/json;charset=UTF-8', ...headers },
        payload: typeof body === 'object' ? JSON.stringify(body) : body,
      }),
    async close() {
      await app.close();
      await transponders.close();
    },
  };
}

export type RestFixture = ReturnType<typeof restFixture>;
