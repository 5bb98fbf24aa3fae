import { describe, expect, it } from 'vitest';
import { FRAME_MS, picture, PlayersRig, type Watcher } from './media-source.ts';

/** About 2.5 Mbit/s. */
const PICTURE_BYTES = 12_500;
/** As far from the last keyframe as can be. */
const LATE_MS = 3 * FRAME_MS;

const timesOf = ({ viewer }: Watcher): number[] => viewer.ofKinds('K', 'v').map(({ label }) => Number(label));

/** What is missing between two pictures, in milliseconds of the stream. */
function holesOf(watcher: Watcher): number[] {
  const times = timesOf(watcher);
  return times.slice(1).flatMap((ms, n) => {
    const stepMs = ms - times[n]!;
    return stepMs === FRAME_MS ? [] : [stepMs];
  });
}

interface Join {
  readonly gopMs: number;
  /** Of the rate of the stream. */
  readonly linkRatio: number;
  readonly isFirst?: boolean;
  readonly pictureBytes?: number;
  readonly hasSound?: boolean;
}

/** A viewer that joins when the next keyframe is due, over a link of its own. */
async function joinLate(join: Join) {
  const { gopMs, linkRatio, isFirst = false, pictureBytes = PICTURE_BYTES, hasSound = false } = join;
  const rig = new PlayersRig();
  rig.picture = { bytes: pictureBytes };
  rig.keyframeEveryMs = gopMs;
  rig.hasSound = hasSound;
  if (!isFirst) rig.watch();
  await rig.play(2 * gopMs - LATE_MS);
  const late = rig.watch({ isStarted: false });
  late.viewer.bytesPerSecond = (linkRatio * pictureBytes * 1000) / FRAME_MS;
  late.playback.start();
  return { rig, late, pictureBytes };
}

/** How late the pictures of each second are when they have been taken, at most. */
async function lagsMs({ rig, late, pictureBytes }: Awaited<ReturnType<typeof joinLate>>, seconds: number) {
  const { viewer } = late;
  const lags: number[] = [];
  let arrived = 0;
  for (let second = 0; second < seconds; second++) {
    let lagMs = 0;
    for (let ms = 0; ms < 1000; ms += FRAME_MS) {
      await rig.play(FRAME_MS);
      const times = timesOf(late);
      const waiting = Math.ceil((viewer.givenBytes - viewer.takenBytes) / pictureBytes);
      for (; arrived < times.length - waiting; arrived++) lagMs = Math.max(lagMs, rig.mediaMs - times[arrived]!);
    }
    lags.push(lagMs);
  }
  return lags;
}

describe('an RTMP player that joins late in a group of pictures, at 70 % of the rate of the stream,', () => {
  it.each([1000, 2000, 4000])('is never five seconds late: a keyframe every %i ms', async (gopMs) => {
    const join = await joinLate({ gopMs, linkRatio: 0.7 });
    const lags = await lagsMs(join, 40);
    expect(Math.max(...lags)).toBeLessThan(5_000);
    expect(join.rig.players.totals.droppedVideoMessages).toBeGreaterThan(100);
    expect(join.late.ends).toEqual([]);
  });

  it.each([8000, 10_000])(
    'is little later than what it began with, and soon not five seconds late: a keyframe every %i ms',
    async (gopMs) => {
      const lags = await lagsMs(await joinLate({ gopMs, linkRatio: 0.7 }), 40);
      expect(Math.max(...lags)).toBeLessThan(gopMs + 1_000);
      const first = lags.findIndex((lagMs) => lagMs > 0 && lagMs < 5_000);
      expect(first).toBeLessThan(10);
      expect(Math.max(...lags.slice(first))).toBeLessThan(5_000);
    },
  );

  it('gets the pictures again from the newest keyframe that is there', async () => {
    const { rig, late } = await joinLate({ gopMs: 8000, linkRatio: 0.7 });
    await rig.play(6_000);
    expect(late.viewer.ofKinds('K').map(({ label }) => label)).toEqual(['8000', '16000']);
    expect(holesOf(late)[0]).toBeLessThan(8_000);
  });

  it('loses no sound by that', async () => {
    const { rig, late } = await joinLate({ gopMs: 8000, linkRatio: 0.7, hasSound: true });
    await rig.play(20_000);
    const numbers = late.viewer.ofKinds('a').map(({ label }) => Number(label.slice(1)));
    expect(rig.players.totals.droppedVideoMessages).toBeGreaterThan(100);
    expect(numbers).toEqual(numbers.map((_, n) => numbers[0]! + n));
  });
});

