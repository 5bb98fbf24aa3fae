import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';

const RESOLVE_TIMEOUT_MS = 3000;

/** Looks a host up; rejects when there is no such name. */
export type HostResolver = (host: string) => Promise<readonly { readonly address: string }[]>;

export interface HostRules {
  readonly resolve: HostResolver;
  /** Why an address is not to be dialled, or undefined. */
  readonly refusalOf: (address: string) => string | undefined;
  readonly clock: Clock;
}

/**
 * Tells callers at once what could only fail later; the gate looks again when it dials. Throws UNRESOLVABLE_HOST when `host` has
 * no address within 3 s, and FORBIDDEN_ADDRESS when it has none that may be dialled.
 */
export async function requireUsableHost(host: string, { resolve, refusalOf, clock }: HostRules): Promise<void> {
  const [first, ...others] = await addressesOf(host, resolve, clock);
  if (first === undefined) throw new AppError('UNRESOLVABLE_HOST', `the host "${host}" of rtmpUrl has no address`);
  const refusal = refusalOf(first);
  if (refusal === undefined || others.some((address) => refusalOf(address) === undefined)) return;
  throw new AppError('FORBIDDEN_ADDRESS', `publishing to the host "${host}" of rtmpUrl is not allowed: ${refusal}`);
}

async function addressesOf(host: string, resolve: HostResolver, clock: Clock): Promise<string[]> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(RESOLVE_TIMEOUT_MS, () => reject(new Error(`no answer in ${RESOLVE_TIMEOUT_MS} ms`)));
  try {
    const found = await Promise.race([resolve(host), deadline]);
    return found.map(({ address }) => address);
  } catch (error) {
    throw new AppError('UNRESOLVABLE_HOST', `the host "${host}" of rtmpUrl cannot be resolved`, { cause: error });
  } finally {
    cancel();
  }
}
