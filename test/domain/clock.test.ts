import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';

const DAY_MS = 24 * 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('waits for thirty days, which is longer than one timer can', () => {
  const fire = vi.fn<() => void>();
  systemClock.after(30 * DAY_MS, fire);
  vi.advanceTimersByTime(30 * DAY_MS - 1);
  expect(fire).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(fire).toHaveBeenCalledOnce();
});

it('can be called off in its second piece', () => {
  const fire = vi.fn<() => void>();
  const cancel = systemClock.after(30 * DAY_MS, fire);
  vi.advanceTimersByTime(29 * DAY_MS);
  cancel();
  vi.advanceTimersByTime(29 * DAY_MS);
  expect(fire).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
