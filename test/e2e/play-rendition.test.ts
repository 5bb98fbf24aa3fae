import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { countOfKind } from '../support/app-children.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { SdkPage, type SdkStream } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

let app: TestApp;
let browser: TestBrowser;

beforeAll(async () => {
  app = await startTestApp();
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
  await app?.close('the tests are over');
});

const HALF = { audio: true, video: { height: 120 } };

/** The height of the picture that is decoded, once it flows and the sound is heard. */
async function decodedHeight(player: SdkStream): Promise<unknown> {
  await player.untilFrames(10);
  await player.until(
    (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
    'an audio level that is heard',
  );
  return (await player.stat('inbound-rtp', 'video'))['frameHeight'];
}

describe('a player that asks for half the height', () => {
  it.each([
    ['H.264', {}],
    ['VP8', { stripCodecs: 'H264' }],
  ])(
    'gets it, from one transcoder for two of them, beside one that gets what is published: %s',
    async (name, codec) => {
      const pages = [];
      for (let i = 0; i < 3; i++) pages.push(await SdkPage.open(browser, app.wsUrl));
      const [publisherPage, firstPage, secondPage] = pages as [SdkPage, SdkPage, SdkPage];
      try {
        await publisherPage.publish({
          name,
          ...codec,
          constraints: { audio: true, video: { width: 320, height: 240 } },
        });
        const first = await firstPage.play({ name, constraints: HALF });
        expect(await decodedHeight(first)).toBe(120);
        const second = await secondPage.play({ name, constraints: HALF });
        const asPublished = await secondPage.play({ name });
        expect(await decodedHeight(second)).toBe(120);
        expect(await decodedHeight(asPublished)).toBe(240);
        expect(countOfKind('video-transcode')).toBe(1);
        const resized = await first.waitFor('RESIZE');
        expect(resized.detail).toMatchObject({ width: 160, height: 120 });
      } finally {
        for (const { page } of pages) await page.close();
      }
      await vi.waitFor(() => expect(countOfKind('video-transcode')).toBe(0), { timeout: 10_000, interval: 100 });
    },
  );
});
