import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { TransponderService } from '../../services/transponders.ts';
import { foundOr404, sendVoid } from './answers.ts';
import { MediaSessionBody, PushAnswer, PushFindBody, PushListAnswer, SoundOnBody, StartupBody } from './schemas.ts';

/** `options` of a push are kept as long as it lives, in memory and in the store. */
const STARTUP_BODY_LIMIT_BYTES = 16 * 1024;

/** `/push/*`: RTMP transponders (reference/wcs-protocol.md §3.1). */
export const pushRoutes: FastifyPluginCallbackTypebox<{ transponders: TransponderService }> = (
  app,
  { transponders },
  done,
) => {
  app.post(
    '/startup',
    { bodyLimit: STARTUP_BODY_LIMIT_BYTES, schema: { body: StartupBody, response: PushAnswer } },
    ({ body }) => transponders.startup(body, 'rest'),
  );

  app.post('/find', { schema: { body: PushFindBody, response: PushListAnswer } }, async ({ body }) =>
    foundOr404(transponders.find(body), 'TRANSPONDER_NOT_FOUND', 'no transponder matches'),
  );

  app.route({
    method: ['GET', 'POST'],
    url: '/find_all',
    schema: { response: PushListAnswer },
    handler: async () => foundOr404(transponders.find({}), 'TRANSPONDER_NOT_FOUND', 'there is no transponder'),
  });

  app.post('/terminate', { schema: { body: MediaSessionBody } }, async ({ body }, reply) => {
    await transponders.terminate(body.mediaSessionId);
    return sendVoid(reply);
  });

  app.post('/mute', { schema: { body: MediaSessionBody } }, ({ body }, reply) => {
    transponders.mute(body.mediaSessionId);
    return sendVoid(reply);
  });

  app.post('/unmute', { schema: { body: MediaSessionBody } }, ({ body }, reply) => {
    transponders.unmute(body.mediaSessionId);
    return sendVoid(reply);
  });

  app.post('/sound_on', { schema: { body: SoundOnBody } }, async ({ body }, reply) => {
    await transponders.soundOn(body.mediaSessionId, body.soundFile, body.loop ?? false);
    return sendVoid(reply);
  });

  app.post('/sound_off', { schema: { body: MediaSessionBody } }, ({ body }, reply) => {
    transponders.soundOff(body.mediaSessionId);
    return sendVoid(reply);
  });

  done();
};
