import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compactNtp,
  ntpToUs,
  roundTripUs,
  unixMsToNtpUs,
  usToCompactNtp,
  usToNtp,
} from '../../../src/protocol/rtp/ntp.ts';
import { SequenceUnwrapper, TimestampUnwrapper } from '../../../src/protocol/rtp/unwrap.ts';

describe('sequence unwrapping', () => {
  it('recovers the index of packets in any order across any number of wraps', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3000, max: 65_535 }),
        fc.array(fc.integer({ min: -2000, max: 30_000 }), { maxLength: 200 }),
        (first, steps) => {
          const unwrapper = new SequenceUnwrapper();
          let highest = first;
          expect(unwrapper.unwrap(first)).toBe(first);
          for (const step of steps) {
            const index = Math.max(0, highest + step);
            expect(unwrapper.unwrap(index & 0xffff)).toBe(index);
            highest = Math.max(highest, index);
            expect(unwrapper.highest).toBe(highest);
          }
        },
      ),
    );
  });

  it('gives no index to what lies before the first packet', () => {
    const unwrapper = new SequenceUnwrapper();
    unwrapper.unwrap(2);
    expect(unwrapper.unwrap(65_534)).toBe(-1);
    expect(unwrapper.unwrap(3)).toBe(3);
  });

  it('follows a restarted sequence after two packets in a row, and no stray one', () => {
    const unwrapper = new SequenceUnwrapper();
    for (const sequence of [40_000, 40_001]) unwrapper.unwrap(sequence);
    expect([20_000, 40_002, 20_000, 20_001, 20_002].map((sequence) => unwrapper.unwrap(sequence))).toEqual([
      -1, 40_002, -1, 85_537, 85_538,
    ]);
  });
});

describe('timestamp unwrapping', () => {
  it('follows steps in both directions beyond 2^32 without error', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.array(fc.integer({ min: -900_000, max: 2_000_000_000 })), (first, steps) => {
        const unwrapper = new TimestampUnwrapper();
        let time = first;
        expect(unwrapper.unwrap(first)).toBe(first);
        for (const step of steps) {
          time += step;
          expect(unwrapper.unwrap(((time % 2 ** 32) + 2 ** 32) % 2 ** 32)).toBe(time);
        }
      }),
    );
  });
});

describe('a timestamp near the last one', () => {
  it('does not move what the next one is measured by', () => {
    const unwrapper = new TimestampUnwrapper();
    expect(unwrapper.near(7)).toBe(7);
    unwrapper.unwrap(0xffff_fff0);
    expect(unwrapper.near(0x10)).toBe(0x1_0000_0010);
    expect(unwrapper.near(0x7fff_fff1)).toBe(0x7fff_fff1);
    expect(unwrapper.unwrap(0x10)).toBe(0x1_0000_0010);
  });
});

describe('NTP time', () => {
  it('is seconds since 1900 and a binary fraction', () => {
    expect(usToNtp(unixMsToNtpUs(0))).toEqual({ seconds: 2_208_988_800, fraction: 0 });
    expect(usToNtp(500_000)).toEqual({ seconds: 0, fraction: 0x8000_0000 });
    expect(usToNtp(1_250_000)).toEqual({ seconds: 1, fraction: 0x4000_0000 });
    expect(usToNtp(999_000).fraction).toBe(4_290_672_329);
    expect(ntpToUs({ seconds: 1, fraction: 0xc000_0000 })).toBe(1_750_000);
    expect(ntpToUs({ seconds: 3_989_000_000, fraction: 429_496_730 })).toBe(3_989_000_000_100_000);
  });

  it('keeps every microsecond', () => {
    fc.assert(
      fc.property(fc.nat(4_294_967_294), fc.nat(999_999), (seconds, us) => {
        expect(ntpToUs(usToNtp(seconds * 1_000_000 + us))).toBe(seconds * 1_000_000 + us);
      }),
    );
  });

  it('gives the round trip of the example in RFC 3550 §6.4.1', () => {
    // Arrival b710:8000, DLSR 0005:4000, LSR b705:2000: 6.125 s.
    expect(roundTripUs(0xb710_8000, 0xb705_2000, 0x0005_4000)).toBe(6_125_000);
    expect(compactNtp({ seconds: 0xb44d_b705, fraction: 0x2000_0000 })).toBe(0xb705_2000);
    expect(usToCompactNtp(5_250_000)).toBe(0x0005_4000);
  });

  it('gives no round trip without a sender report or with an impossible delay', () => {
    expect(roundTripUs(5, 0, 0)).toBeUndefined();
    expect(roundTripUs(1000, 900, 200)).toBeUndefined();
  });
});
