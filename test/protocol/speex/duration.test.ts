import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { speexDurationUs } from '../../../src/protocol/speex/duration.ts';

/** Frames of a submode with a payload of zeros; the rest of the last byte is filled as the Speex manual says: 0111…. */
function packet(...frames: readonly { readonly narrow: number; readonly wide?: number }[]): Buffer {
  const narrowBits = [5, 43, 119, 160, 220, 300, 364, 492, 79];
  const wideBits = [4, 36, 112, 192, 352];
  let bits = '';
  for (const { narrow, wide } of frames) {
    bits += narrow.toString(2).padStart(5, '0').padEnd(narrowBits[narrow]!, '0');
    if (wide !== undefined) bits += `1${wide.toString(2).padStart(3, '0')}`.padEnd(wideBits[wide]!, '0');
  }
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').replace(/1(1*)$/, (tail) => `0${tail.slice(1)}`);
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
}

describe('the duration of a Speex packet', () => {
  it.each([
    ['of one narrowband frame', packet({ narrow: 5 }), 20_000],
    ['of one wideband frame', packet({ narrow: 6, wide: 3 }), 20_000],
    ['of two wideband frames', packet({ narrow: 6, wide: 3 }, { narrow: 6, wide: 3 }), 40_000],
    ['of ten of the smallest frames', packet(...Array.from({ length: 10 }, () => ({ narrow: 1, wide: 1 }))), 200_000],
    ['that ends in a terminator', Buffer.concat([packet({ narrow: 3 }), Buffer.from([0x7f])]), 20_000],
    ['of nothing', Buffer.alloc(0), 0],
  ])('%s', (_, data, durationUs) => {
    expect(speexDurationUs(data)).toBe(durationUs);
  });

  it('is a multiple of 20 ms for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(speexDurationUs(Buffer.from(bytes)) % 20_000).toBe(0);
      }),
    );
  });
});
