import { mkdtemp, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { countOfKind } from '../support/app-children.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { AAC_MONO, FfmpegEncoder, flashesAndBeeps, movingPicture, TONE, x264 } from '../support/ffmpeg-encoder.ts';
import { recordRtmpMessages } from '../support/flv-recording.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { oneOf } from '../support/one-of.ts';
import { longestStepMs, seenAndHeard, watchPage } from '../support/page-watch.ts';
import { probeStreams, record, videoTimes } from '../support/recording.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { SdkPage, type RtcStat, type SdkStream } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const FRAME_MS = 40;
const MAX_OFFSET_MS = 100;
/** A browser that has paused keeps more sound in store for a while, so that it may take another one to judge the server. */
const MAX_VIEWERS = 6;
/** Likewise, of smoothness: a busy machine keeps packets from the page and has it drop pictures. */
const MAX_SMOOTH_VIEWERS = 3;

let app: TestApp;
let browser: TestBrowser;
let directory: string;
/** Closed after each test, last first. */
let open: (() => Promise<void>)[] = [];
let names = 0;

beforeAll(async () => {
  app = await startTestApp();
  browser = await startBrowser();
  directory = await mkdtemp(join(tmpdir(), 'rtmp-to-webrtc-'));
});

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  open = [];
  await vi.waitUntil(() => transcoders().video + transcoders().audio === 0, { timeout: 15_000, interval: 100 });
});

afterAll(async () => {
  await browser?.close();
  await app?.close('the tests are over');
  if (directory) await rm(directory, { recursive: true, force: true });
});

const transcoders = () => ({ video: countOfKind('video-transcode'), audio: countOfKind('audio-transcode') });

async function streamsOf(name: string): Promise<readonly Record<string, unknown>[]> {
  const { status, json } = await app.rest('/rest-api/stream/find', { name });
  return status === 200 ? (json() as Record<string, unknown>[]) : [];
}

/** Publishes over RTMP what ffmpeg makes of this; resolves with the name when it is PUBLISHING. */
async function publish(...args: readonly string[]): Promise<string> {
  const name = `encoded-${names++}`;
  const encoder = new FfmpegEncoder(`rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`, args);
  open.push(() => encoder.close());
  await vi.waitFor(
    async () => expect(await streamsOf(name)).toEqual([expect.objectContaining({ status: 'PUBLISHING' })]),
    { timeout: 15_000, interval: 50 },
  );
  return name;
}

async function openPage(): Promise<SdkPage> {
  const page = await SdkPage.open(browser, app.wsUrl);
  open.push(() => page.page.close());
  return page;
}

async function play(name: string, constraints?: object): Promise<SdkStream> {
  return (await openPage()).play({ name, ...(constraints && { constraints }) });
}

function untilHeard(player: SdkStream): Promise<RtcStat> {
  return player.until(
    (stats) => stats.find((stat) => stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01),
    'sound',
  );
}

