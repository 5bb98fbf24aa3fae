import { createHash, timingSafeEqual } from 'node:crypto';
import basicAuth from '@fastify/basic-auth';
import type { FastifyInstance } from 'fastify';
import { AppError } from '../../domain/errors.ts';

export interface RestCredentials {
  readonly user: string;
  readonly password: string;
}

/** HTTP Basic on every route of `app` (`disable_rest_auth=false`). Takes as long for a wrong name as for a wrong password. */
export async function requireBasicAuth(app: FastifyInstance, credentials: RestCredentials): Promise<void> {
  await app.register(basicAuth, {
    authenticate: { realm: 'rest-api' },
    validate(user, password, _request, _reply, done) {
      const isUser = equals(user, credentials.user);
      const isPassword = equals(password, credentials.password);
      done(isUser && isPassword ? undefined : new AppError('UNAUTHORIZED', 'wrong user or password'));
    },
  });
  app.addHook('onRequest', app.basicAuth);
}

/** Digests have one length, which `timingSafeEqual` needs. */
function equals(given: string, wanted: string): boolean {
  return timingSafeEqual(createHash('sha256').update(given).digest(), createHash('sha256').update(wanted).digest());
}
