import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { AAC_MONO, FfmpegEncoder, movingPicture, TONE, x264 } from '../support/ffmpeg-encoder.ts';
import { createLossyNetwork, whyNoNamespaces, type LossyNetwork } from '../support/netns.ts';
import { numberedPicture, numbersShown, watchNumbers } from '../support/numbered-picture.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { SdkPage, type SdkStream } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

/** OBS's choice where it is left to it: ten seconds. */
const GOP_FRAMES = 250;
const LONG_GOP = ['-g', `${GOP_FRAMES}`, '-keyint_min', `${GOP_FRAMES}`, '-sc_threshold', '0'];
const FOUR_MBITS = ['-b:v', '4M', '-maxrate', '4M', '-bufsize', '1M'];

let network: LossyNetwork | undefined;
let app: TestApp;
let browser: TestBrowser;
let wsUrl: string;
/** Closed after each test, last first. */
let open: (() => Promise<void>)[] = [];
let names = 0;
const refusal = await whyNoNamespaces();

beforeAll(async () => {
  if (refusal === undefined) network = await createLossyNetwork();
  const host = network?.hostAddress;
  app = await startTestApp(host === undefined ? {} : { ip: host });
  wsUrl = `ws://${host ?? '127.0.0.1'}:${app.ports['ws.port']}`;
  browser = network
    ? await startBrowser({ executablePath: await network.launcher('/usr/bin/chromium'), pageHost: network.hostAddress })
    : await startBrowser();
});

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  open = [];
  await network?.setLoss(0);
});

afterAll(async () => {
  await browser?.close();
  await app?.close('the tests are over');
  await network?.close();
});

/** Publishes over RTMP what ffmpeg makes of this; the client plays it from its first frame on. */
async function publish(...args: readonly string[]): Promise<{ name: string; probe: RtmpTestClient }> {
  const name = `long-gop-${names++}`;
  const encoder = new FfmpegEncoder(`rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`, args);
  open.push(() => encoder.close());
  await vi.waitFor(
    async () => expect((await app.rest('/rest-api/stream/find', { name })).text).toContain('"PUBLISHING"'),
    { timeout: 30_000, interval: 50 },
  );
  const probe = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => probe.close());
  return { name, probe };
}

async function openPage(): Promise<SdkPage> {
  const page = await SdkPage.open(browser, wsUrl);
  open.push(() => page.page.close());
  return page;
}

async function watched(page: SdkPage, name: string): Promise<SdkStream> {
  const player = await page.createStream({ name });
  await player.act('play');
  await watchNumbers(page.page);
  return player;
}

function untilShown(page: SdkPage, isIt: (numbers: readonly number[]) => boolean, timeout = 30_000) {
  return vi.waitUntil(
    async () => {
      const numbers = await numbersShown(page.page);
      return isIt(numbers) && numbers;
    },
    { timeout, interval: 50 },
  );
}

describe('a page that comes in the middle of a long group of pictures', () => {
  it.each([
    ['copied', x264(...FOUR_MBITS, '-bf', '0', ...LONG_GOP)],
    ['transcoded, because of its B-frames', x264('-preset', 'veryfast', ...FOUR_MBITS, '-bf', '3', ...LONG_GOP)],
  ])('shows it before the next keyframe, and is soon where the stream is: %s', async (_what, video) => {
    // Beforehand, so that half a group is left when the page begins to play.
    const page = await openPage();
    const { name, probe } = await publish(...numberedPicture(), ...TONE, ...video, ...AAC_MONO);
    await probe.until(() => probe.count('video') > GOP_FRAMES / 2, 'the middle of the group');
    const beganMs = performance.now();
    await watched(page, name);
    const [first] = await untilShown(page, ({ length }) => length > 0);
    const firstMs = performance.now() - beganMs;
    expect(first).toBeLessThan(GOP_FRAMES);
    const shown = await untilShown(page, (numbers) => numbers.at(-1)! > probe.count('video') - 25);
    const liveMs = performance.now() - beganMs;
    console.log(`first picture: ${first} after ${Math.round(firstMs)} ms, live after ${Math.round(liveMs)} ms`);
    expect(shown.slice(1).every((number, i) => number > shown[i]!)).toBe(true);
    const settled = await untilShown(page, (numbers) => numbers.at(-1)! > GOP_FRAMES + 10);
    console.log(`behind the RTMP player then: ${probe.count('video') - settled.at(-1)!} frames`);
  });
});

describe.skipIf(refusal !== undefined)('a page that lost more than can be repaired', () => {
  it('shows the picture again before the next keyframe, once the network is well', async () => {
    const page = await openPage();
    const { name, probe } = await publish(...numberedPicture(), ...x264(...FOUR_MBITS, '-bf', '0', ...LONG_GOP), '-an');
    const player = await watched(page, name);
    await untilShown(page, (numbers) => numbers.at(-1)! % GOP_FRAMES > 20 && numbers.at(-1)! % GOP_FRAMES < 60);
    const { keyFramesDecoded } = await player.stat('inbound-rtp', 'video');
    await network!.setLoss(1);
    const lostFrom = probe.count('video');
    await probe.until(() => probe.count('video') > lostFrom + 75, 'three seconds of losses');
    const last = (await numbersShown(page.page)).at(-1)!;
    await network!.setLoss(0);
    const beganMs = performance.now();
    const shown = await untilShown(page, (numbers) => numbers.at(-1)! > lostFrom + 75);
    const rightMs = performance.now() - beganMs;
    const stats = await player.stat('inbound-rtp', 'video');
    const after = shown.slice(shown.lastIndexOf(last) + 1);
    console.log(`lost after ${last}; ${after[0]} to ${after.at(-1)} after ${Math.round(rightMs)} ms`);
    console.log(JSON.stringify({ plis: stats['pliCount'], nacks: stats['nackCount'], lost: stats['packetsLost'] }));
    expect(Math.floor(after.at(-1)! / GOP_FRAMES)).toBe(Math.floor(last / GOP_FRAMES));
    expect(Number(stats['pliCount'])).toBeGreaterThan(0);
    expect(Number(stats['keyFramesDecoded'])).toBe(Number(keyFramesDecoded) + 1);
  });
});

describe('a stream of 4K', () => {
  it('is played by a page as it is', async () => {
    const video = x264('-bf', '0', '-b:v', '15M');
    const { name } = await publish(...movingPicture('3840x2160', 10), ...video, '-an');
    const page = await openPage();
    const player = await page.play({ name });
    await player.untilFrames(30);
    expect(await player.stat('inbound-rtp', 'video')).toMatchObject({ frameWidth: 3840, frameHeight: 2160 });
  });
});
