import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { TransponderService } from '../../services/transponders.ts';
import {
  ListQuery,
  TransponderAnswer,
  TransponderDetailAnswer,
  TransponderListAnswer,
  TransponderParams,
} from './api-schemas.ts';

const DEFAULT_LIMIT = 100;

/** `/api/transponders`: what WCS has no words for (design §4): states, effective policies, runs and events. */
export const apiRoutes: FastifyPluginCallbackTypebox<{ transponders: TransponderService }> = (
  app,
  { transponders },
  done,
) => {
  app.get(
    '/transponders',
    {
      schema: {
        summary: 'All transponders, live and ended, newest first.',
        querystring: ListQuery,
        response: TransponderListAnswer,
      },
    },
    async ({ query: { limit = DEFAULT_LIMIT, offset = 0, ...filter } }) => transponders.list(filter, limit, offset),
  );

  app.get(
    '/transponders/:id',
    {
      schema: {
        summary: 'One transponder with its last 20 runs and 100 events, newest first.',
        params: TransponderParams,
        response: TransponderDetailAnswer,
      },
    },
    async ({ params }) => transponders.detail(params.id),
  );

  app.post(
    '/transponders/:id/stop',
    {
      schema: {
        summary: 'Ends it for good; answers when its process and sockets are gone. 409 when it has ended already.',
        params: TransponderParams,
        response: TransponderAnswer,
      },
    },
    ({ params }) => transponders.stop(params.id),
  );

  app.post(
    '/transponders/:id/resume',
    {
      schema: {
        summary: 'Ends the waiting of one that is SUSPENDED, in BACKOFF or FAILED. 409 in any other state.',
        params: TransponderParams,
        response: TransponderAnswer,
      },
    },
    async ({ params }) => transponders.resume(params.id),
  );

  app.post(
    '/transponders/:id/restart',
    {
      schema: {
        summary: 'Ends the present run and starts another one; without a run the same as resume.',
        params: TransponderParams,
        response: TransponderAnswer,
      },
    },
    async ({ params }) => transponders.restart(params.id),
  );

  done();
};
