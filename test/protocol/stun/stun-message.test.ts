import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { decodeXorAddress, encodeXorAddress, plainAddress } from '../../../src/protocol/stun/stun-address.ts';
import {
  findAttribute,
  hasNoBadFingerprint,
  hasValidIntegrity,
  parseStun,
  STUN_ATTRIBUTE,
  STUN_TYPE,
} from '../../../src/protocol/stun/stun-message.ts';
import { encodeErrorCode, StunWriter } from '../../../src/protocol/stun/stun-writer.ts';

/** RFC 5769 §2.1–2.3: request and responses over IPv4 and IPv6, password `VOkJxbRl1RmTxUk/WvJxBt`. */
const PASSWORD = 'VOkJxbRl1RmTxUk/WvJxBt';
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const REQUEST = hex(`
  00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74
  00240004 6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf`);
const RESPONSE_IPV4 = hex(`
  0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
  00200008 0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96`);
const RESPONSE_IPV6 = hex(`
  01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220
  00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
  00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c`);

const transactionIds = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes));

/** The result, or undefined for a ProtocolError; any other error fails the test. */
function orProtocolError<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}

describe('STUN messages', () => {
  it('reads the sample request of RFC 5769', () => {
    const message = parseStun(REQUEST);
    expect(message.type).toBe(STUN_TYPE.request);
    expect(findAttribute(message, STUN_ATTRIBUTE.username)!.value.toString()).toBe('evtj:h6vY');
    expect(findAttribute(message, STUN_ATTRIBUTE.priority)!.value).toEqual(hex('6e0001ff'));
    expect(hasValidIntegrity(message, PASSWORD)).toBe(true);
    expect(hasNoBadFingerprint(message)).toBe(true);
    expect(hasValidIntegrity(message, `${PASSWORD}!`)).toBe(false);
  });

  it.each([
    ['IPv4', RESPONSE_IPV4, '192.0.2.1'],
    ['IPv6', RESPONSE_IPV6, '2001:db8:1234:5678:11:2233:4455:6677'],
  ])('reads the sample %s response of RFC 5769', (_family, packet, address) => {
    const message = parseStun(packet);
    const mapped = findAttribute(message, STUN_ATTRIBUTE.xorMappedAddress)!.value;
    expect(decodeXorAddress(mapped, message.transactionId)).toEqual({ address, port: 32853 });
    expect(encodeXorAddress(address, 32853, message.transactionId)).toEqual(mapped);
    expect(hasValidIntegrity(message, PASSWORD)).toBe(true);
    expect(hasNoBadFingerprint(message)).toBe(true);
  });

  it('are rejected when any bit in front of the fingerprint changes', () => {
    for (let bit = 0; bit < (REQUEST.length - 8) * 8; bit++) {
      const spoiled = Buffer.from(REQUEST);
      spoiled[bit >> 3]! ^= 1 << (bit & 7);
      // What is changed into no FINGERPRINT at all is still caught by the integrity.
      const passes = orProtocolError(() => {
        const message = parseStun(spoiled);
        return hasNoBadFingerprint(message) && hasValidIntegrity(message, PASSWORD);
      });
      expect(passes).not.toBe(true);
    }
  });

  it('do not count attributes behind the integrity, which nobody has signed', () => {
    const signed = new StunWriter(STUN_TYPE.request, Buffer.alloc(12)).finish('password');
    const unsigned = Buffer.concat([signed.subarray(0, -8), hex('00250000'), signed.subarray(-8)]);
    unsigned.writeUInt16BE(unsigned.length - 20, 2);
    expect(findAttribute(parseStun(unsigned), STUN_ATTRIBUTE.useCandidate)).toBeUndefined();
  });

  it('come back as they were written', () => {
    fc.assert(
      fc.property(
        transactionIds,
        fc.array(fc.tuple(fc.integer({ min: 0x4000, max: 0x7fff }), fc.uint8Array({ maxLength: 40 })), {
          maxLength: 8,
        }),
        fc.string({ minLength: 1, maxLength: 30 }),
        (transactionId, attributes, password) => {
          const writer = new StunWriter(STUN_TYPE.success, transactionId);
          for (const [type, value] of attributes) writer.add(type, Buffer.from(value));
          const message = parseStun(writer.finish(password));
          expect(message.transactionId).toEqual(transactionId);
          expect(message.attributes.slice(0, -2).map(({ type, value }) => [type, [...value]])).toEqual(
            attributes.map(([type, value]) => [type, [...value]]),
          );
          expect(hasValidIntegrity(message, password)).toBe(true);
          expect(hasNoBadFingerprint(message)).toBe(true);
        },
      ),
    );
  });

  it('throw nothing but ProtocolError, whatever comes', () => {
    const parseAnything = (bytes: Uint8Array): void => {
      orProtocolError(() => {
        const message = parseStun(Buffer.from(bytes));
        return [hasValidIntegrity(message, PASSWORD), hasNoBadFingerprint(message)];
      });
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), parseAnything));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        const header = Buffer.from(REQUEST.subarray(0, 20));
        const length = body.length & ~3;
        header.writeUInt16BE(length, 2);
        parseAnything(Buffer.concat([header, body.subarray(0, length)]));
      }),
    );
    for (let length = 0; length < REQUEST.length; length++) {
      expect(() => parseStun(REQUEST.subarray(0, length))).toThrow(ProtocolError);
    }
  });

  it('have a limit on attributes and on size', () => {
    const many = Buffer.concat([hex('00010104 2112a442'), Buffer.alloc(12), Buffer.alloc(65 * 4)]);
    expect(() => parseStun(many)).toThrow(expect.objectContaining({ code: 'STUN_ATTRIBUTE' }));
    const writer = new StunWriter(STUN_TYPE.request, Buffer.alloc(12));
    expect(() => writer.add(STUN_ATTRIBUTE.username, Buffer.alloc(1100))).toThrow(RangeError);
  });

  it('name an error by hundreds and the rest', () => {
    expect(encodeErrorCode(420, 'no')).toEqual(Buffer.concat([Buffer.from([0, 0, 4, 20]), Buffer.from('no')]));
  });
});

describe('STUN addresses', () => {
  it('survive the way there and back', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 65535 }), transactionIds, (address, port, id) => {
        expect(decodeXorAddress(encodeXorAddress(address, port, id), id)).toEqual({ address, port });
        expect(encodeXorAddress(`::ffff:${address}`, port, id)).toEqual(encodeXorAddress(address, port, id));
      }),
    );
  });

  it.each([
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['2001:db8::', '2001:db8:0:0:0:0:0:0'],
    ['fe80::1:2%eth0', 'fe80:0:0:0:0:0:1:2'],
  ])('read %s in its short form', (short, long) => {
    const id = Buffer.alloc(12, 7);
    expect(decodeXorAddress(encodeXorAddress(short, 1, id), id).address).toBe(long);
  });

  it('are refused with a wrong family or length', () => {
    for (const bytes of ['', '0001', '0001000001020304ff', '000300000102030405', '00020000010203040506']) {
      expect(() => decodeXorAddress(hex(bytes), Buffer.alloc(12))).toThrow(
        expect.objectContaining({ code: 'STUN_ADDRESS' }),
      );
    }
  });

  it('lose the prefix of a dual-stack socket only where IPv4 is behind it', () => {
    expect(plainAddress('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(plainAddress('::ffff:c000:201')).toBe('::ffff:c000:201');
    expect(plainAddress('::1')).toBe('::1');
  });
});
