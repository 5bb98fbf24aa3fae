import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { speexFrames } from '../../../src/protocol/speex/frames.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

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

const SMALL = { narrow: 1, wide: 1 };
const LARGE = { narrow: 6, wide: 3 };
const NARROW = { narrow: 3 };

describe('a Speex packet', () => {
  it.each([
    ['one narrowband frame', packet(NARROW), [packet(NARROW)]],
    ['one wideband frame', packet(LARGE), [packet(LARGE)]],
    ['two wideband frames', packet(LARGE, LARGE), [packet(LARGE), packet(LARGE)]],
    ['frames that end within a byte', packet(SMALL, LARGE, SMALL), [packet(SMALL), packet(LARGE), packet(SMALL)]],
    ['a frame and a terminator', Buffer.concat([packet(NARROW), Buffer.from([0x7f])]), [packet(NARROW)]],
    ['nothing', Buffer.alloc(0), []],
  ])('of %s is taken apart bit by bit', (_, whole, frames) => {
    expect(speexFrames(whole)).toEqual(frames);
  });

  it('of more frames than any encoder puts into one is refused', () => {
    expect(speexFrames(packet(...Array.from({ length: 64 }, () => NARROW)))).toHaveLength(64);
    for (const whole of [packet(...Array.from({ length: 65 }, () => NARROW)), Buffer.alloc(1 << 20)]) {
      expect(protocolErrorCode(() => speexFrames(whole))).toBe('SPEEX_FRAMES');
    }
  });

  it('of any bytes gives frames that are not longer than itself together, each of which is one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const frames = speexFrames(Buffer.from(bytes));
        for (const frame of frames) expect(speexFrames(frame)[0]).toEqual(frame);
        expect(Buffer.concat(frames).length).toBeLessThanOrEqual(bytes.length + frames.length);
      }),
    );
  });
});
