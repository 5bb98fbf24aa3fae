import { randomUUID } from 'node:crypto';
import swagger from '@fastify/swagger';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import { AppError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import type { TransponderService } from '../../services/transponders.ts';
import { JSON_CONTENT_TYPE } from './answers.ts';
import { API_DOCS_POLICY, apiDocsPage } from './api-docs.ts';
import { eventRoutes } from './api-events.ts';
import { apiRoutes } from './api-routes.ts';
import { createLoginLimiter, requireBasicAuth } from './basic-auth.ts';
import type { RestCredentials } from './basic-auth.ts';
import { connectionRoutes } from './connection-routes.ts';
import { corsHeaders } from './cors.ts';
import type { AccessControl } from './cors.ts';
import { dataRoutes } from './data-routes.ts';
import type { Readiness, SessionDirectory, SnapshotSource, StreamDirectory } from './directories.ts';
import { echoRoutes } from './echo-routes.ts';
import { errorAnswer, sendError } from './error-answer.ts';
import { pathOf } from './error-body.ts';
import { parseJsonBody } from './json-body.ts';
import { metricsRoute } from './metrics-route.ts';
import type { MetricsSource } from './metrics-route.ts';
import { pushRoutes } from './push-routes.ts';
import { streamRoutes } from './stream-routes.ts';
import { whipRoutes } from './whip-routes.ts';
import type { WhipConfig } from './whip-routes.ts';
import type { WhipSessions } from './whip-sessions.ts';

const PREFIX = '/rest-api';
const API_PREFIX = '/api';
const BODY_LIMIT_BYTES = 1024 * 1024;
/** Of a stream's name in a path, where one character may take nine. */
const MAX_PATH_PART_CHARS = 2304;

export interface RestConfig {
  /** Set when `disable_rest_auth=false`. */
  readonly credentials: RestCredentials | undefined;
  readonly accessControl: AccessControl;
  readonly whip: WhipConfig;
}

export interface RestServices {
  readonly transponders: TransponderService;
  readonly streams: StreamDirectory;
  readonly sessions: SessionDirectory;
  readonly snapshots: SnapshotSource;
  readonly metrics: MetricsSource;
  readonly readiness: () => Readiness;
  /** Absent: there is no WHIP and no WHEP. */
  readonly whip?: WhipSessions | undefined;
}

export interface RestAppOptions {
  readonly services: RestServices;
  readonly config: RestConfig;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * The REST interface of WCS under /rest-api with the OpenAPI description of all, our own under /api with its page, EchoApp under
 * /apps, WHIP and WHEP, /metrics, and /health. The app listens nowhere: the composition root does that, and closes it; tests
 * inject.
 */
export function buildRestApp({ services, config, logger, clock }: RestAppOptions): FastifyInstance {
  const nowMs = () => clock.nowMs();
  const app = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    genReqId: () => randomUUID(),
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, allowUnionTypes: true } },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PATH_PART_CHARS },
    frameworkErrors: (error, request, reply) => void errorAnswer(logger, nowMs)(error, request, reply),
  });
  app.setErrorHandler(errorAnswer(logger, nowMs));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(String(body)));
    } catch (error) {
      done(error as AppError);
    }
  });
  const { credentials } = config;
  const logins = createLoginLimiter(clock);
  const methods = collectMethods(app);
  app.setNotFoundHandler((request, reply) => answerUnknown(methods, request, reply, nowMs()));
  answerCors(app, corsHeaders(config.accessControl));
  app.register(swagger, { openapi: { info: { title: 'Transponder REST API', version: '1' } } });
  app.register(
    async (rest) => {
      if (credentials) await requireBasicAuth(rest, credentials, logins);
      answerAsWcs(rest);
      rest.register(pushRoutes, { prefix: '/push', transponders: services.transponders });
      rest.register(streamRoutes, { prefix: '/stream', streams: services.streams, snapshots: services.snapshots });
      rest.register(connectionRoutes, { prefix: '/connection', sessions: services.sessions });
      rest.register(dataRoutes, { prefix: '/data', sessions: services.sessions });
      rest.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
    },
    { prefix: PREFIX },
  );
  app.register(
    async (api) => {
      if (credentials) await requireBasicAuth(api, credentials, logins);
      answerAsWcs(api);
      api.register(apiRoutes, { transponders: services.transponders });
      api.register(eventRoutes, { transponders: services.transponders, clock, logger });
      api.get('/docs', { schema: { hide: true } }, (_, reply) =>
        reply
          .header('content-type', 'text/html; charset=utf-8')
          .header('content-security-policy', API_DOCS_POLICY)
          .send(apiDocsPage(app.swagger())),
      );
    },
    { prefix: API_PREFIX },
  );
  app.register(async (guarded) => {
    if (credentials) await requireBasicAuth(guarded, credentials, logins);
    guarded.register(metricsRoute, { metrics: services.metrics });
  });
  // Open to everybody, as it is in WCS: it knows nothing and does nothing.
  app.register(
    async (echo) => {
      answerAsWcs(echo);
      echo.register(echoRoutes);
    },
    { prefix: '/apps' },
  );
  // Open to everybody as signalling is: the backend decides.
  if (services.whip) {
    const { allowOrigin } = config.accessControl;
    app.register(whipRoutes, { whip: services.whip, config: config.whip, allowOrigin, clock });
  }
  app.get('/health/live', { schema: { hide: true } }, () => ({ state: 'live' }));
  app.get('/health/ready', { schema: { hide: true } }, (_, reply) => {
    const { ready, state, ports } = services.readiness();
    return reply.code(ready ? 200 : 503).send({ state, ports });
  });
  return app;
}

