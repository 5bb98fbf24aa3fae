import { ProtocolError } from '../../domain/errors.ts';
import { STUN_MAGIC_COOKIE } from './stun-message.ts';

const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
/** Enough to tell the families of IP literals apart. */
const DOTTED = /^\d+\.\d+\.\d+\.\d+$/;
const MAPPED_PREFIX = '::ffff:';

/** A dual-stack socket shows IPv4 peers as `::ffff:192.0.2.1`; on the wire and in logs they are plain IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && DOTTED.test(address.slice(MAPPED_PREFIX.length))
    ? address.slice(MAPPED_PREFIX.length)
    : address;
}

/** The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2). `address` is an IP literal; a zone id is not sent. */
export function encodeXorAddress(address: string, port: number, transactionId: Buffer): Buffer {
  const plain = plainAddress(address);
  const bytes = DOTTED.test(plain) ? ipv4Bytes(plain) : ipv6Bytes(plain);
  const value = Buffer.alloc(4 + bytes.length);
  value[1] = bytes.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
  value.writeUInt16BE(port, 2);
  bytes.copy(value, 4);
  xorAddress(value, transactionId);
  return value;
}

/** The reverse of `encodeXorAddress`. Throws ProtocolError `STUN_ADDRESS`. */
export function decodeXorAddress(value: Buffer, transactionId: Buffer): { address: string; port: number } {
  const addressBytes = value[1] === FAMILY_IPV4 ? 4 : 16;
  if ((value[1] !== FAMILY_IPV4 && value[1] !== FAMILY_IPV6) || value.length !== 4 + addressBytes) {
    throw new ProtocolError('STUN_ADDRESS', 'STUN address of unknown family or wrong length');
  }
  const plain = Buffer.from(value);
  xorAddress(plain, transactionId);
  const port = plain.readUInt16BE(2);
  if (addressBytes === 4) return { address: plain.subarray(4).join('.'), port };
  const groups = Array.from({ length: 8 }, (_, index) => plain.readUInt16BE(4 + 2 * index).toString(16));
  return { address: groups.join(':'), port };
}

function xorAddress(value: Buffer, transactionId: Buffer): void {
  value.writeUInt16BE(value.readUInt16BE(2) ^ (STUN_MAGIC_COOKIE >>> 16), 2);
  const mask = Buffer.alloc(16);
  mask.writeUInt32BE(STUN_MAGIC_COOKIE, 0);
  transactionId.copy(mask, 4, 0, 12);
  for (let index = 4; index < value.length; index++) value[index]! ^= mask[index - 4]!;
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function ipv6Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const write = (groups: readonly string[], from: number) =>
    groups.forEach((group, index) => bytes.writeUInt16BE(parseInt(group, 16), from + 2 * index));
  const headGroups = head === '' ? [] : head.split(':');
  const tailGroups = tail === undefined || tail === '' ? [] : tail.split(':');
  write(headGroups, 0);
  write(tailGroups, 16 - 2 * tailGroups.length);
  return bytes;
}
