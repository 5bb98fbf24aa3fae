import { describe, expect, it } from 'vitest';
import { ParameterSets } from '../../../src/protocol/h264/parameter-sets.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const SPS = Buffer.from('6742c01fda0280bfe5c044000003000400000300f03c60ca80', 'hex');

/** A PPS with this id that refers to SPS 0, filled up to `bytes`. */
function pps(id: number, bytes: number, fill = 0xff): Buffer {
  const code = (id + 1).toString(2);
  const bits = `${'0'.repeat(code.length - 1)}${code}1`;
  const head = bits.padEnd(24, '1').match(/.{8}/g)!;
  const nal = Buffer.alloc(bytes, fill);
  Buffer.from([0x68, ...head.map((byte) => Number.parseInt(byte, 2))]).copy(nal);
  return nal;
}

describe('parameter sets', () => {
  it('remember each set once and tell what is new', () => {
    const sets = new ParameterSets();
    expect(sets.remember(SPS)).toBe(true);
    expect(sets.annexB()).toBeUndefined();
    expect(sets.remember(pps(0, 8))).toBe(true);
    expect(sets.remember(pps(0, 8))).toBe(false);
    const startCode = Buffer.from([0, 0, 0, 1]);
    expect(sets.annexB()).toEqual(Buffer.concat([startCode, SPS, startCode, pps(0, 8)]));
  });

  it('refuse to grow beyond what any encoder sends, and keep what they had', () => {
    const sets = new ParameterSets();
    sets.remember(SPS);
    for (let id = 0; id < 4; id++) sets.remember(pps(id, 4000));
    const known = sets.annexB();
    expect(protocolErrorCode(() => sets.remember(pps(4, 4000)))).toBe('H264_PPS');
    expect(sets.annexB()).toBe(known);
    expect(sets.remember(pps(3, 4000, 0xf0))).toBe(true);
    expect(sets.remember(pps(3, 100))).toBe(true);
    expect(sets.remember(pps(4, 3500))).toBe(true);
  });
});
