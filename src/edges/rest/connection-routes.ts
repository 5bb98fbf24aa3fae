import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { foundOr404, sendVoid } from './answers.ts';
import type { SessionDirectory } from './directories.ts';
import { SessionBody, SessionFindBody } from './schemas.ts';

/** `/connection/*` (reference/wcs-protocol.md §3.5). */
export const connectionRoutes: FastifyPluginCallbackTypebox<{ sessions: SessionDirectory }> = (
  app,
  { sessions },
  done,
) => {
  app.post('/find', { schema: { body: SessionFindBody } }, ({ body }, reply) =>
    reply.send(foundOr404(sessions.find(body), 'SESSION_NOT_FOUND', 'no connection matches')),
  );

  app.route({
    method: ['GET', 'POST'],
    url: '/find_all',
    handler: (_, reply) => reply.send(foundOr404(sessions.find({}), 'SESSION_NOT_FOUND', 'there is no connection')),
  });

  app.post('/terminate', { schema: { body: SessionBody } }, ({ body }, reply) => {
    sessions.terminate(body.sessionId);
    return sendVoid(reply);
  });

  done();
};
