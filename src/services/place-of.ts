import { embeddedIpv4, parseAddress } from '../egress/address.ts';

/** Whom an address is counted for: an IPv4 address, or the /64 of an IPv6 one, all of which a single machine may have. */
export function placeOf(ip: string): string {
  const bytes = parseAddress(ip);
  return bytes ? (embeddedIpv4(bytes) ?? bytes.slice(0, 8)).join('.') : ip;
}
