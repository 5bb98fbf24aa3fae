import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { PushView } from '../../services/transponder-request.ts';
import type { TransponderService } from '../../services/transponders.ts';
import { foundOr404, sendVoid } from './answers.ts';
import { MediaSessionBody, PushAnswer, PushFindBody, PushListAnswer, SoundOnBody, StartupBody } from './schemas.ts';

/** `options` of a push are kept as long as it lives, in memory and in the store. */
const STARTUP_BODY_LIMIT_BYTES = 16 * 1024;

const texts = new WeakMap<PushView, string>();

/** In JSON. Each push is written once for as long as it is shown the same: a long list must hold up no media. */
function listText(pushes: readonly PushView[]): string {
  return `[${pushes.map(textOf).join(',')}]`;
}

function textOf(push: PushView): string {
  const known = texts.get(push);
  if (known !== undefined) return known;
  const text = JSON.stringify(push);
  texts.set(push, text);
  return text;
}

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

  const serializerCompiler = () => listText;
  app.post(
    '/find',
    { schema: { body: PushFindBody, response: PushListAnswer }, serializerCompiler },
    async ({ body }) => foundOr404(transponders.find(body), 'TRANSPONDER_NOT_FOUND', 'no transponder matches'),
  );

  app.route({
    method: ['GET', 'POST'],
    url: '/find_all',
    schema: { response: PushListAnswer },
    serializerCompiler,
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
