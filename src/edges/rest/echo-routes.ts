import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

const EchoParams = Type.Object({ method: Type.String({ description: 'connect, publishStream, …' }) });
const EchoBody = Type.Object({}, { additionalProperties: true });

/** EchoApp: an application that agrees to everything by answering with what it was given (reference/wcs-protocol.md §4). */
export const echoRoutes: FastifyPluginCallbackTypebox = (app, _options, done) => {
  app.post(
    '/EchoApp/:method',
    { schema: { summary: 'Answers a REST hook with its own body.', params: EchoParams, body: EchoBody } },
    async ({ body }) => body,
  );
  done();
};
