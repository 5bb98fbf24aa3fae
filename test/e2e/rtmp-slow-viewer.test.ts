import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { FfmpegEncoder, movingPicture, TONE, x264 } from '../support/ffmpeg-encoder.ts';
import { createLossyNetwork, whyNoNamespaces } from '../support/netns.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { decodeFile } from '../support/rtmp-programs.ts';
import { RtmpTap, type TappedMessage } from '../support/rtmp-tap.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';

const refusal = await whyNoNamespaces();
const NOTE = refusal === undefined ? '' : ` (${refusal})`;
const START_MS = 20_000;
const FRAME_MS = 40;
const VIDEO_BPS = 1_200_000;
const LOW_VIDEO_BPS = 700_000;
const SPEED = 0.7;
/** In which the rate of the stream is measured. */
const MEASURED_MS = 6000;
const WATCHED_MS = 40_000;
const MAX_LAG_MS = 5000;
/** With `rtmp.server_buffer_enabled` this is not yet too much to wait. */
const BUFFERED_MS = 20_000;
const NEVER_READING = 10;
/** The kernel's buffers fill first, then it is stalled for 10 s; where they never fill, a ping remains unanswered. */
const GIVEN_UP_MS = 75_000;
/** How often their memory is looked at, which costs a collection of garbage. */
const LOOK_PERIOD_MS = 500;
/** By both applications, for all who do not read and whatever else goes on meanwhile. */
const MAX_HELD_BYTES = 48 << 20;
/** The end of a test, at which the streams of all viewers are decoded at once. */
const TEST_MS = 110_000;

/** As much sound and picture as a video call, at a constant rate. */
function streamOf(videoBps: number): string[] {
  const video = x264('-b:v', String(videoBps), '-maxrate', String(videoBps), '-bufsize', String(videoBps / 2));
  const sound = ['-c:a', 'aac', '-b:a', '96k', '-ar', '48000', '-ac', '2'];
  return [...movingPicture('640x360'), ...TONE, '-vf', 'noise=alls=12:allf=t', ...video, ...sound];
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Of buffers that somebody holds; what nobody does may lie about for long where much goes on. */
function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

type OnTestFinished = TestContext['onTestFinished'];

const cleanups: (() => Promise<unknown>)[] = [];
let directory: string;
let usual: TestApp;
let buffered: TestApp;

// All at once, each test on streams and in a network of its own: each is a matter of a minute.
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rtmp-slow-viewer-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  usual = await startApp({});
  buffered = await startApp({ 'rtmp.server_buffer_enabled': 'true' });
  await Promise.all([
    publish(usual, String(VIDEO_BPS), VIDEO_BPS),
    publish(usual, String(LOW_VIDEO_BPS), LOW_VIDEO_BPS),
    publish(usual, 'unread', VIDEO_BPS),
    publish(buffered, String(VIDEO_BPS), VIDEO_BPS),
    publish(buffered, 'unread', VIDEO_BPS),
  ]);
});

