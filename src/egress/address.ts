import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes. */
export type AddressBytes = readonly number[];

export interface Cidr {
  readonly bytes: AddressBytes;
  readonly prefixBits: number;
}

const IPV4_IN_IPV6_PREFIXES: readonly { cidr: Cidr; at: number }[] = [
  { cidr: knownCidr('::ffff:0:0/96'), at: 12 },
  { cidr: knownCidr('::/96'), at: 12 },
  { cidr: knownCidr('64:ff9b::/96'), at: 12 },
  { cidr: knownCidr('2002::/16'), at: 2 },
];

/** The bytes of an address as `dns.lookup` spells it (a zone index is dropped), or undefined. */
export function parseAddress(text: string): AddressBytes | undefined {
  if (isIPv4(text)) return text.split('.').map(Number);
  if (!isIPv6(text)) return undefined;
  const address = text.split('%', 1)[0]!;
  const [head, tail] = address.split('::', 2) as [string, string | undefined];
  const headBytes = groupBytes(head);
  if (tail === undefined) return headBytes;
  const tailBytes = groupBytes(tail);
  const zeros = Array.from({ length: 16 - headBytes.length - tailBytes.length }, () => 0);
  return [...headBytes, ...zeros, ...tailBytes];
}

/** `address/prefix`, or an address alone; undefined when it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const [address, prefix, ...more] = text.trim().split('/');
  const bytes = parseAddress(address!);
  if (!bytes || more.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined;
  const prefixBits = prefix === undefined ? bytes.length * 8 : Number(prefix);
  return prefixBits <= bytes.length * 8 ? { bytes, prefixBits } : undefined;
}

export function isInside(address: AddressBytes, { bytes, prefixBits }: Cidr): boolean {
  if (address.length !== bytes.length) return false;
  const wholeBytes = prefixBits >> 3;
  for (let index = 0; index < wholeBytes; index++) if (address[index] !== bytes[index]) return false;
  const restBits = prefixBits & 7;
  return restBits === 0 || (address[wholeBytes]! ^ bytes[wholeBytes]!) >> (8 - restBits) === 0;
}

/**
 * The IPv4 address that an IPv6 address leads to: IPv4-mapped and -compatible (RFC 4291 §2.5.5), NAT64 (RFC 6052) and
 * 6to4 (RFC 3056). `::` and `::1` are themselves.
 */
export function embeddedIpv4(address: AddressBytes): AddressBytes | undefined {
  if (address.length !== 16 || address.slice(0, 15).every((byte) => byte === 0)) return undefined;
  const prefix = IPV4_IN_IPV6_PREFIXES.find(({ cidr }) => isInside(address, cidr));
  return prefix && address.slice(prefix.at, prefix.at + 4);
}

/** For constants of this program. */
export function knownCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new Error(`not a CIDR: ${text}`);
  return cidr;
}

function groupBytes(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
