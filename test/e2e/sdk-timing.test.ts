import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { oneOf } from '../support/one-of.ts';
import type { RtcStat, SdkStream } from '../support/sdk-page.ts';
import { sdkRig } from '../support/sdk-rig.ts';

const { openPage, freshName } = sdkRig();

function inbound(stats: readonly RtcStat[], kind: 'video' | 'audio'): RtcStat | undefined {
  return stats.find((stat) => stat.type === 'inbound-rtp' && stat.kind === kind);
}

/** How much later the picture is shown than the sound that belongs to it, in ms; `undefined` until both are known. */
function skewMs(stats: readonly RtcStat[]): number | undefined {
  const video = Number(inbound(stats, 'video')?.['estimatedPlayoutTimestamp']);
  const audio = Number(inbound(stats, 'audio')?.['estimatedPlayoutTimestamp']);
  return video > 0 && audio > 0 ? audio - video : undefined;
}

/** The mean time that pictures spend in the jitter buffer over `windowMs`, in ms. */
async function videoBufferMs(player: SdkStream, windowMs: number): Promise<number> {
  const before = await player.stat('inbound-rtp', 'video');
  await sleep(windowMs);
  const after = await player.stat('inbound-rtp', 'video');
  const gained = (field: string): number => Number(after[field]) - Number(before[field]);
  return (gained('jitterBufferDelay') * 1000) / gained('jitterBufferEmittedCount');
}

const MAX_SKEW_MS = 60;
const KEPT_MS = 10_000;
const SKEW_SAMPLE_EVERY_MS = 400;
/**
 * After the first sender reports the browser brings audio and video together in small steps, and again after each pause of its
 * own, which makes its buffer of sound longer.
 */
const SKEW_WATCHED_MS = 100_000;

test('sender reports keep audio and video within 60 ms of each other for ten seconds', async () => {
  const name = freshName();
  await (await openPage()).publish({ name });
  const player = await (await openPage()).play({ name });
  await player.until(skewMs, 'playout times of audio and video');
  const skews: number[] = [];
  const startMs = performance.now();
  let keptMs = 0;
  for (let brokenMs = startMs; keptMs < KEPT_MS && brokenMs - startMs < SKEW_WATCHED_MS - KEPT_MS;) {
    await sleep(SKEW_SAMPLE_EVERY_MS);
    const skew = skewMs(await player.stats())!;
    skews.push(Math.round(skew));
    if (Math.abs(skew) >= MAX_SKEW_MS) brokenMs = performance.now();
    keptMs = performance.now() - brokenMs;
  }
  console.log(`audio-video skew: ${skews.join(', ')} ms`);
  expect(keptMs, `skews of ${skews.join(', ')} ms`).toBeGreaterThanOrEqual(KEPT_MS);
}, 150_000);

const WANTED_BPS = 2_000_000;
/** An estimate takes the pauses of a busy machine for those of the path, so that another one may judge that. */
const MAX_PUBLISHERS = 3;

test("the browser's bandwidth estimate passes 2 Mbit/s on a clean path within 20 seconds", async () => {
  const passed = await oneOf(MAX_PUBLISHERS, estimateIn20Seconds, (bps) => bps !== undefined);
  expect(passed).toBeGreaterThan(WANTED_BPS);
});

/** The first estimate of a new publisher that is high enough; `undefined` where none is in time. */
async function estimateIn20Seconds(): Promise<number | undefined> {
  const video = { width: 1280, height: 720 };
  const publisher = await (await openPage()).publish({ name: freshName(), constraints: { audio: true, video } });
  const startMs = Date.now();
  let bps: number | undefined;
  while (bps === undefined && Date.now() - startMs < 20_000) {
    await sleep(50);
    const pairs = (await publisher.stats()).filter(({ type }) => type === 'candidate-pair');
    bps = pairs.map((pair) => Number(pair['availableOutgoingBitrate'] ?? 0)).find((estimate) => estimate > WANTED_BPS);
  }
  await publisher.page.close();
  console.log(`estimate ${bps && Math.round(bps / 1000)} kbit/s after ${Date.now() - startMs} ms`);
  return bps;
}

const MAX_FIRST_PICTURE_MS = 1000;
const GOOD_PLAYS = 3;
/** A busy machine is late with one or the other. */
const MAX_PLAYS = 6;

test.each([
  { codec: 'H.264', stripCodecs: '' },
  { codec: 'VP8', stripCodecs: 'H264' },
])('the first picture of $codec is shown within a second of the request to play', async ({ codec, stripCodecs }) => {
  const name = freshName();
  const publisher = await (await openPage()).publish({ name, stripCodecs });
  await publisher.untilFrames(20);
  const page = await openPage();
  const delaysMs: number[] = [];
  const goodPlays = () => delaysMs.filter((ms) => ms < MAX_FIRST_PICTURE_MS).length;
  while (goodPlays() < GOOD_PLAYS && delaysMs.length < MAX_PLAYS) {
    const player = await page.createStream({ name });
    const firstPictureMs = player.firstPictureMs();
    await player.act('play');
    const { atMs: askedMs } = await player.waitFor('PENDING');
    delaysMs.push((await firstPictureMs) - askedMs);
    await player.act('stop');
    await player.waitFor('STOPPED');
  }
  console.log(`${codec}: play to first picture ${delaysMs.map(Math.round).join(', ')} ms`);
  expect(goodPlays(), `delays of ${delaysMs.map(Math.round).join(', ')} ms`).toBe(GOOD_PLAYS);
});

test.each([
  { codec: 'H.264', stripCodecs: '' },
  { codec: 'VP8', stripCodecs: 'H264' },
])('a viewer who joins in the middle of a GOP of $codec keeps no delay', async ({ codec, stripCodecs }) => {
  const name = freshName();
  // All pages beforehand: the late viewer is to come while the keyframe is recent enough for its GOP to be replayed.
  const [publisherPage, earlyPage, laterPage] = [await openPage(), await openPage(), await openPage()];
  await publisherPage.publish({ name, stripCodecs });
  const early = await earlyPage.play({ name });
  // The early viewer's keyframe is two seconds old by then.
  await early.untilFrames(40);
  const keyframesBefore = (await early.stat('inbound-rtp', 'video'))['keyFramesDecoded'];
  const late = await laterPage.play({ name });
  await late.untilFrames(100);
  const [earlyMs, lateMs] = await Promise.all([videoBufferMs(early, 1500), videoBufferMs(late, 1500)]);
  console.log(`${codec}: jitter buffer ${earlyMs.toFixed(1)} ms early, ${lateMs.toFixed(1)} ms late`);
  expect((await early.stat('inbound-rtp', 'video'))['keyFramesDecoded']).toBe(keyframesBefore);
  expect(lateMs).toBeLessThan(300);
});
