import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Resolve } from './dial.ts';

export interface NameResolverOptions {
  /** `address:port` of each, asked for with every question; default those of the system. */
  readonly servers?: (() => readonly string[]) | undefined;
  readonly hostsPath?: string | undefined;
}

/** For one question to one name server; it is asked twice. */
const TIMEOUT_MS = 1500;
const TRIES = 2;
/** What IPv6 addresses have behind IPv4 ones: some name servers never say that there are none (RFC 8305 §3 has a delay like that). */
const IPV6_GRACE_MS = 100;
const HOSTS_PATH = '/etc/hosts';
/** Then nothing is known about the name, and asking in another way would take as long. */
const NO_ANSWER = new Set(['ETIMEOUT', 'ECANCELLED', 'ESERVFAIL', 'EREFUSED']);
/** Of look-ups of the system's own, which may be slow. */
const MAX_WAITING_LOOKUPS = 8;

/**
 * Addresses of names that anybody may give us. The system's own look-up waits for a silent name server in one of the few threads
 * that all look-ups of the process share: two such names would hold up everybody's. So name servers are asked over sockets of our
 * own, after the hosts file; what only the system knows (search domains, numbers written oddly) is looked up there, one name at a time.
 */
export function createNameResolver({ servers, hostsPath = HOSTS_PATH }: NameResolverOptions = {}): Resolve {
  const lookUp = oneLookupAtATime();
  return async (host) => {
    if (isIP(host) !== 0) return [{ address: host }];
    const listed = await fromHosts(hostsPath, host);
    if (listed.length > 0) return listed;
    // Name servers are those of now: a machine may get others while we run.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (servers) resolver.setServers(servers());
    const [ipv4, ipv6] = [settled(resolver.resolve4(host)), settled(resolver.resolve6(host))];
    const first = await ipv4;
    const second = await (first.addresses.length > 0 ? Promise.race([ipv6, pause(IPV6_GRACE_MS, NO_ADDRESSES)]) : ipv6);
    // What is still asked would keep its socket until it times out.
    resolver.cancel();
    const found = [...first.addresses, ...second.addresses];
    if (found.length > 0) return found.map((address) => ({ address }));
    for (const { error } of [first, second]) if (NO_ANSWER.has(codeOf(error))) throw error;
    return lookUp(host);
  };
}

interface Settled {
  readonly addresses: readonly string[];
  readonly error?: unknown;
}

const NO_ADDRESSES: Settled = { addresses: [] };

function settled(question: Promise<string[]>): Promise<Settled> {
  return question.then(
    (addresses) => ({ addresses }),
    (error: unknown) => ({ addresses: [], error }),
  );
}

function oneLookupAtATime(): Resolve {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return (host) => {
    if (waiting >= MAX_WAITING_LOOKUPS) {
      const error = new Error(`too many names are looked up at once to look up ${host}`);
      return Promise.reject(Object.assign(error, { code: 'EAI_AGAIN' }));
    }
    waiting += 1;
    const own = last.then(() => lookup(host, { all: true }));
    last = own.catch(() => {}).finally(() => (waiting -= 1));
    return own;
  };
}

/** hosts(5): an address and its names on each line. */
async function fromHosts(path: string, host: string): Promise<{ readonly address: string }[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const wanted = host.toLowerCase();
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const isMeant = isIP(address) !== 0 && names.some((name) => name.toLowerCase() === wanted);
    return isMeant ? [{ address }] : [];
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
