import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { countOfKind } from '../support/app-children.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { AAC_MONO, FfmpegEncoder, movingPicture, TONE, x264 } from '../support/ffmpeg-encoder.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import { openPublisherPage, type PublisherPage, type PublishOptions } from '../support/publisher-page.ts';
import { H264_ONLY, VP8_ONLY } from '../support/push-rig.ts';
import { beepTimes, flashTimes, pictureSizes, probeStreams, type ProbedStream } from '../support/recording.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { decodeFile, ffmpegPlaying, startProgram, type RunningProgram } from '../support/rtmp-programs.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { ffmpeg } from './ffmpeg-support.ts';

const START_MS = 20_000;
/** A page draws 20 to 30 pictures a second, so that a flash may be shown so much beside its beep. */
const MAX_SKEW_SECONDS = 0.1;
/** A few seconds of a page's nearly black picture and its beeps. */
const PLAYED_ENOUGH_BYTES = 30_000;
const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

let directory: string;
let names = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rtmp-player-'));
});

afterAll(async () => {
  if (directory) await rm(directory, { recursive: true, force: true });
});

async function startApp(settings: Readonly<Record<string, string>> = {}): Promise<TestApp> {
  const app = await startTestApp(settings);
  onTestFinished(() => app.close('the test is over'));
  return app;
}

interface FoundStream {
  readonly status: string;
  readonly published: boolean;
  readonly mediaProvider: string;
  readonly mediaSessionId: string;
  readonly sessionId: string;
}

async function streamsOf(app: TestApp, filter: object): Promise<readonly FoundStream[]> {
  const { status, json } = await app.rest('/rest-api/stream/find', filter);
  return status === 200 ? (json() as FoundStream[]) : [];
}

function untilStatus(app: TestApp, name: string, status: string, count = 1): Promise<readonly FoundStream[]> {
  return vi.waitFor(
    async () => {
      const found = await streamsOf(app, { name, status });
      expect(found).toHaveLength(count);
      return found;
    },
    { timeout: START_MS, interval: 50 },
  );
}

const urlOf = (app: TestApp, name: string, appName = 'live'): string =>
  `rtmp://127.0.0.1:${app.ports['rtmp.port']}/${appName}/${name}`;

/** Publishes over RTMP what ffmpeg makes of this; resolves when it is PUBLISHING. */
async function encode(app: TestApp, ...args: readonly string[]): Promise<{ name: string; encoder: FfmpegEncoder }> {
  const name = `encoded-${names++}`;
  const encoder = new FfmpegEncoder(urlOf(app, name), args);
  onTestFinished(() => encoder.close());
  await untilStatus(app, name, 'PUBLISHING');
  return { name, encoder };
}

interface Playing {
  readonly file: string;
  readonly program: RunningProgram;
  untilBytes(bytes: number): Promise<void>;
}

/** ffmpeg, which writes what it plays into a file as it comes. */
function play(app: TestApp, name: string, appName?: string): Playing {
  const file = join(directory, `played-${names++}.flv`);
  const program = startProgram(ffmpegPlaying(urlOf(app, name, appName), file));
  onTestFinished(() => program.kill());
  return {
    file,
    program,
    untilBytes: (bytes) =>
      vi.waitFor(async () => expect((await stat(file)).size).toBeGreaterThan(bytes), {
        timeout: START_MS,
        interval: 100,
      }),
  };
}

const VIDEO_OF_ENCODER = [...movingPicture('320x240'), ...TONE, ...x264('-bf', '0')];

