import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';

const RESOLVE_TIMEOUT_MS = 3000;

/** Looks a host up; rejects when there is no such name. */
export type HostResolver = (host: string) => Promise<unknown>;

/** Throws UNRESOLVABLE_HOST when `host` has no address within 3 s. */
export async function requireResolvable(host: string, resolve: HostResolver, clock: Clock): Promise<void> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(RESOLVE_TIMEOUT_MS, () => reject(new Error(`no answer in ${RESOLVE_TIMEOUT_MS} ms`)));
  try {
    await Promise.race([resolve(host), deadline]);
  } catch (error) {
    throw new AppError('UNRESOLVABLE_HOST', `the host "${host}" of rtmpUrl cannot be resolved`, { cause: error });
  } finally {
    cancel();
  }
}
