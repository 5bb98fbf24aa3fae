import { expect, it } from 'vitest';
import { AddressCounter, plainAddress } from '../../src/domain/client-address.ts';

it('an IPv4 address is written as such on a dual-stack socket too', () => {
  expect(plainAddress('::ffff:192.0.2.1')).toBe('192.0.2.1');
  expect(plainAddress('2001:db8::1')).toBe('2001:db8::1');
  expect(plainAddress(undefined)).toBe('');
});

it('addresses are counted each for itself, down to none', () => {
  const counter = new AddressCounter();
  counter.add('192.0.2.1');
  counter.add('192.0.2.1');
  counter.add('192.0.2.2');
  counter.remove('192.0.2.1');
  expect([counter.of('192.0.2.1'), counter.of('192.0.2.2'), counter.of('192.0.2.3')]).toEqual([1, 1, 0]);
  counter.remove('192.0.2.1');
  expect(counter.of('192.0.2.1')).toBe(0);
});