describe('an RTMP player that joins late in a group of pictures, and takes more than the stream has,', () => {
  it.each(
    [1000, 2000, 4000, 8000, 10_000].flatMap((gopMs) =>
      [1.1, 1.5, 4].flatMap((linkRatio) => [true, false].map((isFirst) => ({ gopMs, linkRatio, isFirst }))),
    ),
  )('misses nothing: $gopMs ms, $linkRatio times the rate, the first: $isFirst', async (options) => {
    const { rig, late } = await joinLate(options);
    await rig.play(30_000);
    expect(timesOf(late)[0]).toBe(options.gopMs);
    expect(holesOf(late)).toEqual([]);
    expect(rig.players.totals.droppedVideoMessages).toBe(0);
  });

  it('is as slow as any other once it has caught up', async () => {
    const { rig, late } = await joinLate({ gopMs: 8000, linkRatio: 2 });
    await rig.play(10_000);
    expect(rig.players.totals.droppedVideoMessages).toBe(0);
    late.viewer.bytesPerSecond = 0;
    await rig.play(4_000);
    expect(rig.players.totals.droppedVideoMessages).toBeGreaterThan(25);
  });

  it('has been given what it lacked when the stream ends', async () => {
    const { rig, late } = await joinLate({ gopMs: 8000, linkRatio: 1.1 });
    await rig.play(200);
    const newestMs = rig.mediaMs - FRAME_MS;
    expect(timesOf(late).at(-1)).toBeLessThan(newestMs - 4_000);
    rig.unpublish();
    expect(timesOf(late).at(-1)).toBe(newestMs);
    expect(late.ends).toEqual(['source_ended']);
  });

  it('gets what it lacks also while nothing new comes', async () => {
    const { rig, late } = await joinLate({ gopMs: 8000, linkRatio: 2 });
    for (let ms = 0; ms < 12_000; ms += 100) await rig.pass(100);
    expect(timesOf(late).at(-1)).toBe(rig.mediaMs - FRAME_MS);
  });
});

it('a viewer is not taken for slow because a transcoder catches up', async () => {
  const rig = new PlayersRig();
  const viewer = rig.watch({ isStarted: false });
  viewer.viewer.bytesPerSecond = (1.2 * PICTURE_BYTES * 1000) / FRAME_MS;
  viewer.playback.start();
  for (let ms = 0; ms < 8_000; ms += FRAME_MS) {
    rig.stream.writeUnit(picture(ms, { isKeyframe: ms === 0, bytes: PICTURE_BYTES }));
    await rig.pass(FRAME_MS / 4);
  }
  for (let ms = 8_000; ms < 20_000; ms += FRAME_MS) {
    rig.stream.writeUnit(picture(ms, { bytes: PICTURE_BYTES }));
    await rig.pass(FRAME_MS);
  }
  expect(holesOf(viewer)).toEqual([]);
});

describe('a viewer at 70 % of the rate of a stream of little', () => {
  it.each([100, 200, 300])('%i kbit/s is not five seconds late', async (kbps) => {
    const lags = await lagsMs(await joinLate({ gopMs: 2000, linkRatio: 0.7, pictureBytes: kbps * 5 }), 60);
    expect(Math.max(...lags)).toBeLessThan(5_000);
  });
});
