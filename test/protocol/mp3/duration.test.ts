import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mp3DurationUs } from '../../../src/protocol/mp3/duration.ts';

function frame(header: string, bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  Buffer.from(header, 'hex').copy(data);
  return data;
}

/** MPEG-1 layer III, 128 kbit/s, 44.1 kHz, joint stereo, without and with padding. */
const FRAME = frame('fffb9064', 417);
const PADDED = frame('fffb9264', 418);

describe('the duration of MP3', () => {
  it.each([
    ['of 44.1 kHz', FRAME, 26_122],
    ['of 48 kHz', frame('fffb9464', 384), 24_000],
    ['of MPEG-2 at 22.05 kHz', frame('fff38064', 208), 26_122],
    ['of MPEG-2.5 at 8 kHz', frame('ffe38864', 576), 72_000],
    ['of several frames', Buffer.concat([FRAME, PADDED, FRAME]), 78_367],
    ['of layer II', frame('fffd9064', 417), 0],
    ['of free format', frame('fffb0064', 417), 0],
    ['of a reserved version', frame('ffeb9064', 417), 0],
    ['of nothing', Buffer.alloc(0), 0],
  ])('%s', (_, data, durationUs) => {
    expect(Math.round(mp3DurationUs(data))).toBe(durationUs);
  });

  it('is found for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(mp3DurationUs(Buffer.concat([FRAME, bytes]))).toBeGreaterThan(26_000);
      }),
    );
  });
});
