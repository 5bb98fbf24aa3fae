import { AppError } from '../domain/errors.ts';
import { embeddedIpv4, isInside, knownCidr, parseAddress, parseCidr } from './address.ts';
import type { AddressBytes, Cidr } from './address.ts';

export type AddressClass =
  'public' | 'private' | 'loopback' | 'link_local' | 'metadata' | 'multicast' | 'unspecified' | 'reserved';

/** Who named the destination: the operator's REST interface, or anybody else (a browser). */
export type DestinationCaller = 'rest' | 'other';

/** Returns why the address is refused, or undefined. */
export type AddressPolicy = (address: string, caller: DestinationCaller) => string | undefined;

export interface AddressPolicyOptions {
  /** Who may name private and loopback destinations. */
  readonly privateAddresses: 'rest' | 'all' | 'none';
  /** CIDRs that are allowed although private or reserved. */
  readonly allow: readonly string[];
  /** CIDRs that are refused although public or allowed. */
  readonly deny: readonly string[];
}

/** First match wins. Sources: IANA special-purpose registries (RFC 6890), and the clouds' own documents for metadata. */
const CLASSES: readonly { readonly cidr: Cidr; readonly addressClass: AddressClass }[] = Object.entries({
  metadata: [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::/32',
    'fd20:ce::254',
  ],
  unspecified: ['0.0.0.0/8', '::/128'],
  loopback: ['127.0.0.0/8', '::1/128'],
  link_local: ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10'],
  reserved: [
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '240.0.0.0/4',
    // Local-use NAT64 (RFC 8215): which IPv4 address is meant, metadata included, only that network's gateway knows.
    '64:ff9b:1::/48',
    '2001::/23',
    '2001:db8::/32',
    '3fff::/20',
  ],
  public: ['0.0.0.0/0', '2000::/3'],
} satisfies Record<AddressClass, readonly string[]>).flatMap(([addressClass, cidrs]) =>
  cidrs.map((cidr) => ({ cidr: knownCidr(cidr), addressClass: addressClass as AddressClass })),
);

/** Refused whatever the configuration says: nobody publishes there, but requests sent there can do harm. */
const ALWAYS_REFUSED: ReadonlySet<AddressClass> = new Set(['link_local', 'metadata', 'multicast', 'unspecified']);

/** What kind of address this is; an IPv6 address that leads to an IPv4 one is judged by that. Text that is no address is reserved. */
export function classifyAddress(address: string): AddressClass {
  const bytes = parseAddress(address);
  return bytes ? classifyBytes(embeddedIpv4(bytes) ?? bytes) : 'reserved';
}

/**
 * The rule for outgoing connections, asked with the address that is about to be dialled, after resolution.
 *
 * @throws {AppError} BAD_CONFIGURATION for a malformed CIDR
 */
export function createAddressPolicy({ privateAddresses, allow, deny }: AddressPolicyOptions): AddressPolicy {
  const allowed = allow.map(configuredCidr);
  const denied = deny.map(configuredCidr);
  return (address, caller) => {
    const bytes = parseAddress(address);
    if (!bytes) return 'not an IP address';
    const embedded = embeddedIpv4(bytes);
    const addressClass = classifyBytes(embedded ?? bytes);
    const matches = (cidr: Cidr) => isInside(bytes, cidr) || (embedded !== undefined && isInside(embedded, cidr));
    if (ALWAYS_REFUSED.has(addressClass)) return `${addressClass.replace('_', '-')} address`;
    if (denied.some(matches)) return 'address on the deny list';
    if (addressClass === 'public' || allowed.some(matches)) return undefined;
    const isPrivate = addressClass === 'private' || addressClass === 'loopback';
    if (isPrivate && (privateAddresses === 'all' || privateAddresses === caller)) return undefined;
    return `${addressClass} address`;
  };
}

function classifyBytes(bytes: AddressBytes): AddressClass {
  return CLASSES.find(({ cidr }) => isInside(bytes, cidr))?.addressClass ?? 'reserved';
}

function configuredCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new AppError('BAD_CONFIGURATION', `not an address or CIDR: ${text}`);
  return cidr;
}