describe('what an encoder publishes over RTMP is played by a page', () => {
  it.each([
    ['baseline', x264('-profile:v', 'baseline')],
    ['main without B-frames', x264('-preset', 'veryfast', '-profile:v', 'main', '-bf', '0')],
    ['high without B-frames', x264('-preset', 'veryfast', '-profile:v', 'high', '-bf', '0')],
  ])('as it is: %s', async (_what, video) => {
    const name = await publish(...movingPicture('640x360'), ...TONE, ...video, ...AAC_MONO);
    const player = await play(name);
    await player.untilFrames(50);
    await untilHeard(player);
    expect(await player.stat('inbound-rtp', 'video')).toMatchObject({ frameWidth: 640, frameHeight: 360 });
    expect(transcoders()).toEqual({ video: 0, audio: 1 });
  });

  it('as it is in 1080p, high profile, though the offer says baseline of level 3.1', async () => {
    const video = x264('-profile:v', 'high', '-bf', '0', '-x264-params', '8x8dct=1');
    const name = await publish(...movingPicture('1920x1080'), ...video, '-an');
    const player = await play(name);
    await player.untilFrames(30);
    const { frameHeight, codecId } = await player.stat('inbound-rtp', 'video');
    expect(frameHeight).toBe(1080);
    const codec = (await player.stats()).find(({ id }) => id === codecId);
    expect(codec?.['sdpFmtpLine']).toContain('42e01f');
    expect(transcoders()).toEqual({ video: 0, audio: 0 });
  });

  it.each([
    ['high with three B-frames', x264('-preset', 'veryfast', '-profile:v', 'high', '-bf', '3')],
    ['4:2:2', x264('-pix_fmt', 'yuv422p', '-bf', '0')],
    ['10 bit', x264('-pix_fmt', 'yuv420p10le', '-bf', '0')],
    ['interlaced', x264('-preset', 'veryfast', '-bf', '0', '-flags', '+ildct+ilme')],
  ])('by way of a transcoder, and smoothly: %s', async (_what, video) => {
    const name = await publish(...movingPicture('640x360'), ...TONE, ...video, ...AAC_MONO);
    const seen = await oneOf(MAX_SMOOTH_VIEWERS, () => watchSixSeconds(name), isSmooth);
    expect(seen).toSatisfy(isSmooth);
  });

  /** What a page that begins to play now sees of 150 pictures, with sound, from a transcoder. */
  async function watchSixSeconds(name: string) {
    const player = await play(name);
    await player.untilFrames(1);
    await watchPage(player.page);
    await player.untilFrames(150);
    await untilHeard(player);
    expect(transcoders()).toEqual({ video: 1, audio: 1 });
    const { framesDecoded, framesDropped } = await player.stat('inbound-rtp', 'video');
    const { pictures } = await seenAndHeard(player.page);
    await player.page.close();
    return {
      droppedPart: Number(framesDropped) / Number(framesDecoded),
      pictures: pictures.length,
      longestStepMs: longestStepMs(pictures, FRAME_MS),
    };
  }

  function isSmooth(seen: Awaited<ReturnType<typeof watchSixSeconds>>): boolean {
    return seen.droppedPart < 1 / 20 && seen.pictures > 75 && seen.longestStepMs < 500;
  }

  it.each([
    ['MP3', ['-c:a', 'libmp3lame', '-ar', '44100', '-ac', '2']],
    ['Speex', ['-c:a', 'libspeex', '-ar', '16000', '-ac', '1']],
    ['AAC of 48 kHz', ['-c:a', 'aac', '-ar', '48000', '-ac', '2']],
  ])('with its sound: %s', async (_what, audio) => {
    const name = await publish(...movingPicture('320x240'), ...TONE, ...x264('-bf', '0'), ...audio);
    const player = await play(name);
    await player.untilFrames(10);
    expect(Number((await untilHeard(player))['audioLevel'])).toBeGreaterThan(0.01);
  });

  it('where it has sound alone', async () => {
    const player = await play(await publish(...TONE, ...AAC_MONO));
    await untilHeard(player);
    expect(await player.stat('inbound-rtp', 'video')).toEqual({ type: 'inbound-rtp' });
  });

  it('where it has a picture alone, without a track of silence', async () => {
    const player = await play(await publish(...movingPicture('320x240'), ...x264('-bf', '0'), '-an'));
    await player.untilFrames(25);
    expect(await player.stat('inbound-rtp', 'audio')).toEqual({ type: 'inbound-rtp' });
    expect(transcoders()).toEqual({ video: 0, audio: 0 });
  });
});