describe('a stream that a page publishes', () => {
  let app: TestApp;
  let browser: TestBrowser;
  let page: PublisherPage;
  const published: string[] = [];

  beforeAll(async () => {
    app = await startTestApp();
    browser = await startBrowser();
    page = await openPublisherPage(browser, app.wsUrl);
  });
  afterEach(async () => {
    for (const name of published.splice(0)) await page.unpublish(name);
    await page.resize(320, 240);
    await vi.waitUntil(() => countOfKind('audio-transcode') + countOfKind('video-transcode') === 0, {
      timeout: START_MS,
      interval: 100,
    });
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close('the tests are over');
  });

  async function publish(options: Omit<PublishOptions, 'name'>): Promise<string> {
    const name = `page-${names++}`;
    await page.publish({ name, ...options });
    published.push(name);
    await untilStatus(app, name, 'PUBLISHING');
    return name;
  }

  /** After which players end by themselves. */
  async function unpublish(name: string): Promise<void> {
    published.splice(published.indexOf(name), 1);
    await page.unpublish(name);
  }

  async function played(playing: Playing): Promise<readonly ProbedStream[]> {
    expect(await playing.program.ended).toEqual({ isByItself: true, exitCode: 0, output: '' });
    expect((await decodeFile(playing.file)).errors).toBe('');
    return probeStreams(playing.file);
  }

  it.each([
    ['H.264', H264_ONLY, 0],
    ['VP8', VP8_ONLY, 1],
  ])(
    'of %s and Opus is played as H.264 and AAC, together, until the page stops',
    async (_, stripCodecs, transcoders) => {
      const name = await publish({ stripCodecs });
      await page.takeLateness();
      const playing = play(app, name);
      await untilStatus(app, name, 'PLAYING');
      await vi.waitFor(async () => expect((await beepTimes(playing.file)).length).toBeGreaterThanOrEqual(6), {
        timeout: START_MS,
        interval: 500,
      });
      expect(countOfKind('video-transcode')).toBe(transcoders);
      expect(countOfKind('audio-transcode')).toBe(1);
      await unpublish(name);
      const { flashMs, missedFlashes } = await page.takeLateness();
      expect(await played(playing)).toEqual([
        expect.objectContaining({ codec_name: 'h264', width: 320, height: 240 }),
        expect.objectContaining({ codec_name: 'aac', sample_rate: '48000', channels: 2 }),
      ]);
      const [seen, heard] = [await flashTimes(playing.file), await beepTimes(playing.file)];
      const skews = heard.map((at) => Math.min(...seen.map((flash) => Math.abs(flash - at))));
      console.log(`from the nearest flash to each beep: ${skews.map((s) => Math.round(s * 1000)).join(', ')} ms`);
      const together = skews.filter((skew) => skew - flashMs / 1000 < MAX_SKEW_SECONDS);
      expect(together.length).toBeGreaterThanOrEqual(skews.length - 2 - missedFlashes);
    },
  );

  it('changes its size on one connection, and decoders follow it there and back', async () => {
    const name = await publish({ stripCodecs: H264_ONLY });
    const playing = play(app, name);
    await playing.untilBytes(PLAYED_ENOUGH_BYTES);
    for (const [width, height] of [
      [240, 180],
      [320, 240],
    ] as const) {
      const from = (await stat(playing.file)).size;
      await page.resize(width, height);
      await vi.waitFor(async () => expect((await pictureSizes(playing.file)).at(-1)).toBe(`${width}x${height}`), {
        timeout: START_MS,
        interval: 500,
      });
      await playing.untilBytes(from + PLAYED_ENOUGH_BYTES);
    }
    await unpublish(name);
    await played(playing);
    expect(await pictureSizes(playing.file)).toEqual(['320x240', '240x180', '320x240']);
  });

  it('of sound alone is played as AAC alone', async () => {
    const name = await publish({ video: false });
    const playing = play(app, name);
    await playing.untilBytes(1000);
    await vi.waitFor(async () => expect((await beepTimes(playing.file)).length).toBeGreaterThanOrEqual(3), {
      timeout: START_MS,
      interval: 500,
    });
    await unpublish(name);
    expect((await played(playing)).map(({ codec_name }) => codec_name)).toEqual(['aac']);
  });

  it('is silent, to the sample, for whoever asks for suppress_sound, and heard by everybody else', async () => {
    const name = await publish({ stripCodecs: H264_ONLY });
    const silent = play(app, name, 'live?suppress_sound=true');
    const heard = play(app, name);
    await untilStatus(app, name, 'PLAYING', 2);
    await vi.waitFor(async () => expect((await beepTimes(heard.file)).length).toBeGreaterThanOrEqual(3), {
      timeout: START_MS,
      interval: 500,
    });
    await unpublish(name);
    expect((await played(silent)).map(({ codec_name }) => codec_name)).toEqual(['h264', 'aac']);
    await played(heard);
    const samples = await ffmpeg(['-i', silent.file, '-map', '0:a', '-f', 's16le', 'pipe:1']);
    expect(samples.length).toBeGreaterThan(48_000 * 2 * 2 * 2);
    expect(samples.every((byte) => byte === 0)).toBe(true);
  });

  it('is played and pushed with one transcoder of its sound for both', async () => {
    const nginx = await startNginxRtmp();
    onTestFinished(() => nginx.stop());
    const name = await publish({ stripCodecs: H264_ONLY });
    const players = [play(app, name), play(app, name)];
    const push = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
    expect(push).toMatchObject({ status: 200 });
    await nginx.waitForCall('publish');
    for (const playing of players) await playing.untilBytes(PLAYED_ENOUGH_BYTES);
    expect(countOfKind('audio-transcode')).toBe(1);
    expect(countOfKind('video-transcode')).toBe(0);
  });
});

