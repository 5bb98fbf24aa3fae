import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { FfmpegEncoder, movingPicture, TONE, x264 } from '../support/ffmpeg-encoder.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { probeStreams, record } from '../support/recording.ts';
import { SdkPage } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const WAIT = { timeout: 20_000, interval: 50 };
const RECORDED_S = 2;
const AUDIBLE_DB = -40;
const run = promisify(execFile);

let directory: string;
let app: TestApp;
let nginx: NginxRtmp;
let browser: TestBrowser;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transponder-sound-'));
  app = await startTestApp();
  nginx = await startNginxRtmp();
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await nginx?.stop();
  await app?.close('test ended');
  if (directory) await rm(directory, { recursive: true, force: true });
});

async function meanDb(path: string): Promise<number> {
  const { stderr } = await run('ffmpeg', ['-nostdin', '-i', path, '-vn', '-af', 'volumedetect', '-f', 'null', '-']);
  return Number(/mean_volume: (\S+) dB/.exec(stderr)?.[1] ?? -Infinity);
}

/** What a player of that address gets: its sound is AAC, and heard. */
async function expectHeard(url: string, file: string): Promise<void> {
  const path = join(directory, file);
  await record(url, RECORDED_S, path);
  const sound = (await probeStreams(path)).find(({ codec_type }) => codec_type === 'audio');
  expect(sound).toMatchObject({ codec_name: 'aac' });
  expect(await meanDb(path)).toBeGreaterThan(AUDIBLE_DB);
}

it.each([
  ['AAC', ['-c:a', 'aac', '-ar', '44100', '-ac', '2']],
  ['MP3', ['-c:a', 'libmp3lame', '-ar', '44100', '-ac', '2']],
  ['Speex', ['-c:a', 'libspeex', '-ar', '16000', '-ac', '1']],
  ['G.711 A-law', ['-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1']],
  ['G.711 µ-law', ['-c:a', 'pcm_mulaw', '-ar', '8000', '-ac', '1']],
])('sound of an encoder is heard by RTMP players, a push and pages: %s', async (what, audio) => {
  const name = what.replaceAll(/\W/g, '');
  const address = `rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`;
  const encoder = new FfmpegEncoder(address, [...movingPicture('320x240'), ...TONE, ...x264('-bf', '0'), ...audio]);
  onTestFinished(() => encoder.close());
  const isLive = async () => (await app.rest('/rest-api/stream/find', { name })).text.includes('"PUBLISHING"');
  await vi.waitUntil(isLive, WAIT);
  const answer = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
  expect(answer).toMatchObject({ status: 200 });
  const { mediaSessionId } = answer.json() as { mediaSessionId: string };
  onTestFinished(async () => void (await app.rest('/rest-api/push/terminate', { mediaSessionId })));
  await vi.waitUntil(() => app.pushStatus(mediaSessionId)?.state === 'ACTIVE', WAIT);
  const page = await SdkPage.open(browser, app.wsUrl);
  onTestFinished(() => page.page.close());
  const player = await page.play({ name });
  await Promise.all([
    expectHeard(address, `${name}-played.flv`),
    expectHeard(`${nginx.url('live')}/rtmp_${name}`, `${name}-pushed.flv`),
    player.until(
      (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
      'sound on the page',
    ),
  ]);
});
