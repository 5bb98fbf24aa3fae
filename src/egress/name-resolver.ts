import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Resolve } from './dial.ts';

export interface NameResolverOptions {
  /** `address:port` of each; default those of the system. */
  readonly servers?: readonly string[] | undefined;
  readonly hostsPath?: string | undefined;
}

/** For one question to one name server; it is asked twice. */
const TIMEOUT_MS = 1500;
const TRIES = 2;
const HOSTS_PATH = '/etc/hosts';
/** Then nothing is known about the name, and asking in another way would take as long. */
const NO_ANSWER = new Set(['ETIMEOUT', 'ECANCELLED']);

/**
 * Addresses of names that anybody may give us. The system's own look-up waits for a silent name server in one of the few threads
 * that all look-ups of the process share: two such names would hold up everybody's. So name servers are asked over sockets of our
 * own, after the hosts file; what only the system knows (search domains, numbers written oddly) is looked up there, one name at a time.
 */
export function createNameResolver({ servers, hostsPath = HOSTS_PATH }: NameResolverOptions = {}): Resolve {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers) resolver.setServers(servers);
  let lastLookup: Promise<unknown> = Promise.resolve();
  return async (host) => {
    if (isIP(host) !== 0) return [{ address: host }];
    const listed = await fromHosts(hostsPath, host);
    if (listed.length > 0) return listed;
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found.map((address) => ({ address }));
    const silence = answers.find((answer) => answer.status === 'rejected' && NO_ANSWER.has(codeOf(answer.reason)));
    if (silence?.status === 'rejected') throw silence.reason;
    const own = lastLookup.then(() => lookup(host, { all: true }));
    lastLookup = own.catch(() => {});
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