describe('streams of RTMP clients', () => {
  it('are found with Flash as their media provider, each of the session of its connection', async () => {
    const app = await startApp();
    const { name } = await encode(app, ...VIDEO_OF_ENCODER, ...AAC_MONO);
    const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
    onTestFinished(() => player.close());
    await untilStatus(app, name, 'PLAYING');
    const found = await streamsOf(app, { name });
    const views = found.map(({ status, published, mediaProvider }) => ({ status, published, mediaProvider }));
    expect(views.toSorted((a, b) => a.status.localeCompare(b.status))).toEqual([
      { status: 'PLAYING', published: false, mediaProvider: 'Flash' },
      { status: 'PUBLISHING', published: true, mediaProvider: 'Flash' },
    ]);
    const sessions = (await app.rest('/rest-api/connection/find_all')).json() as Record<string, unknown>[];
    expect(sessions).toHaveLength(2);
    for (const { sessionId } of found) {
      expect(sessions).toContainEqual(
        expect.objectContaining({ sessionId, appKey: 'flashStreamingApp', status: 'ESTABLISHED' }),
      );
    }
    const endpoint = `127.0.0.1:${app.ports['rtmp.port']}`;
    const played = found.find(({ published }) => !published)!;
    expect(played.sessionId).toBe(`/${player.endpoint}/${endpoint}`);
    expect(played.mediaSessionId).toBe(`${name}/${player.endpoint}/${endpoint}`);
  });

  it('end with /connection/terminate, a player’s without harm to the publisher', async () => {
    const app = await startApp();
    const { name } = await encode(app, ...VIDEO_OF_ENCODER, ...AAC_MONO);
    const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
    onTestFinished(() => player.close());
    const [view] = await untilStatus(app, name, 'PLAYING');
    expect(await app.rest('/rest-api/connection/terminate', { sessionId: view!.sessionId })).toMatchObject({
      status: 200,
    });
    await player.closed;
    await vi.waitFor(async () => expect(await streamsOf(app, { name, published: false })).toEqual([]), {
      timeout: START_MS,
      interval: 50,
    });
    const [publisher, ...others] = await streamsOf(app, { name });
    expect([publisher!.status, others]).toEqual(['PUBLISHING', []]);
    await app.rest('/rest-api/connection/terminate', { sessionId: publisher!.sessionId });
    await vi.waitFor(async () => expect(await streamsOf(app, { name })).toEqual([]), {
      timeout: START_MS,
      interval: 50,
    });
    expect((await app.rest('/rest-api/connection/find_all')).status).toBe(404);
  });

  it('end with /stream/terminate, and the clients are told why', async () => {
    const app = await startApp();
    const { name } = await encode(app, ...VIDEO_OF_ENCODER, ...AAC_MONO);
    const port = app.ports['rtmp.port']!;
    const first = await RtmpTestClient.playing(port, name);
    onTestFinished(() => first.close());
    const [view] = await untilStatus(app, name, 'PLAYING');
    const { mediaSessionId } = view!;
    expect(await app.rest('/rest-api/stream/terminate', { mediaSessionId })).toMatchObject({ status: 200 });
    await first.status('NetStream.Play.Stop');
    await first.closed;
    const second = await RtmpTestClient.playing(port, name);
    onTestFinished(() => second.close());
    const publisher = await RtmpTestClient.publishing(port, 'idle');
    onTestFinished(() => publisher.close());
    await untilStatus(app, name, 'PLAYING');
    expect(await app.rest('/rest-api/stream/terminate', { name, published: true })).toMatchObject({ status: 200 });
    await second.status('NetStream.Play.UnpublishNotify');
    await second.closed;
    expect(await app.rest('/rest-api/stream/terminate', { name: 'idle' })).toMatchObject({ status: 200 });
    await publisher.status('NetStream.Unpublish.Success');
    await publisher.closed;
    expect(await streamsOf(app, { name })).toEqual([]);
  });

  it('have snapshots, of what they show now', async () => {
    const app = await startApp();
    const red = ['-re', '-f', 'lavfi', '-i', 'color=red:s=320x240:r=25'];
    const { name } = await encode(app, ...red, ...TONE, ...x264('-bf', '0'), ...AAC_MONO);
    const { status, json } = await app.rest('/rest-api/stream/snapshot', { streamName: name });
    expect(status).toBe(200);
    const png = Buffer.from((json() as { data: string }).data, 'base64');
    expect(png.subarray(0, 8)).toEqual(PNG_SIGNATURE);
    const file = join(directory, 'snapshot.png');
    await writeFile(file, png);
    expect(await probeStreams(file)).toEqual([expect.objectContaining({ width: 320, height: 240 })]);
    const pixel = ['-vf', 'crop=2:2,scale=1:1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
    const [r, g, b] = await ffmpeg(['-i', file, ...pixel]);
    expect(r).toBeGreaterThan(200);
    expect(Math.max(g!, b!)).toBeLessThan(50);
  });
});

describe('rtmp_send_video_first', () => {
  it('sends the picture before the sound, and never ends a stream that has both', async () => {
    const app = await startApp({ rtmp_send_video_first: 'true' });
    const { name } = await encode(app, ...VIDEO_OF_ENCODER, ...AAC_MONO);
    for (let round = 0; round < 3; round++) {
      const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
      onTestFinished(() => player.close());
      await player.until(() => player.count('audio') > 20 && player.count('video') > 20, 'picture and sound');
      const media = player.messages.filter(({ kind }) => kind === 'audio' || kind === 'video');
      const firstSound = media.findIndex(({ kind }) => kind === 'audio');
      const beforeSound = media
        .slice(0, firstSound)
        .flatMap((m) => (m.kind === 'video' ? [m.payload.subarray(0, 2)] : []));
      // The AVC sequence header, then a keyframe.
      expect(beforeSound.slice(0, 2)).toEqual([Buffer.from('1700', 'hex'), Buffer.from('1701', 'hex')]);
    }
  });

  it('gives the player of sound alone nothing, and then tells it so and closes', async () => {
    const app = await startApp({ rtmp_send_video_first: 'true' });
    const { name } = await encode(app, ...TONE, ...AAC_MONO);
    const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
    onTestFinished(() => player.close());
    await player.status('NetStream.Play.Failed');
    await player.closed;
    expect(player.messages.filter(({ kind }) => kind === 'audio' || kind === 'video')).toEqual([]);
    await untilStatus(app, name, 'PUBLISHING');
  });
});

describe('rtmp_server_enabled=false', () => {
  it('leaves its port to others, and the rest as it is', async () => {
    const other = await startApp();
    const port = other.ports['rtmp.port']!;
    await other.close('its port is wanted');
    const app = await startApp({ rtmp_server_enabled: 'false', 'rtmp.port': String(port) });
    expect(app.ports).not.toHaveProperty(['rtmp.port']);
    const socket = connect(port, '127.0.0.1');
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    expect((await app.rest('/rest-api/stream/find_all')).status).toBe(404);
    const browser = await startBrowser();
    onTestFinished(() => browser.close());
    const page = await openPublisherPage(browser, app.wsUrl);
    await page.publish({ name: 'page' });
    await untilStatus(app, 'page', 'PUBLISHING');
  });
});
