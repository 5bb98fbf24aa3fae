import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildAvcConfiguration, parseAvcConfiguration } from '../../../src/protocol/h264/avc-configuration.ts';
import { annexBNals, avccNals, avccToAnnexB, MAX_NALS, requireFewNals } from '../../../src/protocol/h264/nal.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const HIGH_SPS = Buffer.from('6764001facd9405005bb0110000003001000000303c0f1831960', 'hex');
const HIGH_PPS = Buffer.from('68ebe3cb22c0', 'hex');
/** Bytes without start codes in them, as emulation prevention guarantees. */
const nal = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes.map((byte) => byte | 1)));

describe('NAL unit iteration', () => {
  it('finds the units behind three- and four-byte start codes, without trailing zeros', () => {
    const stream = Buffer.from([0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0x65, 3, 0, 0]);
    expect(annexBNals(stream).map((unit) => [...unit])).toEqual([
      [0x67, 1],
      [0x68, 2],
      [0x65, 3],
    ]);
  });

  it('turns length fields of any size into start codes, behind a prefix', () => {
    fc.assert(
      fc.property(fc.array(nal, { maxLength: 8 }), fc.integer({ min: 1, max: 4 }), (nals, nalLengthBytes) => {
        const avcc = nals.flatMap((unit) => {
          const length = Buffer.alloc(nalLengthBytes);
          length.writeUIntBE(unit.length, 0, nalLengthBytes);
          return [length, unit];
        });
        const stream = avccToAnnexB(Buffer.concat(avcc), nalLengthBytes, Buffer.from('prefix'));
        expect(stream).toEqual(
          Buffer.concat([Buffer.from('prefix'), ...nals.flatMap((unit) => [Buffer.from([0, 0, 0, 1]), unit])]),
        );
        expect(annexBNals(stream)).toEqual(nals);
      }),
    );
  });

  it('reads one- and two-byte lengths and skips empty units', () => {
    expect(avccNals(Buffer.from([0, 2, 0x65, 9]), 1)).toEqual([Buffer.from([0x65, 9])]);
    expect(avccNals(Buffer.from([0, 0, 0, 1, 0x41]), 2)).toEqual([Buffer.from([0x41])]);
  });

  it('refuses more units than any picture has, behind lengths or start codes, at once', () => {
    const avcc = (count: number) => Buffer.alloc(2 * count, Buffer.from([1, 0x41]));
    expect(avccNals(avcc(MAX_NALS), 1)).toHaveLength(MAX_NALS);
    for (const count of [MAX_NALS + 1, 8_000_000]) {
      expect(protocolErrorCode(() => avccNals(avcc(count), 1))).toBe('H264_NAL_COUNT');
    }
    const annexB = (count: number) => Buffer.alloc(4 * count, Buffer.from([0, 0, 1, 0x41]));
    expect(protocolErrorCode(() => requireFewNals(annexB(MAX_NALS)))).toBe('none');
    expect(protocolErrorCode(() => requireFewNals(annexB(MAX_NALS + 1)))).toBe('H264_NAL_COUNT');
  });

  it('refuses lengths that lead out of the access unit', () => {
    expect(() => avccNals(Buffer.from([0, 0, 0, 3, 1, 2]), 4)).toThrow(
      expect.objectContaining({ code: 'H264_NAL_LENGTH' }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (bytes, nalLengthBytes) => {
        const code = protocolErrorCode(() => avccToAnnexB(Buffer.from(bytes), nalLengthBytes));
        expect(code).toMatch(/^H264_NAL_LENGTH$|^none$/);
      }),
    );
  });
});

describe('avcC', () => {
  it('round-trips, with the chroma fields that High profile needs', () => {
    const record = buildAvcConfiguration([HIGH_SPS], [HIGH_PPS]);
    expect(parseAvcConfiguration(record)).toEqual({
      profileIdc: 100,
      constraintFlags: 0,
      levelIdc: 31,
      nalLengthBytes: 4,
      spss: [HIGH_SPS],
      ppss: [HIGH_PPS],
    });
    expect([...record.subarray(-4)]).toEqual([0xfd, 0xf8, 0xf8, 0]);
  });

  it('throws nothing but ProtocolError on truncated records', () => {
    const record = buildAvcConfiguration([HIGH_SPS], [HIGH_PPS]).subarray(0, -4);
    for (let length = 0; length < record.length; length++) {
      expect(() => parseAvcConfiguration(record.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'H264_AVC_CONFIGURATION' }),
      );
    }
  });
});
