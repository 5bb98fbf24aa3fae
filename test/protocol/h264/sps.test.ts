import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { parseSps } from '../../../src/protocol/h264/sps.ts';

/** Made by x264; the expected values are those that ffprobe prints. */
const VECTORS = [
  [
    '6742c01fda0280bfe5c044000003000400000300f03c60ca80',
    { profileIdc: 66, levelIdc: 31, width: 640, height: 360, maxNumReorderFrames: 0 },
  ],
  [
    '6742c028da01e0089f970110000003001000000303c0f1832a',
    { profileIdc: 66, levelIdc: 40, width: 1920, height: 1080, maxNumReorderFrames: 0 },
  ],
  [
    '6764001facd9405005bb0110000003001000000303c0f1831960',
    { profileIdc: 100, levelIdc: 31, width: 1280, height: 720, maxNumReorderFrames: 2 },
  ],
  [
    '67f4001e919b281485fc7cf80880000003008000001e078b16cb',
    { profileIdc: 244, chromaFormatIdc: 3, width: 642, height: 362, maxNumReorderFrames: 2 },
  ],
  [
    '6764001facd940b424d80880000003008000001e3020007a12000f427261807c58b658',
    { profileIdc: 100, width: 720, height: 576, maxNumReorderFrames: 2 },
  ],
] as const;

describe('SPS parser', () => {
  it.each(VECTORS)('reads %s', (hex, expected) => {
    expect(parseSps(Buffer.from(hex, 'hex'))).toMatchObject(expected);
  });

  it('refuses every truncation that cuts into the size with a ProtocolError', () => {
    for (const [hex] of VECTORS) {
      const sps = Buffer.from(hex, 'hex');
      for (let length = 0; length < 6; length++) {
        expect(() => parseSps(sps.subarray(0, length))).toThrow(ProtocolError);
      }
    }
  });

  it('throws nothing but ProtocolError on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(66, 77, 100, 244), (bytes, profile) => {
        try {
          const sps = parseSps(Buffer.from([0x67, profile, ...bytes]));
          expect(sps.width).toBeGreaterThan(0);
          expect(sps.width).toBeLessThanOrEqual(16_384);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
