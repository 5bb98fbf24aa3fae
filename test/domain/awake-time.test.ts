import { expect, it } from 'vitest';
import { AwakeTime } from '../../src/domain/awake-time.ts';

it('awake time passes as the clock does, but a pause between two looks counts for one second at most', () => {
  const time = new AwakeTime(5_000_000);
  expect([time.us, time.advance(5_250_000), time.us]).toEqual([0, 250_000, 250_000]);
  expect(time.advance(6_250_000)).toBe(1_250_000);
  expect(time.advance(66_250_000)).toBe(2_250_000);
  expect(time.advance(66_500_000)).toBe(2_500_000);
});
