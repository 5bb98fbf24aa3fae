import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { AppError } from '../../domain/errors.ts';
import { sendVoid } from './answers.ts';
import type { SessionDirectory } from './directories.ts';
import { DataBody } from './schemas.ts';

/** `/data/send` (reference/wcs-protocol.md §3.5). */
export const dataRoutes: FastifyPluginCallbackTypebox<{ sessions: SessionDirectory }> = (app, { sessions }, done) => {
  app.post('/send', { schema: { body: DataBody } }, ({ body }, reply) => {
    const { operationId, payload, sessionId, sessionIds = [] } = body;
    const wanted = new Set(sessionId === undefined ? sessionIds : [sessionId, ...sessionIds]);
    if (wanted.size === 0) throw new AppError('BAD_REQUEST', 'name sessionId or sessionIds');
    const present = [...wanted].filter((id) => sessions.find({ sessionId: id }).length > 0);
    if (present.length === 0) throw new AppError('SESSION_NOT_FOUND', 'no connection matches');
    for (const id of present) sessions.sendData(id, operationId, payload);
    return sendVoid(reply);
  });
  done();
};