describe('players of what came by RTMP', () => {
  it('share one transcoder of each kind, and those that ask for a size share another', async () => {
    const name = await publish(...movingPicture('640x360'), ...TONE, ...x264('-bf', '2'), ...AAC_MONO);
    const players = [await play(name), await play(name)];
    for (const player of players) await player.untilFrames(10);
    expect(transcoders()).toEqual({ video: 1, audio: 1 });
    const small = await play(name, { audio: true, video: { height: 180 } });
    await small.untilFrames(10);
    await untilHeard(small);
    expect(await small.stat('inbound-rtp', 'video')).toMatchObject({ frameWidth: 320, frameHeight: 180 });
    expect(transcoders()).toEqual({ video: 2, audio: 1 });
    const kinds = (await streamsOf(name)).map(({ mediaType, status }) => `${mediaType} ${status}`);
    expect(kinds.toSorted()).toEqual(['play PLAYING', 'play PLAYING', 'play PLAYING', 'publish PUBLISHING']);
  });

  it('are told that it is available, of its size, and of its end', async () => {
    const name = await publish(...movingPicture('640x360'), ...TONE, ...x264('-bf', '0'), ...AAC_MONO);
    const page = await openPage();
    const waiting = await page.createStream({ name });
    expect(await waiting.available()).toMatchObject({ isAvailable: true });
    const player = await page.play({ name });
    expect((await player.waitFor('RESIZE')).detail).toMatchObject({ width: 640, height: 360 });
    await open.shift()!();
    await player.waitFor('FAILED');
    expect((await player.events()).at(-1)!.info).toBe('Stopped by publisher stop');
    expect(await waiting.available()).toMatchObject({ isAvailable: false });
  });

  it.each([
    ['copied', x264('-bf', '0')],
    ['transcoded', x264('-preset', 'veryfast', '-bf', '3')],
  ])('see and hear the same moment together, from the first seconds on: %s', async (_what, video) => {
    const name = await publish(...flashesAndBeeps('640x360'), ...video, ...AAC_MONO);
    const offsetMs = await oneOf(
      MAX_VIEWERS,
      () => offsetInFirstSeconds(name),
      (ms) => Math.abs(ms) < MAX_OFFSET_MS,
    );
    expect(Math.abs(offsetMs)).toBeLessThan(MAX_OFFSET_MS);
  });

  /** How much later a page that begins to play now shows each flash than it sounds the beep, as a rule. */
  async function offsetInFirstSeconds(name: string): Promise<number> {
    const { page } = await play(name);
    await watchPage(page);
    const seen = await vi.waitUntil(
      async () => {
        const { flashesMs, beepsMs } = await seenAndHeard(page);
        return flashesMs.length >= 8 && beepsMs.length >= 8 && { flashesMs, beepsMs };
      },
      { timeout: 30_000, interval: 200 },
    );
    await page.close();
    const offsetsMs = seen.flashesMs.map((flashMs) => {
      const beepMs = seen.beepsMs.toSorted((a, b) => Math.abs(a - flashMs) - Math.abs(b - flashMs))[0]!;
      return flashMs - beepMs;
    });
    console.log(`flash after beep: ${offsetsMs.map(Math.round).join(', ')} ms`);
    return median(offsetsMs);
  }

  it('go on where the encoder changes to what browsers cannot play', async () => {
    const parts = [x264('-t', '8', '-bf', '0'), x264('-preset', 'veryfast', '-t', '10', '-bf', '3')];
    const messages = [];
    let startMs = 0;
    for (const video of parts) {
      const part = await recordRtmpMessages([...movingPicture('640x360').slice(1), ...video, '-an']);
      messages.push(...part.map((message) => ({ ...message, timestampMs: startMs + message.timestampMs })));
      startMs = messages.at(-1)!.timestampMs + 40;
    }
    const name = `changing-${names++}`;
    // Beforehand, so that all the time before the change is for playing.
    const page = await openPage();
    const encoder = await RtmpTestClient.publishing(app.ports['rtmp.port']!, name);
    open.push(() => encoder.close());
    const beganMs = performance.now();
    const sending = (async () => {
      for (const message of messages) {
        const earlyMs = message.timestampMs - (performance.now() - beganMs);
        if (earlyMs > 0) await sleep(earlyMs);
        if (encoder.isClosed) return;
        encoder.media(message);
      }
    })();
    open.push(() => sending);
    open.push(() => encoder.close());
    await vi.waitFor(async () => expect(await streamsOf(name)).toHaveLength(1), { timeout: 15_000, interval: 50 });
    const player = await page.play({ name });
    await player.untilFrames(25);
    await watchPage(player.page);
    expect(transcoders()).toEqual({ video: 0, audio: 0 });
    await vi.waitUntil(() => transcoders().video > 0, { timeout: 15_000, interval: 50 });
    const { framesDecoded } = await player.stat('inbound-rtp', 'video');
    await player.untilFrames(Number(framesDecoded) + 125);
    expect(transcoders()).toEqual({ video: 1, audio: 0 });
    expect(await player.statuses()).toEqual(['PENDING', 'PLAYING']);
    const { pictures } = await seenAndHeard(player.page);
    expect(longestStepMs(pictures, FRAME_MS)).toBeLessThan(2000);
  });
});

describe('what came by RTMP is pushed on', () => {
  let nginx: NginxRtmp;
  beforeAll(async () => {
    nginx = await startNginxRtmp();
  });
  afterAll(async () => {
    await nginx?.stop();
  });

  it('as it is, B-frames and their times included, by no transcoder', async () => {
    const video = x264('-preset', 'veryfast', '-bf', '3');
    const name = await publish(...movingPicture('640x360'), ...TONE, ...video, ...AAC_MONO);
    const { status, text } = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
    expect({ status, text }).toMatchObject({ status: 200 });
    await nginx.waitForCall('publish');
    const file = join(directory, 'pushed.flv');
    await record(`${nginx.url('live')}/rtmp_${name}`, 5, file);
    expect(transcoders()).toEqual({ video: 0, audio: 0 });
    expect(await probeStreams(file)).toEqual([
      expect.objectContaining({ codec_name: 'h264', width: 640, height: 360 }),
      expect.objectContaining({ codec_name: 'aac', sample_rate: '44100', channels: 1 }),
    ]);
    const times = await videoTimes(file);
    expect(times.length).toBeGreaterThan(75);
    expect(times.some(({ ptsMs, dtsMs }) => ptsMs - dtsMs > 40)).toBe(true);
    expect(times.every(({ ptsMs, dtsMs }) => ptsMs >= dtsMs)).toBe(true);
    const shown = times.map(({ ptsMs }) => ptsMs).toSorted((a, b) => a - b);
    // The last pictures of the recording lack those that are shown between them.
    const steps = shown.slice(1, -4).map((ms, index) => ms - shown[index]!);
    expect(Math.max(...steps)).toBeLessThanOrEqual(41);
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(39);
  });
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
