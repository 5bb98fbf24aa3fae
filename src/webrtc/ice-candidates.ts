import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Candidate } from './peer.ts';

const HOST_TYPE_PREFERENCE = 126;
const RTP_COMPONENT = 1;
/** Direction preference of a passive TCP host candidate (RFC 6544 §4.2). */
const TCP_PASSIVE_PREFERENCE = 4;
const LINK_LOCAL = /^fe[89ab]/i;

/**
 * Host candidates for each address, most wanted first (RFC 8445 §5.1.2.1; RFC 6544 §4.2 for TCP, which is always passive
 * here).
 */
export function hostCandidates(addresses: readonly string[], port: number, transport: 'UDP' | 'TCP'): Candidate[] {
  const protocol = transport === 'TCP' ? 'tcp' : 'udp';
  return addresses.map((address, index) => {
    const localPreference =
      protocol === 'tcp' ? TCP_PASSIVE_PREFERENCE * 2 ** 13 + (2 ** 13 - 1 - index) : 2 ** 16 - 1 - index;
    const priority = HOST_TYPE_PREFERENCE * 2 ** 24 + localPreference * 2 ** 8 + (256 - RTP_COMPONENT);
    return { foundation: `${protocol}${index + 1}`, protocol, priority, address, port };
  });
}

/**
 * The addresses to announce when none are configured: the one that the socket is bound to, else all of the machine's that
 * the socket can be reached at from outside, else the loopback address.
 */
export function reachableAddresses(bindAddress: string): string[] {
  if (bindAddress !== '::' && bindAddress !== '0.0.0.0') return [bindAddress];
  const addresses = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address))
    .map(({ address }) => address)
    .filter((address) => bindAddress === '::' || !isIPv6(address));
  return addresses.length > 0 ? addresses : ['127.0.0.1'];
}
