import { describe, expect, it } from 'vitest';
import { START_CODE } from '../../../src/protocol/h264/nal.ts';
import { isWebrtcReadyH264 } from '../../../src/protocol/h264/webrtc-ready.ts';

const AUD = Buffer.from('000000010910', 'hex');
const PPS_AND_IDR = Buffer.from('0000000168ce3c800000016588', 'hex');
const SHOWN_AT_ONCE = { ptsUs: 0, dtsUs: 0 };

/** All of 640x360 by x264. */
const BASELINE = '6742c01ed900a02ff97011000003000100000300320f162e48';
const HIGH = '6764001eacb201405ff2e022000003000200000300641e2c5c90';

function keyframe(sps: string): Buffer {
  return Buffer.concat([AUD, START_CODE, Buffer.from(sps, 'hex'), PPS_AND_IDR]);
}

describe('what browsers play of H.264', () => {
  it.each([
    ['baseline', BASELINE, true],
    ['main without B-frames', '674d401ed900a02ff97011000003000100000300320f162e48', true],
    ['high without B-frames', HIGH, true],
    ['high of 3840x2160', '67640033acb200780087d808800000030080000019078c1924', true],
    ['high that declares two reordered frames', '6764001eacd940a02ff97011000003000100000300320f162d96', false],
    ['4:2:2', '677a001ebcb201405ff13808800000030080000019078b1724', false],
    ['4:4:4', '67f4001e919b281485fc7cf80880000003008000001e078b16cb', false],
    ['10 bit', '676e001ea6cb201405ff2e0220000003002000000641e2c5c9', false],
    ['grey', '6764001ef2c805017fc4e02d9000000300100000030320f162e480', false],
    ['interlaced', '6764001eace402818fcf808800000300080000030190f8a15240', false],
    ['an SPS that cannot be read', '674200', false],
  ])('%s', (_what, sps, isReady) => {
    expect(isWebrtcReadyH264(keyframe(sps), SHOWN_AT_ONCE)).toBe(isReady);
  });

  it('is nothing whose keyframe waits for pictures that are shown before it', () => {
    expect(isWebrtcReadyH264(keyframe(HIGH), { ptsUs: 80_000, dtsUs: 0 })).toBe(false);
  });

  it('is not known of a keyframe without an SPS, however its slices look', () => {
    expect(isWebrtcReadyH264(PPS_AND_IDR, SHOWN_AT_ONCE)).toBeUndefined();
    const later = Buffer.concat([PPS_AND_IDR, START_CODE, Buffer.from(BASELINE, 'hex')]);
    expect(isWebrtcReadyH264(later, SHOWN_AT_ONCE)).toBeUndefined();
    expect(isWebrtcReadyH264(Buffer.alloc(0), SHOWN_AT_ONCE)).toBeUndefined();
  });
});
