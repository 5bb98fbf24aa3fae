import type { FastifyPluginCallback } from 'fastify';

/** Made elsewhere; the edge only hands it out. */
export interface MetricsSource {
  readonly contentType: string;
  text(): Promise<string>;
}

/** `GET /metrics` for Prometheus. */
export const metricsRoute: FastifyPluginCallback<{ metrics: MetricsSource }> = (app, { metrics }, done) => {
  app.get('/metrics', { schema: { hide: true } }, async (_, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.text()),
  );
  done();
};
