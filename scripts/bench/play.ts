/**
 * Time from a play request to the first picture in Chromium, with the official SDK, the product in a process of its own.
 *
 * Two spans: from `stream.play()` (what a user waits for; the browser gathers its candidates in it) and from the moment the
 * request with the offer leaves the page (what the server answers for).
 */
import type { Page } from 'playwright-core';
import { startBrowser } from '../../test/support/browser.ts';
import { SdkPage } from '../../test/support/sdk-page.ts';
import { startAppProcess } from './support/app-process.ts';
import { printTable, rounded, spreadOf } from './support/statistics.ts';

const PLAYS = 5;
/** The codec that is left when the other is taken out of the publisher's offer. */
const CODECS = [
  { codec: 'H264', stripCodecs: 'VP8,VP9,AV1' },
  { codec: 'VP8', stripCodecs: 'H264,VP9,AV1' },
] as const;
const SETTLED_FRAMES = 40;

interface PageGlobals {
  WebSocket: { prototype: { send(data: unknown): void } };
  performance: { now(): number };
  playRequestMs: number;
}

/** Runs in the page: notes when a play request leaves it. */
function notePlayRequests(): void {
  const page = globalThis as unknown as PageGlobals;
  const { send } = page.WebSocket.prototype;
  page.WebSocket.prototype.send = function (data: unknown) {
    if (typeof data === 'string' && data.includes('"playStream"')) page.playRequestMs = page.performance.now();
    send.call(this, data);
  };
}

const now = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as PageGlobals).performance.now());
const playRequestMs = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as PageGlobals).playRequestMs);

const app = await startAppProcess();
const browser = await startBrowser();
try {
  const publisher = await SdkPage.open(browser, app.wsUrl);
  const player = await SdkPage.open(browser, app.wsUrl);
  await player.page.evaluate(notePlayRequests);
  const results = [];
  for (const { codec, stripCodecs } of CODECS) {
    const name = `bench-${codec}`;
    const source = await publisher.publish({ name, stripCodecs });
    await source.untilFrames(SETTLED_FRAMES);
    const fromCallMs: number[] = [];
    const fromRequestMs: number[] = [];
    for (let play = 0; play < PLAYS; play++) {
      const stream = await player.createStream({ name });
      const firstPicture = stream.firstPictureMs();
      const calledMs = await now(player.page);
      await stream.act('play');
      const shownMs = await firstPicture;
      fromCallMs.push(shownMs - calledMs);
      fromRequestMs.push(shownMs - (await playRequestMs(player.page)));
      await stream.act('stop');
      await stream.waitFor('STOPPED');
    }
    await source.act('stop');
    await source.waitFor('UNPUBLISHED');
    results.push({
      codec,
      fromCallMs: rounded(spreadOf(fromCallMs), 0),
      fromRequestMs: rounded(spreadOf(fromRequestMs), 0),
    });
  }
  console.log(`first picture in Chromium, ${PLAYS} plays each, ms`);
  printTable(
    ['codec', 'request p50', 'max', 'play() p50', 'max', 'request/play()'],
    results.map(({ codec, fromRequestMs, fromCallMs }) => [
      codec,
      String(fromRequestMs.median),
      String(fromRequestMs.max),
      String(fromCallMs.median),
      String(fromCallMs.max),
      (fromRequestMs.median / fromCallMs.median).toFixed(2),
    ]),
  );
  console.log(JSON.stringify({ bench: 'play', plays: PLAYS, results }));
} finally {
  await browser.close();
  await app.close();
}
