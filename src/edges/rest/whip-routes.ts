import { Type } from 'typebox';
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { errorCodes, type FastifyReply, type FastifyRequest } from 'fastify';
import { plainAddress } from '../../domain/client-address.ts';
import type { Clock } from '../../domain/clock.ts';
import { AppError } from '../../domain/errors.ts';
import type { IceServer } from '../../domain/ice-server.ts';
import { SourceLimiter } from '../../domain/source-limiter.ts';
import { sendError } from './error-answer.ts';
import { iceServerLink } from './ice-server-link.ts';
import { placeOf } from '../../services/place-of.ts';
import { refusalFor, type WhipRefusal } from './whip-refusals.ts';
import { acceptsSdp, bearerTokenOf, checkedName, offeredTracks, readParams, userAgentOf } from './whip-request.ts';
import type { WhipSession } from './whip-session.ts';
import type { WhipSessions } from './whip-sessions.ts';

export interface WhipConfig {
  readonly iceServers: readonly IceServer[];
  /** Of one client address. */
  readonly maxOffersPerMinute: number;
}

export interface WhipRoutesOptions {
  readonly whip: WhipSessions;
  readonly config: WhipConfig;
  /** Pages of which origin may publish and play: `Access-Control-Allow-Origin`. */
  readonly allowOrigin: string;
  readonly clock: Clock;
}

const SDP = 'application/sdp';
/** Offers of browsers have up to 9 KB, and those with many codecs and candidates twice as much. */
const OFFER_LIMIT_BYTES = 64 * 1024;
const MINUTE_MS = 60_000;
const PREFLIGHT_MAX_AGE_S = 86_400;

const Params = Type.Object({ name: Type.String({ description: 'Of the stream.' }) });
const SessionParams = Type.Object({ name: Type.String(), id: Type.String({ description: 'As in Location.' }) });
const Offer = Type.String({ description: 'An SDP offer.', minLength: 1 });
const Answer = {
  201: Type.Unsafe<unknown>({
    type: 'string',
    description: 'The SDP answer. Location is the session, which DELETE ends.',
  }),
};

/**
 * `/whip/<name>` for publishing (RFC 9725) and `/whep/<name>` for playing (draft-ietf-wish-whep), each session under a path of its
 * own with an id that nobody can guess. Everybody may ask; the backend decides (services/backend). There is neither trickle ICE
 * nor ICE restart, which are optional (RFC 9725 §4.3): an ICE-lite server needs no candidates of its clients. So PATCH is 405
 * (RFC 9110 §15.5.6), as every method that the standards have no use for. They want an empty 2xx for GET (RFC 9725 §4.1).
 */
export const whipRoutes: FastifyPluginCallbackTypebox<WhipRoutesOptions> = (app, options, done) => {
  const { whip, config, allowOrigin, clock } = options;
  const limiter = new SourceLimiter({ clock, max: config.maxOffersPerMinute, windowMs: MINUTE_MS });
  const links = config.iceServers.map(iceServerLink);

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(SDP, { parseAs: 'string' }, (_request, body, parsed) => parsed(null, body));
  // Programs that send JSON elsewhere say so with DELETE too, whose body means nothing (RFC 9110 §9.3.5).
  app.addContentTypeParser('*', ({ method, headers }, _body, parsed) => {
    if (method === 'DELETE') parsed(null);
    else parsed(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(headers['content-type']));
  });
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({
      'access-control-allow-origin': allowOrigin,
      'access-control-expose-headers': 'location, link, retry-after, www-authenticate',
      'cache-control': 'no-store',
    });
  });

  const charge = (request: FastifyRequest, reply: FastifyReply): void => {
    const place = placeOf(request.ip);
    if (limiter.allows(place)) return limiter.charge(place);
    reply.header('retry-after', Math.ceil(limiter.remainingMs / 1000));
    throw new AppError('TOO_MANY_REQUESTS', 'too many requests from this address; try again in a minute');
  };

  const refuse = (request: FastifyRequest, reply: FastifyReply, refusal: WhipRefusal): FastifyReply => {
    const { status, message, retryAfterS } = refusal;
    if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    return sendError(reply, status, message, request.url, clock.nowMs());
  };

  const offer = async (
    published: boolean,
    givenName: string,
    sdp: string,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const { headers, raw, url } = request;
    if (!acceptsSdp(headers)) return refuse(request, reply, { status: 406, message: `the answer is ${SDP}` });
    const name = checkedName(givenName);
    const token = bearerTokenOf(headers);
    const { socket } = raw;
    const given = {
      published,
      name,
      sdp,
      tracks: offeredTracks(sdp),
      ends: {
        client: { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 },
        server: { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 },
        origin: headers.origin,
      },
      userAgent: userAgentOf(headers),
      token,
      ...readParams(url),
    };
    const outcome = await whip.open(given, (session) => closeWithoutAnswer(session, reply));
    if ('refusal' in outcome) return refuse(request, reply, refusalFor(outcome.refusal, token !== undefined));
    const { session, answerSdp } = outcome;
    reply.header('location', `${published ? '/whip' : '/whep'}/${encodeURIComponent(name)}/${session.secretId}`);
    if (links.length > 0) reply.header('link', links);
    return reply.code(201).header('content-type', SDP).send(answerSdp);
  };

  for (const [path, published] of [
    ['/whip', true],
    ['/whep', false],
  ] as const) {
    const endpoint = `${path}/:name`;
    const verb = published ? 'Publishes' : 'Plays';
    app.post(
      endpoint,
      {
        bodyLimit: OFFER_LIMIT_BYTES,
        schema: {
          summary: `${verb} a stream over WebRTC (${published ? 'WHIP, RFC 9725' : 'WHEP'}). No Basic credentials; a bearer token reaches the hooks.`,
          consumes: [SDP],
          produces: [SDP],
          params: Params,
          body: Offer,
          response: Answer,
        },
        onRequest: async (request, reply) => charge(request, reply),
      },
      (request, reply) => offer(published, request.params.name, request.body, request, reply),
    );
    app.delete(
      `${endpoint}/:id`,
      { schema: { summary: `${verb} no longer what was begun by POST.`, params: SessionParams } },
      async (request, reply) => {
        const { name, id } = request.params;
        const session = whip.find(published, name, id);
        if (!session) {
          charge(request, reply);
          throw new AppError('SESSION_NOT_FOUND', 'there is no such session');
        }
        if (await session.stop()) return reply.code(200).header('content-length', 0).send();
        return refuse(request, reply, { status: 403, message: 'this session may not be ended' });
      },
    );
    for (const [url, methods] of [
      [endpoint, 'POST'],
      [`${endpoint}/:id`, 'DELETE'],
    ] as const) {
      app.get(url, { schema: { hide: true } }, (_request, reply) => reply.code(204).send());
      app.options(url, { schema: { hide: true } }, (_request, reply) =>
        reply
          .headers({
            allow: `${methods}, GET, HEAD, OPTIONS`,
            'access-control-allow-methods': methods,
            'access-control-allow-headers': 'authorization, content-type, if-match',
            'access-control-max-age': PREFLIGHT_MAX_AGE_S,
            ...(methods === 'POST' && { 'accept-post': SDP }),
          })
          .code(200)
          .send(),
      );
    }
  }
  done();
};

/** A client that has hung up does not know of its session, and cannot end it. */
function closeWithoutAnswer(session: WhipSession, reply: FastifyReply): void {
  reply.raw.once('close', () => {
    if (!reply.raw.writableEnded) session.close('the client hung up');
  });
}
