import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import { AppError } from '../../domain/errors.ts';
import { foundOr404, sendVoid } from './answers.ts';
import type { SnapshotSource, StreamDirectory } from './directories.ts';
import { SnapshotBody, StreamDataBody, StreamFindBody, StreamTerminateBody } from './schemas.ts';

/** `/stream/*` (reference/wcs-protocol.md §3.4). */
export const streamRoutes: FastifyPluginCallbackTypebox<{ streams: StreamDirectory; snapshots: SnapshotSource }> = (
  app,
  { streams, snapshots },
  done,
) => {
  app.post('/find', { schema: { body: StreamFindBody } }, ({ body }, reply) => {
    const { mediaSessionId, name, published, status } = body;
    const found = streams.find({ mediaSessionId, name, published, status });
    return reply.send(foundOr404(found, 'STREAM_NOT_FOUND', 'no stream matches'));
  });

  app.route({
    method: ['GET', 'POST'],
    url: '/find_all',
    handler: (_, reply) => reply.send(foundOr404(streams.find({}), 'STREAM_NOT_FOUND', 'there is no stream')),
  });

  app.post('/terminate', { schema: { body: StreamTerminateBody } }, ({ body }, reply) => {
    const { mediaSessionId, mediaSessionIds, name, published, status } = body;
    const filter = { mediaSessionId, mediaSessionIds, name, published, status };
    if (Object.values(filter).every((value) => value === undefined)) {
      throw new AppError(
        'BAD_REQUEST',
        'name at least one of mediaSessionId, mediaSessionIds, name, published, status',
      );
    }
    streams.terminate(filter);
    return sendVoid(reply);
  });

  app.post('/event/send', { schema: { body: StreamDataBody } }, ({ body }, reply) => {
    streams.sendData(body.streamName, body.payload);
    return sendVoid(reply);
  });

  app.post('/snapshot', { schema: { body: SnapshotBody } }, async ({ body: { streamName } }) => ({
    data: (await snapshots.take(streamName)).toString('base64'),
  }));

  done();
};
