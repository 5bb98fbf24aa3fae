import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAmf0 } from '../../../src/protocol/amf0/decode.ts';
import { encodeAmf0 } from '../../../src/protocol/amf0/encode.ts';
import { AmfDate, AmfEcmaArray, amfObject, amfProperties, amfString } from '../../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../../src/protocol/amf0/values.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const cases: { name: string; value: AmfValue; hex: string }[] = [
  { name: 'a number', value: 1.5, hex: '003ff8000000000000' },
  { name: 'true', value: true, hex: '0101' },
  { name: 'false', value: false, hex: '0100' },
  { name: 'a string', value: 'live', hex: '0200046c697665' },
  { name: 'an empty string', value: '', hex: '020000' },
  { name: 'a string outside ASCII', value: 'ü€', hex: '020005c3bce282ac' },
  { name: 'null', value: null, hex: '05' },
  { name: 'undefined', value: undefined, hex: '06' },
  { name: 'an object', value: amfObject({ app: 'x', n: null }), hex: '0300036170700200017800016e05000009' },
  { name: 'an empty object', value: amfObject(), hex: '03000009' },
  { name: 'an ECMA array', value: new AmfEcmaArray({ a: 1 }), hex: '0800000001000161003ff0000000000000000009' },
  { name: 'a strict array', value: ['avc1', true], hex: '0a00000002020004617663310101' },
  { name: 'a date', value: new AmfDate(0), hex: '0b00000000000000000000' },
  { name: 'a long string', value: 'a'.repeat(65_536), hex: `0c00010000${'61'.repeat(65_536)}` },
];

describe('AMF0', () => {
  for (const { name, value, hex } of cases) {
    it(`writes ${name}`, () => expect(encodeAmf0([value]).toString('hex')).toBe(hex));
    it(`reads ${name}`, () => expect(decodeAmf0(Buffer.from(hex, 'hex'))).toEqual([value]));
  }

  it('reads a typed object as its properties and "unsupported" as undefined', () => {
    expect(decodeAmf0(Buffer.from('100002616200016101010000090d', 'hex'))).toEqual([amfObject({ a: true }), undefined]);
  });

  it('believes the end marker of an ECMA array, not its count', () => {
    expect(decodeAmf0(Buffer.from('08ffffffff0001610101000009', 'hex'))).toEqual([new AmfEcmaArray({ a: true })]);
  });

  it('keeps a key __proto__ as data', () => {
    const [value] = decodeAmf0(encodeAmf0([JSON.parse('{"__proto__":{"polluted":true}}') as AmfValue]));
    expect(Object.keys(amfProperties(value!)!)).toEqual(['__proto__']);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it('refuses depth beyond the limit', () => {
    const nested = (depth: number): Buffer =>
      Buffer.from(`${'03000161'.repeat(depth)}05${'000009'.repeat(depth)}`, 'hex');
    expect(protocolErrorCode(() => decodeAmf0(nested(8)))).toBe('none');
    expect(protocolErrorCode(() => decodeAmf0(nested(9)))).toBe('AMF0_DEPTH');
    expect(protocolErrorCode(() => decodeAmf0(nested(10_000)))).toBe('AMF0_DEPTH');
  });

  it('refuses more values than the limit', () => {
    expect(protocolErrorCode(() => decodeAmf0(Buffer.alloc(1024, 5)))).toBe('none');
    expect(protocolErrorCode(() => decodeAmf0(Buffer.alloc(1025, 5)))).toBe('AMF0_VALUES');
  });

  it('refuses a counted bomb without allocating for it', () => {
    expect(protocolErrorCode(() => decodeAmf0(Buffer.from('0affffffff', 'hex')))).toBe('AMF0_TRUNCATED');
  });

  it('refuses references, XML and the switch to AMF3', () => {
    for (const marker of [0x04, 0x07, 0x0e, 0x0f, 0x11, 0xff])
      expect(protocolErrorCode(() => decodeAmf0(Buffer.from([marker])))).toBe('AMF0_MARKER');
  });

  it('finds a string property in either kind of object and nowhere else', () => {
    expect(amfString(amfObject({ code: 'x' }), 'code')).toBe('x');
    expect(amfString(new AmfEcmaArray({ code: 'x' }), 'code')).toBe('x');
    for (const value of [null, undefined, 1, 'code', ['x'], new AmfDate(1), amfObject({ code: 1 })]) {
      expect(amfString(value, 'code')).toBeUndefined();
    }
  });

  const scalar = fc.oneof(
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.string({ unit: 'grapheme' }),
    fc.constant(null),
    fc.constant(undefined),
  );
  const { value: anyValue } = fc.letrec<{ value: AmfValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      scalar,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'), { maxKeys: 4 }).map((entries) => amfObject(entries)),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }).map((entries) => new AmfEcmaArray(entries)),
    ),
  }));

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 5 }), (values) => {
        expect(decodeAmf0(encodeAmf0(values))).toEqual(values);
      }),
    );
  });

  it('reads a truncated message as an error or as fewer values', () => {
    fc.assert(
      fc.property(
        fc.array(anyValue, { minLength: 1, maxLength: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const bytes = encodeAmf0(values);
          const cut = bytes.subarray(0, Math.floor(share * (bytes.length - 1)));
          let read: AmfValue[] = [];
          expect(['AMF0_TRUNCATED', 'none']).toContain(protocolErrorCode(() => (read = decodeAmf0(cut))));
          expect(read.length).toBeLessThan(values.length);
        },
      ),
    );
  });

  it('throws nothing but a ProtocolError for random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(protocolErrorCode(() => decodeAmf0(Buffer.from(bytes)))).toMatch(/^(AMF0_|none)/);
      }),
      {
        numRuns: 2000,
      },
    );
  });
});
