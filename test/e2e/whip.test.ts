import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { GstreamerClient } from '../support/gstreamer-client.ts';
import { SdkPage } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';
import { WhipPage } from '../support/whip-page.ts';

const WAIT = { timeout: 20_000, interval: 50 };
/** ICE of a client that is killed is given up after 30 s, and its missing media sooner. */
const GONE_MS = 45_000;

let app: TestApp;
let browser: TestBrowser;
let names = 0;
/** Closed after each test, last first. */
let open: (() => Promise<unknown>)[] = [];
/** Of a client that is killed at the beginning, which is noticed while all else goes on. */
let killedEnd: Promise<void>;

beforeAll(async () => {
  app = await startTestApp();
  browser = await startBrowser();
  const name = freshName();
  const publisher = new GstreamerClient('publish', endpoint('whip', name));
  await untilStatuses(name, ['PUBLISHING'], WAIT.timeout);
  const page = await WhipPage.open(browser, endpoint('whep', name));
  await page.untilMedia(10);
  await publisher.kill();
  killedEnd = untilStatuses(name, [], GONE_MS).then(() => page.untilClosed());
  // It is awaited by the last test.
  killedEnd.catch(() => {});
});

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  open = [];
});

afterAll(async () => {
  await browser?.close();
  await app?.close('the tests are over');
});

const freshName = (): string => `whip-${names++}`;
const endpoint = (path: 'whip' | 'whep', name: string): string =>
  `http://127.0.0.1:${app.ports['http.port']}/${path}/${name}`;

async function statusesOf(name: string): Promise<unknown[]> {
  const { status, json } = await app.rest('/rest-api/stream/find', { name });
  return status === 200 ? (json() as { status: string }[]).map((stream) => stream.status) : [];
}

async function untilStatuses(name: string, wanted: readonly string[], timeoutMs: number): Promise<void> {
  let statuses: readonly unknown[] = [];
  await waitUntil(
    async () => {
      statuses = await statusesOf(name);
      return String(statuses) === String(wanted) || undefined;
    },
    timeoutMs,
    () => `${name} to be [${String(wanted)}], it is [${String(statuses)}]`,
  );
}

const isMoving = ({ pictures = 0, sounds = 0 }): boolean => pictures > 50 && sounds > 50;

function gstreamer(action: 'publish' | 'play', name: string): GstreamerClient {
  const client = new GstreamerClient(action, endpoint(action === 'publish' ? 'whip' : 'whep', name));
  open.push(() => client.kill());
  return client;
}

async function whipPage(path: 'whip' | 'whep', name: string): Promise<WhipPage> {
  const page = await WhipPage.open(browser, endpoint(path, name));
  open.push(() => page.close());
  return page;
}

async function sdkPage(): Promise<SdkPage> {
  const page = await SdkPage.open(browser, app.wsUrl);
  open.push(() => page.page.close());
  return page;
}

describe('what GStreamer publishes by WHIP', () => {
  test('is played by GStreamer and a page over WHEP and by the official SDK, until it is deleted', async () => {
    const name = freshName();
    const publisher = gstreamer('publish', name);
    await expect.poll(() => statusesOf(name), WAIT).toEqual(['PUBLISHING']);
    const player = gstreamer('play', name);
    const page = await whipPage('whep', name);
    const sdk = await (await sdkPage()).play({ name });
    expect(await player.saying(isMoving)).toMatchObject({ width: 320, height: 240 });
    await page.untilMedia(50);
    await sdk.untilFrames(50);
    expect(await sdk.stat('inbound-rtp', 'video')).toMatchObject({ frameWidth: 320, frameHeight: 240 });

    expect(await publisher.stop()).toBe(200);
    expect(await sdk.waitFor('FAILED')).toMatchObject({ info: 'Stopped by publisher stop' });
    await page.untilClosed();
    expect(await statusesOf(name)).toEqual([]);
    expect(await page.delete()).toBe(404);
    expect(await player.stop()).toBe(404);
  });
});

describe('what a page publishes', () => {
  test('by WHIP is played by the official SDK and over WHEP, until the page deletes it', async () => {
    const name = freshName();
    const publisher = await whipPage('whip', name);
    await expect.poll(() => statusesOf(name), WAIT).toEqual(['PUBLISHING']);
    await expect(WhipPage.open(browser, endpoint('whip', name))).rejects.toThrow('status 409');
    const sdk = await (await sdkPage()).play({ name });
    const player = await whipPage('whep', name);
    const other = gstreamer('play', name);
    await publisher.untilMedia(20);
    await sdk.untilFrames(50);
    await player.untilMedia(50);
    await other.saying(isMoving);
    expect(await player.delete()).toBe(200);
    await player.untilClosed();
    expect(await publisher.delete()).toBe(200);
    await publisher.untilClosed();
    expect(await sdk.waitFor('FAILED')).toMatchObject({ info: 'Stopped by publisher stop' });
    expect(await statusesOf(name)).toEqual([]);
  });

  test('by the official SDK is played over WHEP by a page and by GStreamer', async () => {
    const name = freshName();
    const publisher = await (await sdkPage()).publish({ name });
    const player = await whipPage('whep', name);
    const other = gstreamer('play', name);
    await player.untilMedia(50);
    await other.saying(isMoving);
    expect(await other.stop()).toBe(200);
    await publisher.act('stop');
    await player.untilClosed();
    expect(await player.delete()).toBe(404);
  });
});

test('what GStreamer published by WHIP ends for its players when its process has been killed', async () => {
  await expect(killedEnd).resolves.toBeUndefined();
});
