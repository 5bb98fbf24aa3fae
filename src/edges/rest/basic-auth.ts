import { createHash, timingSafeEqual } from 'node:crypto';
import basicAuth from '@fastify/basic-auth';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import { AppError } from '../../domain/errors.ts';
import { SourceLimiter } from '../../domain/source-limiter.ts';
import { placeOf } from '../../services/place-of.ts';

export interface RestCredentials {
  readonly user: string;
  readonly password: string;
}

/** Wrong passwords from one place in a minute: plenty for a forgetful operator, and none for a list of passwords. */
const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;

/** For all routes together, so that a guesser has no second chance on another path. */
export function createLoginLimiter(clock: Clock): SourceLimiter {
  return new SourceLimiter({ clock, max: MAX_FAILURES, windowMs: WINDOW_MS });
}

/**
 * HTTP Basic on every route of `app` (`disable_rest_auth=false`). Takes as long for a wrong name as for a wrong password. After too
 * many wrong ones from one place nobody there gets an answer until the minute is over, the one who knows the password included.
 */
export async function requireBasicAuth(
  app: FastifyInstance,
  credentials: RestCredentials,
  limiter: SourceLimiter,
): Promise<void> {
  await app.register(basicAuth, {
    authenticate: { realm: 'rest-api' },
    validate(user, password, request, _reply, done) {
      const isUser = equals(user, credentials.user);
      const isPassword = equals(password, credentials.password);
      if (isUser && isPassword) return done();
      limiter.charge(placeOf(request.ip));
      return done(new AppError('UNAUTHORIZED', 'wrong user or password'));
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    if (limiter.allows(placeOf(request.ip))) return;
    reply.header('retry-after', Math.ceil(limiter.remainingMs / 1000));
    throw new AppError('TOO_MANY_FAILURES', 'too many wrong passwords from this address; try again in a minute');
  });
  app.addHook('onRequest', app.basicAuth);
}

/** Digests have one length, which `timingSafeEqual` needs. */
function equals(given: string, wanted: string): boolean {
  return timingSafeEqual(createHash('sha256').update(given).digest(), createHash('sha256').update(wanted).digest());
}
