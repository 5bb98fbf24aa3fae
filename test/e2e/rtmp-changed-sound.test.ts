import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { x264 } from '../support/ffmpeg-encoder.ts';
import { recordRtmpMessages } from '../support/flv-recording.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { numberedPicture, numbersShown, watchNumbers } from '../support/numbered-picture.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { SdkPage } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const SECONDS = 20;
const CHANGE_MS = 8_000;
/** A single keyframe: nothing that goes on may wait for another. */
const ONE_GOP = [
  '-g',
  '500',
  '-keyint_min',
  '500',
  '-sc_threshold',
  '0',
  '-bf',
  '0',
  '-b:v',
  '2M',
  '-maxrate',
  '2M',
  '-bufsize',
  '1M',
];

let app: TestApp;
let nginx: NginxRtmp;
let browser: TestBrowser;
let recorded: RawMessage[];
/** Closed after each test, last first. */
let open: (() => Promise<void>)[] = [];
let names = 0;
let name: string;
let encoder: RtmpTestClient;

beforeAll(async () => {
  app = await startTestApp();
  nginx = await startNginxRtmp();
  browser = await startBrowser();
  const tone = ['-f', 'lavfi', '-i', 'sine=1000:sample_rate=44100', '-c:a', 'aac'];
  const length = ['-t', `${SECONDS}`];
  const before = await recordRtmpMessages([...tone, '-ar', '44100', '-ac', '1', ...length]);
  const after = await recordRtmpMessages([...tone, '-ar', '48000', '-ac', '2', ...length]);
  const video = await recordRtmpMessages([...numberedPicture().slice(1), ...x264(...ONE_GOP), ...length, '-an']);
  const isMedia = ({ typeId }: RawMessage) => typeId !== MESSAGE_TYPE.dataAmf0;
  const config = after
    .filter(isMedia)
    .slice(0, 1)
    .map((message) => ({ ...message, timestampMs: CHANGE_MS }));
  recorded = [
    ...video.filter(isMedia),
    ...before.filter(isMedia).filter(({ timestampMs }) => timestampMs < CHANGE_MS),
    ...config,
    ...after.filter(isMedia).filter(({ timestampMs }) => timestampMs >= CHANGE_MS),
  ].toSorted((a, b) => a.timestampMs - b.timestampMs);
}, 60_000);

beforeEach(async () => {
  name = `changed-${names++}`;
  encoder = await RtmpTestClient.publishing(app.ports['rtmp.port']!, name);
  open.push(() => encoder.close());
  open.push(sendLive(encoder, recorded));
  const isPublishing = async () => (await app.rest('/rest-api/stream/find', { name })).text.includes('"PUBLISHING"');
  await vi.waitUntil(isPublishing, { timeout: 15_000, interval: 50 });
});

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  open = [];
});

afterAll(async () => {
  await browser?.close();
  await nginx?.stop();
  await app?.close('the tests are over');
});

/** Sends the messages at their times; the returned function stops that. */
function sendLive(client: RtmpTestClient, messages: readonly RawMessage[]): () => Promise<void> {
  const stop = new AbortController();
  const beganMs = performance.now();
  const sending = (async () => {
    for (const message of messages) {
      const earlyMs = message.timestampMs - (performance.now() - beganMs);
      if (earlyMs > 0) await sleep(earlyMs, undefined, { signal: stop.signal });
      if (client.isClosed || stop.signal.aborted) return;
      client.media(message);
    }
  })().catch(() => {});
  return () => {
    stop.abort();
    return sending;
  };
}

const changes = () => app.log().split('a publisher has changed its tracks').length - 1;

async function untilChanged(): Promise<void> {
  const before = changes();
  await vi.waitUntil(() => changes() > before, { timeout: 20_000, interval: 50 });
}

it('a page goes on with picture and sound where the encoder changes its sound, within the same group of pictures', async () => {
  const page = await SdkPage.open(browser, app.wsUrl);
  open.push(() => page.page.close());
  const player = await page.play({ name });
  await watchNumbers(page.page);
  const heard = (stat: { kind?: string; [field: string]: unknown }) =>
    stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01;
  await player.until((stats) => stats.find(heard), 'sound');
  await untilChanged();
  const { totalSamplesReceived } = await player.stat('inbound-rtp', 'audio');
  const changeFrame = CHANGE_MS / 40;
  await vi.waitUntil(async () => (await numbersShown(page.page)).at(-1)! > changeFrame + 75, {
    timeout: 15_000,
    interval: 50,
  });
  await player.until((stats) => stats.find(heard), 'sound after the change');
  expect(Number((await player.stat('inbound-rtp', 'audio'))['totalSamplesReceived'])).toBeGreaterThan(
    Number(totalSamplesReceived),
  );
  expect(await player.statuses()).toEqual(['PENDING', 'PLAYING']);
  const numbers = await numbersShown(page.page);
  expect(numbers.slice(1).every((number, i) => number > numbers[i]!)).toBe(true);
});

it('an RTMP player is told that the stream is over, and begins with the new one at once when it comes again', async () => {
  const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => player.close());
  await player.until(() => player.count('video') > 10, 'pictures');
  await player.status('NetStream.Play.UnpublishNotify');
  expect(encoder.isClosed).toBe(false);
  const again = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => again.close());
  await again.until(
    () => again.count('video') > CHANGE_MS / 40 && again.count('audio') > 10,
    'the picture from its keyframe',
  );
});

it('a push ends because its source did, and can be started again at once', async () => {
  const push = () => app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
  const { mediaSessionId } = (await push()).json() as { mediaSessionId: string };
  const isActive = (id: string) => app.pushStatus(id)?.state === 'ACTIVE';
  await vi.waitUntil(() => isActive(mediaSessionId), { timeout: 15_000, interval: 50 });
  await untilChanged();
  await vi.waitUntil(async () => (await app.rest('/rest-api/push/find_all')).status === 404, {
    timeout: 15_000,
    interval: 50,
  });
  const moves = app
    .log()
    .split('\n')
    .filter((line) => line.includes(mediaSessionId));
  expect(moves.some((line) => line.includes('TERMINATED') && line.includes('source_gone'))).toBe(true);
  const again = (await push()).json() as { mediaSessionId: string };
  await vi.waitUntil(() => isActive(again.mediaSessionId), { timeout: 15_000, interval: 50 });
});