/** An absent body is an empty one, and JSON says its character set as WCS does. */
function answerAsWcs(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    request.body ??= {};
  });
  app.addHook('onSend', async (_request, reply) => {
    if (String(reply.getHeader('content-type')).startsWith('application/json')) {
      reply.header('content-type', JSON_CONTENT_TYPE);
    }
  });
}

/** Path → methods, so that a known path with another method is 405 and not 404. */
function collectMethods(app: FastifyInstance): ReadonlyMap<string, ReadonlySet<string>> {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ method, url }) => {
    const known = methods.get(url) ?? new Set();
    for (const name of [method].flat()) known.add(name);
    methods.set(url, known);
  });
  return methods;
}

function answerUnknown(
  methods: ReadonlyMap<string, ReadonlySet<string>>,
  request: FastifyRequest,
  reply: FastifyReply,
  nowMs: number,
): FastifyReply {
  const path = pathOf(request.url);
  const allowed = methodsOf(methods, path.length > 1 ? path.replace(/\/$/, '') : path);
  if (!allowed) return sendError(reply, 404, `there is no ${path}`, request.url, nowMs);
  reply.header('allow', [...allowed].join(', '));
  return sendError(reply, 405, `${request.method} is not possible on ${path}`, request.url, nowMs);
}

/** A part of a route that begins with a colon stands for any one part of the path. */
function methodsOf(methods: ReadonlyMap<string, ReadonlySet<string>>, path: string): ReadonlySet<string> | undefined {
  const parts = path.split('/');
  for (const [route, names] of methods) {
    const wanted = route.split('/');
    if (wanted.length !== parts.length) continue;
    if (wanted.every((part, n) => part === parts[n] || part.startsWith(':'))) return names;
  }
  return undefined;
}

/** Every answer under /rest-api carries the headers; a preflight is answered at once, before any authentication. */
function answerCors(app: FastifyInstance, headers: Readonly<Record<string, string>>): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith(`${PREFIX}/`)) return undefined;
    reply.headers(headers);
    return request.method === 'OPTIONS' ? reply.code(200).send() : undefined;
  });
}
