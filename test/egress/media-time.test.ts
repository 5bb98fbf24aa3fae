import { describe, expect, it } from 'vitest';
import { MediaTime } from '../../src/egress/media-time.ts';

describe('the media time that a destination has taken', () => {
  it('is that of the last message of which it has taken all bytes, from the first one on', () => {
    const time = new MediaTime();
    expect(time.acceptedMs(0)).toBe(0);
    time.written(1000, 100);
    time.written(1040, 200);
    time.written(1020, 210);
    expect([99, 100, 199, 200].map((bytes) => time.acceptedMs(bytes))).toEqual([0, 0, 0, 40]);
    expect([210, 1000].map((bytes) => time.acceptedMs(bytes))).toEqual([20, 20]);
  });

  it('goes on where the timestamps of RTMP wrap', () => {
    const time = new MediaTime();
    time.written(2 ** 32 - 20, 1);
    time.written(20, 2);
    expect(time.acceptedMs(2)).toBe(40);
  });
});