afterAll(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function startApp(settings: Readonly<Record<string, string>>): Promise<TestApp> {
  const app = await startTestApp(settings);
  cleanups.push(() => app.close('the tests are over'));
  return app;
}

async function publish(app: TestApp, name: string, videoBps: number): Promise<void> {
  const encoder = new FfmpegEncoder(`rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`, streamOf(videoBps));
  cleanups.push(() => encoder.close());
  const wanted = { name, status: 'PUBLISHING' };
  await waitUntil(
    async () => ((await app.rest('/rest-api/stream/find', wanted)).status === 200 ? true : undefined),
    START_MS,
    () => `the stream to be live: ${app.log().slice(-2000)}`,
  );
}

/** The viewers of one test, which end with it. */
class Viewers {
  readonly #app: TestApp;
  readonly #stream: string;
  readonly #files: string;
  readonly #onTestFinished: OnTestFinished;

  constructor(app: TestApp, stream: string, { task, onTestFinished }: TestContext) {
    this.#app = app;
    this.#stream = stream;
    this.#files = join(directory, task.id);
    this.#onTestFinished = onTestFinished;
  }

  watch(name: string, host = '127.0.0.1', program?: string): RtmpTap {
    const url = `rtmp://${host}:${this.#app.ports['rtmp.port']}/live/${this.#stream}`;
    const tap = new RtmpTap({ url, file: this.fileOf(name), ...(program && { program }) });
    this.#onTestFinished(() => tap.close());
    return tap;
  }

  fileOf(name: string): string {
    return `${this.#files}-${name}.flv`;
  }

  /** A fast one that has watched long enough to know the rate of the stream, and a slow one that has begun. */
  async atTwoSpeeds(): Promise<{ fast: RtmpTap; slow: RtmpTap; rateBps: number }> {
    const network = await createLossyNetwork();
    this.#onTestFinished(() => network.close());
    const fast = this.watch('fast');
    await untilPictures(fast, 1);
    const [fromBytes, fromMs] = [fast.bytes, fast.messages.at(-1)!.timeMs];
    await waitUntil(
      () => (fast.messages.at(-1)!.timeMs - fromMs > MEASURED_MS ? true : undefined),
      START_MS,
      () => 'the rate of the stream',
    );
    const rateBps = ((fast.bytes - fromBytes) * 8000) / (fast.messages.at(-1)!.timeMs - fromMs);
    await network.setRateToClients(Math.round(rateBps * SPEED));
    const slow = this.watch('slow', network.hostAddress, await network.launcher('rtmpdump'));
    await untilPictures(slow, 1);
    return { fast, slow, rateBps };
  }
}

function untilPictures(tap: RtmpTap, count: number): Promise<true> {
  return waitUntil(
    () => (tap.pictures.length >= count ? true : undefined),
    START_MS,
    () => `${count} pictures; ended: ${tap.hasEnded}`,
  );
}

/** All of the stream from its first picture on. */
async function expectWhole(tap: RtmpTap, file: string): Promise<void> {
  const { pictures } = tap;
  expect(pictures[0]!.isKeyframe).toBe(true);
  expect(stepsOf(pictures)).toEqual(stepsOf(pictures).map(() => FRAME_MS));
  await tap.close();
  expect(await decodeFile(file)).toMatchObject({ codecs: ['h264', 'aac'], errors: '' });
}

function stepsOf(messages: readonly TappedMessage[]): number[] {
  return messages.slice(1).map(({ timeMs }, index) => timeMs - messages[index]!.timeMs);
}

/** How much later than the fast viewer the slow one got the same picture. */
function lagsMs(slow: RtmpTap, fast: RtmpTap): number[] {
  const fastMs = new Map(fast.pictures.map(({ timeMs, arrivedMs }) => [timeMs, arrivedMs]));
  return slow.pictures.flatMap(({ timeMs, arrivedMs }) => {
    const atMs = fastMs.get(timeMs);
    return atMs === undefined ? [] : [arrivedMs - atMs];
  });
}

describe.skipIf(refusal !== undefined)(
  `a viewer at 70 % of the rate of its stream${NOTE}`,
  { concurrent: true },
  () => {
    it.for([VIDEO_BPS, LOW_VIDEO_BPS])(
      'lags less than 5 s, goes on with keyframes only, and costs another viewer nothing: %i bit/s',
      { timeout: TEST_MS },
      async (videoBps, context) => {
        const viewers = new Viewers(usual, String(videoBps), context);
        const { fast, slow, rateBps } = await viewers.atTwoSpeeds();
        await delay(WATCHED_MS);
        expect(slow.hasEnded).toBe(false);
        const { pictures } = slow;
        const resumed = pictures.filter(
          ({ timeMs }, index) => index > 0 && timeMs - pictures[index - 1]!.timeMs > FRAME_MS,
        );
        const lags = lagsMs(slow, fast);
        const soundSteps = stepsOf(slow.messages.filter(({ kind }) => kind === 'audio'));
        console.log(
          `${Math.round(rateBps / 1000)} kbit/s; lag at most ${Math.round(Math.max(...lags))} ms, at the end ` +
            `${Math.round(lags.at(-1)!)} ms; ${resumed.length} resumes; ${pictures.length} of ${fast.pictures.length} ` +
            `pictures; longest hole in the sound ${Math.max(...soundSteps)} ms`,
        );
        expect(lags).toHaveLength(pictures.length);
        expect(Math.max(...lags)).toBeLessThan(MAX_LAG_MS);
        expect(resumed.length).toBeGreaterThanOrEqual(2);
        expect(resumed.every(({ isKeyframe }) => isKeyframe)).toBe(true);
        await slow.close();
        expect(await decodeFile(viewers.fileOf('slow'))).toMatchObject({ codecs: ['h264', 'aac'], errors: '' });
        await expectWhole(fast, viewers.fileOf('fast'));
      },
    );

    it('gets everything for longer with rtmp.server_buffer_enabled, and still costs another viewer nothing', async (context) => {
      const viewers = new Viewers(buffered, String(VIDEO_BPS), context);
      const { fast, slow } = await viewers.atTwoSpeeds();
      await delay(BUFFERED_MS);
      expect(slow.hasEnded).toBe(false);
      expect(Math.max(...lagsMs(slow, fast))).toBeGreaterThan(((1 - SPEED) * BUFFERED_MS) / 2);
      await expectWhole(slow, viewers.fileOf('slow'));
      await expectWhole(fast, viewers.fileOf('fast'));
    });
  },
);

describe('viewers that never read', { concurrent: true }, () => {
  it.for([false, true])(
    'are closed, hold little memory, and cost another viewer nothing, rtmp.server_buffer_enabled=%s',
    { timeout: TEST_MS },
    async (isBuffered, context) => {
      const app = isBuffered ? buffered : usual;
      const viewers = new Viewers(app, 'unread', context);
      const fast = viewers.watch('fast');
      await untilPictures(fast, 1);
      const before = heldBytes();
      const frozen = await Promise.all(
        Array.from({ length: NEVER_READING }, async (_, index) => {
          const client = await RtmpTestClient.playing(app.ports['rtmp.port']!, 'unread');
          context.onTestFinished(() => client.close());
          // Half of them have shown by an acknowledgement that they do acknowledge.
          if (index % 2 === 0) await client.until(() => client.count('video') > 60, 'pictures');
          client.socket.pause();
          return client;
        }),
      );
      let mostBytes = 0;
      const players = async (): Promise<number> => {
        mostBytes = Math.max(mostBytes, heldBytes() - before);
        const { status, json } = await app.rest('/rest-api/stream/find', { name: 'unread', published: false });
        return status === 200 ? (json() as unknown[]).length : 0;
      };
      expect(await players()).toBe(1 + frozen.length);
      const startMs = performance.now();
      await waitUntil(
        async () => {
          await delay(LOOK_PERIOD_MS);
          return (await players()) === 1 || undefined;
        },
        GIVEN_UP_MS,
        () => `the end of ${frozen.length} viewers: ${app.log().slice(-2000)}`,
      );
      console.log(
        `given up after ${Math.round(performance.now() - startMs)} ms; at most ${mostBytes >> 10} KiB of buffers`,
      );
      expect(mostBytes).toBeLessThan(MAX_HELD_BYTES);
      await expectWhole(fast, viewers.fileOf('fast'));
    },
  );
});
