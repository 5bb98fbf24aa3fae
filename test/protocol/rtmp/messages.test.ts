import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from '../../../src/protocol/rtmp/messages.ts';
import { messageCases } from './message-cases.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const raw = (typeId: number, hex: string, timestampMs = 0) => ({
  typeId,
  timestampMs,
  streamId: 1,
  payload: Buffer.from(hex, 'hex'),
});

describe('RTMP messages', () => {
  for (const { name, message, typeId, payloadHex } of messageCases) {
    it(`writes ${name}`, () => {
      const encoded = encodeMessage(message);
      expect(encoded.typeId).toBe(typeId);
      expect(encoded.payload.toString('hex')).toBe(payloadHex);
    });
    it(`reads ${name}`, () => expect(decodeMessage(encodeMessage(message))).toEqual(message));
  }

  it('reads commands and data of the AMF3 types behind their zero byte', () => {
    expect(decodeMessage(raw(17, '00020005636c6f7365000000000000000000'))).toMatchObject({
      kind: 'command',
      name: 'close',
    });
    expect(decodeMessage(raw(15, '0002000161'))).toMatchObject({ kind: 'data', values: ['a'] });
  });

  it('masks the top bit of a chunk size', () => {
    expect(decodeMessage(raw(1, '80001000'))).toEqual({ kind: 'setChunkSize', chunkSize: 4096 });
  });

  it('splits an aggregate into its tags on the clock of the message', () => {
    const tag = (type: string, ms: string, body: string) =>
      `${type}00000${body.length / 2}${ms}00000000${body}00000000`;
    const payload =
      tag('09', '0003e8', '1701') + tag('08', '0003ff', 'af01') + tag('09', '000400', '2701').slice(0, -8);
    expect(decodeMessage(raw(22, payload, 50))).toEqual({
      kind: 'aggregate',
      parts: [
        { typeId: 9, timestampMs: 50, streamId: 1, payload: Buffer.from('1701', 'hex') },
        { typeId: 8, timestampMs: 73, streamId: 1, payload: Buffer.from('af01', 'hex') },
        { typeId: 9, timestampMs: 74, streamId: 1, payload: Buffer.from('2701', 'hex') },
      ],
    });
  });

  it('refuses a tag that runs past its aggregate and an aggregate of too many tags', () => {
    expect(protocolErrorCode(() => decodeMessage(raw(22, '09000005000000000000001701')))).toBe('RTMP_AGGREGATE');
    expect(
      protocolErrorCode(() => decodeMessage(raw(22, '09000000000000000000000000000000'.slice(0, 30).repeat(4097)))),
    ).toBe('RTMP_AGGREGATE');
  });

  it('passes over unknown types and unknown user control events', () => {
    expect(decodeMessage(raw(19, 'ff'))).toEqual({ kind: 'unknown', typeId: 19 });
    expect(decodeMessage(raw(4, '0020'))).toEqual({ kind: 'userControl', event: 32, value: 0 });
  });

  it('refuses control messages that are too short and commands without a name', () => {
    for (const typeId of [1, 2, 3, 4, 5, 6])
      expect(protocolErrorCode(() => decodeMessage(raw(typeId, '00')))).toBe('RTMP_CONTROL');
    expect(protocolErrorCode(() => decodeMessage(raw(20, '05')))).toBe('RTMP_COMMAND');
    expect(protocolErrorCode(() => decodeMessage(raw(20, '')))).toBe('RTMP_COMMAND');
  });

  it('throws nothing but a ProtocolError for any type and any payload', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 60 }), (typeId, bytes) => {
        const act = () => decodeMessage({ typeId, timestampMs: 0, streamId: 0, payload: Buffer.from(bytes) });
        expect(protocolErrorCode(act)).toMatch(/^(AMF0_|RTMP_|none)/);
      }),
      { numRuns: 2000 },
    );
  });
});
