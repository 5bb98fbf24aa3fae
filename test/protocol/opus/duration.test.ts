import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { opusDurationUs } from '../../../src/protocol/opus/duration.ts';

describe('opusDurationUs', () => {
  it.each([
    ['f8fffe', 20_000],
    ['e000', 2_500],
    ['f000', 10_000],
    ['0000', 10_000],
    ['1800', 60_000],
    ['6800', 20_000],
    ['f90000', 40_000],
    ['fa0000', 40_000],
    ['fb0300', 60_000],
    ['fb0000', 0],
    ['fb3f00', 0],
    ['fb', 0],
    ['', 0],
  ])('reads %s as %i µs (RFC 6716 table 2)', (hex, durationUs) => {
    expect(opusDurationUs(Buffer.from(hex, 'hex'))).toBe(durationUs);
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 }), (bytes) => {
        const durationUs = opusDurationUs(Buffer.from(bytes));
        expect(durationUs).toBeGreaterThanOrEqual(0);
        expect(durationUs).toBeLessThanOrEqual(120_000);
      }),
    );
    expect.hasAssertions();
  });
});
