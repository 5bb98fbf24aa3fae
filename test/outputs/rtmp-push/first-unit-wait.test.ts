import { describe, expect, it } from 'vitest';
import { FirstUnitWait } from '../../../src/outputs/rtmp-push/first-unit-wait.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** A wait for a stream of which only pictures without a keyframe come, when told to. */
function newWait() {
  const clock = new ManualClock();
  const ends: string[] = [];
  const asked: number[] = [];
  const stream = { headlessPictures: 1000, requestKeyframe: () => void asked.push(clock.monotonicUs() / 1_000_000) };
  const wait = new FirstUnitWait({ clock, stream, onTimeout: (detail) => ends.push(detail) });
  const seconds = (count: number, pictures: number): void => {
    for (let i = 0; i < count; i++) {
      stream.headlessPictures += pictures;
      clock.advance(1000);
    }
  };
  return {
    wait,
    clock,
    ends,
    asked,
    nothing: (count: number) => seconds(count, 0),
    pictures: (count: number) => seconds(count, 25),
  };
}

describe('the wait for the first unit of a push', () => {
  it('is given up after ten seconds in which nothing came, once', () => {
    const { nothing, ends, asked, wait, clock } = newWait();
    nothing(9);
    expect(ends).toEqual([]);
    expect(wait.isForKeyframe).toBe(false);
    nothing(60);
    expect(ends).toEqual(['the source stream gave no picture and no sound']);
    expect(asked).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes on for the next keyframe while pictures come, which is asked for, and says so when none comes in a minute', () => {
    const { pictures, ends, asked, wait, clock } = newWait();
    pictures(59);
    expect(ends).toEqual([]);
    expect(wait.isForKeyframe).toBe(true);
    expect(asked).toHaveLength(59);
    pictures(10);
    expect(ends).toEqual(['no keyframe came within 60 s of pictures']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is given up ten seconds after the last picture, and is not for a keyframe any more by then', () => {
    const { pictures, nothing, ends, wait } = newWait();
    pictures(15);
    nothing(4);
    expect(wait.isForKeyframe).toBe(true);
    nothing(5);
    expect(wait.isForKeyframe).toBe(false);
    expect(ends).toEqual([]);
    nothing(1);
    expect(ends).toEqual(['the source stream gave pictures without a keyframe, and then nothing for 10 s']);
  });

  it('does not count the time in which this process was frozen', () => {
    const { nothing, ends, clock } = newWait();
    nothing(5);
    clock.freeze(60_000);
    nothing(3);
    expect(ends).toEqual([]);
  });

  it('says nothing once it is cancelled', () => {
    const { wait, nothing, ends, clock } = newWait();
    wait.cancel();
    nothing(60);
    expect(ends).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});
