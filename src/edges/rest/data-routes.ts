import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { AppError } from '../../domain/errors.ts';
import { sendVoid } from './answers.ts';
import type { SessionDirectory } from './directories.ts';
import { DataBody } from './schemas.ts';

/** `/data/send` (reference/wcs-protocol.md §3.5). Of several clients those that are not there are passed over, unless nobody is. */
export const dataRoutes: FastifyPluginCallbackTypebox<{ sessions: SessionDirectory }> = (app, { sessions }, done) => {
  app.post('/send', { schema: { body: DataBody } }, async ({ body }, reply) => {
    const { operationId, payload, sessionId, sessionIds = [] } = body;
    const wanted = new Set(sessionId === undefined ? sessionIds : [sessionId, ...sessionIds]);
    if (wanted.size === 0) throw new AppError('BAD_REQUEST', 'name sessionId or sessionIds');
    const sent = await Promise.allSettled([...wanted].map((id) => sessions.sendData(id, operationId, payload)));
    const failures = sent.filter((one) => one.status === 'rejected').map(({ reason }) => reason as unknown);
    const failure = failures.find((error) => !isAbsence(error)) ?? (failures.length === wanted.size && failures[0]);
    if (failure) throw failure;
    return sendVoid(reply);
  });
  done();
};

function isAbsence(error: unknown): boolean {
  return error instanceof AppError && error.code === 'SESSION_NOT_FOUND';
}
