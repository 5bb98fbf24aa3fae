import { describe, expect, it } from 'vitest';
import { classifyAddress, createAddressPolicy } from '../../src/egress/address-policy.ts';

const table: [string, string][] = [
  ['8.8.8.8', 'public'],
  ['172.15.255.255', 'public'],
  ['172.32.0.0', 'public'],
  ['100.128.0.0', 'public'],
  ['2606:4700::1111', 'public'],
  ['10.0.0.1', 'private'],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'private'],
  ['fd12:3456::1', 'private'],
  ['fec0::1', 'private'],
  ['64:ff9b:1::1', 'reserved'],
  ['64:ff9b:1::a9fe:a9fe', 'reserved'],
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['::1', 'loopback'],
  ['169.254.1.1', 'link_local'],
  ['fe80::1', 'link_local'],
  ['fe80::1%eth0', 'link_local'],
  ['febf::1', 'link_local'],
  ['169.254.169.254', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['100.100.100.200', 'metadata'],
  ['168.63.129.16', 'metadata'],
  ['fd00:ec2::254', 'metadata'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.250', 'multicast'],
  ['ff02::1', 'multicast'],
  ['0.0.0.0', 'unspecified'],
  ['0.1.2.3', 'unspecified'],
  ['::', 'unspecified'],
  ['192.0.2.1', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['203.0.113.9', 'reserved'],
  ['240.0.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['2001:db8::1', 'reserved'],
  ['2001::1', 'reserved'],
  ['100::1', 'reserved'],
  ['4000::1', 'reserved'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['0:0:0:0:0:ffff:a9fe:a9fe', 'metadata'],
  ['::ffff:8.8.8.8', 'public'],
  ['::127.0.0.1', 'loopback'],
  ['64:ff9b::a00:1', 'private'],
  ['64:ff9b::169.254.169.254', 'metadata'],
  ['64:ff9b::808:808', 'public'],
  ['2002:7f00:1::', 'loopback'],
  ['not an address', 'reserved'],
];

describe('address classes', () => {
  for (const [address, expected] of table) {
    it(`calls ${address} ${expected}`, () => expect(classifyAddress(address)).toBe(expected));
  }
});

describe('address policy', () => {
  const policy = (privateAddresses: 'rest' | 'all' | 'none', allow: string[] = [], deny: string[] = []) =>
    createAddressPolicy({ privateAddresses, allow, deny });

  it('lets private and loopback destinations be named by those who may', () => {
    for (const address of ['10.0.0.1', '127.0.0.1', '::1']) {
      const answers = (['rest', 'all', 'none'] as const).map((who) => [
        policy(who)(address, 'rest') === undefined,
        policy(who)(address, 'other') === undefined,
      ]);
      expect(answers).toEqual([
        [true, false],
        [true, true],
        [false, false],
      ]);
    }
  });

  it('never allows link-local, metadata, multicast and unspecified addresses', () => {
    const all = policy('all', ['0.0.0.0/0', '::/0']);
    for (const address of [
      '169.254.1.1',
      '169.254.169.254',
      '::ffff:169.254.169.254',
      '224.0.0.1',
      '0.0.0.0',
      '::',
      'fe80::1%1',
      'nonsense',
    ]) {
      expect(all(address, 'rest')).toBeTypeOf('string');
    }
    expect(all('198.18.0.1', 'other')).toBeUndefined();
  });

  it('says what kind of address was refused', () => {
    expect(policy('none')('10.0.0.1', 'rest')).toBe('private address');
    expect(policy('none')('169.254.3.3', 'rest')).toBe('link-local address');
  });

  it('puts the deny list above the allow list, in any spelling of an address', () => {
    const both = policy('none', ['10.1.0.0/16', '203.0.113.7'], ['10.1.2.0/23', '8.8.8.8']);
    expect(both('10.1.9.1', 'other')).toBeUndefined();
    expect(both('203.0.113.7', 'other')).toBeUndefined();
    for (const address of ['10.1.3.255', '8.8.8.8', '::ffff:8.8.8.8', '64:ff9b::808:808']) {
      expect(both(address, 'rest')).toBe('address on the deny list');
    }
    expect(both('10.2.0.1', 'rest')).toBe('private address');
  });

  it('refuses a malformed CIDR when it is made', () => {
    for (const cidr of ['10.0.0.0/33', '10.0.0/8', 'x', '::/129', '10.0.0.0/8/8', '10.0.0.0/']) {
      expect(() => policy('none', [cidr])).toThrow('not an address or CIDR');
    }
  });
});
