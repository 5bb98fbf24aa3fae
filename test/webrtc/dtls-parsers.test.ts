import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/domain/errors.ts';
import { HandshakeAssembler, type HandshakeMessage } from '../../src/webrtc/dtls-handshake-assembler.ts';
import { encodeDtlsRecord, parseDtlsRecords } from '../../src/webrtc/dtls-records.ts';

function fragment(type: number, messageSeq: number, body: Buffer, from = 0, to = body.length): Buffer {
  const header = Buffer.alloc(12);
  header[0] = type;
  header.writeUIntBE(body.length, 1, 3);
  header.writeUInt16BE(messageSeq, 4);
  header.writeUIntBE(from, 6, 3);
  header.writeUIntBE(to - from, 9, 3);
  return Buffer.concat([header, body.subarray(from, to)]);
}

function isHarmless(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    return error instanceof ProtocolError;
  }
}

const summary = (messages: HandshakeMessage[]) =>
  messages.map(({ type, messageSeq, bytes }) => [type, messageSeq, bytes.toString('hex')]);

describe('DTLS records', () => {
  const records = fc.record({
    contentType: fc.integer({ min: 20, max: 63 }),
    version: fc.constantFrom(0xfefd, 0xfeff),
    epoch: fc.integer({ min: 0, max: 65535 }),
    sequenceNumber: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    fragment: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  });

  it('come back from a datagram as they were put in', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 6 }), (written) => {
        expect(parseDtlsRecords(Buffer.concat(written.map(encodeDtlsRecord)))).toEqual(written);
      }),
    );
  });

  it('are refused when the datagram ends inside one, or has too many', () => {
    const record = encodeDtlsRecord({
      contentType: 22,
      version: 0xfefd,
      epoch: 0,
      sequenceNumber: 1,
      fragment: Buffer.alloc(3),
    });
    for (let length = 1; length < record.length; length++) {
      expect(() => parseDtlsRecords(record.subarray(0, length))).toThrow(ProtocolError);
    }
    expect(parseDtlsRecords(Buffer.concat(Array(32).fill(record)))).toHaveLength(32);
    expect(() => parseDtlsRecords(Buffer.concat(Array(33).fill(record)))).toThrow(ProtocolError);
  });

  it('throw nothing but ProtocolError, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(isHarmless(() => parseDtlsRecords(Buffer.from(bytes)))).toBe(true);
      }),
    );
  });
});

describe('DTLS handshake messages', () => {
  it('come whole and in order from fragments in any order, overlapping and repeated', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 15 }),
        fc.integer({ min: 0, max: 5 }),
        fc.infiniteStream(fc.nat()),
        (bodies, step, overlap, random) => {
          const messages = bodies.map((body, index) => ({ type: index + 1, body: Buffer.from(body) }));
          const fragments = messages.flatMap(({ type, body }, seq) =>
            Array.from({ length: Math.max(1, Math.ceil(body.length / step)) }, (_, part) =>
              fragment(type, seq, body, part * step, Math.min(body.length, (part + 1) * step + overlap)),
            ),
          );
          const shuffled = [...fragments, ...fragments.slice(0, 3)]
            .map((bytes) => ({ bytes, key: random.next().value as number }))
            .sort((a, b) => a.key - b.key);
          const assembler = new HandshakeAssembler({ maxParts: 64 });
          const got = shuffled.flatMap(({ bytes }) => assembler.push(bytes).messages);
          expect(summary(got)).toEqual(
            messages.map(({ type, body }, seq) => [type, seq, fragment(type, seq, body).toString('hex')]),
          );
        },
      ),
    );
  });

  it('are known again when they are repeated', () => {
    const assembler = new HandshakeAssembler();
    const bytes = fragment(1, 0, Buffer.from('hello'));
    expect(assembler.push(bytes)).toMatchObject({ isRepeat: false, messages: [{ type: 1 }] });
    expect(assembler.push(bytes)).toEqual({ isRepeat: true, messages: [] });
  });

  it.each([
    ['a message that is too long', () => [fragment(1, 0, Buffer.alloc(101), 0, 1)]],
    ['a message too far ahead', () => [fragment(1, 3, Buffer.alloc(1))]],
    ['a fragment past the end of its message', () => [Buffer.from('010000010000000001000001ff', 'hex')]],
    ['another type for the same message', () => [1, 2].map((type) => fragment(type, 0, Buffer.alloc(9), 0, 1))],
    ['another length for the same message', () => [9, 8].map((size) => fragment(1, 0, Buffer.alloc(size), 0, 1))],
    ['too many holes', () => [0, 2, 4].map((from) => fragment(1, 0, Buffer.alloc(9), from, from + 1))],
    ['a header that is cut off', () => [Buffer.alloc(11)]],
    ['a body that is cut off', () => [fragment(1, 0, Buffer.alloc(5)).subarray(0, -1)]],
  ])('are refused for %s', (_name, make) => {
    const assembler = new HandshakeAssembler({ maxMessageBytes: 100, maxAhead: 2, maxParts: 2 });
    expect(() => make().forEach((bytes) => assembler.push(bytes))).toThrow(
      expect.objectContaining({ code: 'DTLS_HANDSHAKE' }),
    );
  });

  it('throw nothing but ProtocolError, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }), (pushes) => {
        const assembler = new HandshakeAssembler();
        for (const bytes of pushes) {
          expect(isHarmless(() => assembler.push(Buffer.from(bytes)))).toBe(true);
        }
      }),
    );
  });
});
