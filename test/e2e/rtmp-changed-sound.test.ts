import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { SILENT_AAC_STEREO } from '../../src/protocol/aac/silence.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { x264 } from '../support/ffmpeg-encoder.ts';
import { recordRtmpMessages } from '../support/flv-recording.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { probeStreams } from '../support/recording.ts';
import { numberedPicture, numbersShown, watchNumbers } from '../support/numbered-picture.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { SdkPage } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const SECONDS = 40;
const WAIT = { timeout: 20_000, interval: 50 };
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

type Sound = 'none' | 'mono' | 'stereo';

let app: TestApp;
let nginx: NginxRtmp;
let browser: TestBrowser;
let pictures: readonly RawMessage[];
let sounds: Readonly<Record<Sound, readonly RawMessage[]>>;
/** Closed after each test, last first. */
let open: (() => Promise<void>)[] = [];
let names = 0;
let name: string;
let encoder: RtmpTestClient;
/** Sends this sound from now on. */
let change: (sound: Sound) => void;

beforeAll(async () => {
  app = await startTestApp();
  nginx = await startNginxRtmp();
  browser = await startBrowser();
  const tone = ['-f', 'lavfi', '-i', 'sine=1000:sample_rate=44100', '-c:a', 'aac'];
  const length = ['-t', `${SECONDS}`];
  const isMedia = ({ typeId }: RawMessage) => typeId !== MESSAGE_TYPE.dataAmf0;
  const mono = await recordRtmpMessages([...tone, '-ar', '44100', '-ac', '1', ...length]);
  const stereo = await recordRtmpMessages([...tone, '-ar', '48000', '-ac', '2', ...length]);
  sounds = { none: [], mono: mono.filter(isMedia), stereo: stereo.filter(isMedia) };
  const video = await recordRtmpMessages([...numberedPicture().slice(1), ...x264(...ONE_GOP), ...length, '-an']);
  pictures = video.filter(isMedia);
}, 60_000);

/** An encoder that publishes under a name of its own, with pictures and this sound. */
async function publish(sound: Sound): Promise<void> {
  name = `changed-${names++}`;
  encoder = await RtmpTestClient.publishing(app.ports['rtmp.port']!, name);
  open.push(() => encoder.close());
  open.push(sendLive(encoder, sound));
  const isPublishing = async () => (await app.rest('/rest-api/stream/find', { name })).text.includes('"PUBLISHING"');
  await vi.waitUntil(isPublishing, WAIT);
}

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  open = [];
});

afterAll(async () => {
  await browser?.close();
  await nginx?.stop();
  await app?.close('the tests are over');
});

/** Sends pictures and the sound that is wanted at their times; the returned function stops that. */
function sendLive(client: RtmpTestClient, first: Sound): () => Promise<void> {
  const stop = new AbortController();
  const beganMs = performance.now();
  let present: Sound = 'none';
  let wanted = first;
  change = (sound) => (wanted = sound);
  const all = [
    ...pictures.map((message) => ({ message, sound: undefined })),
    ...(['mono', 'stereo'] as const).flatMap((sound) => sounds[sound].map((message) => ({ message, sound }))),
  ].toSorted((a, b) => a.message.timestampMs - b.message.timestampMs);
  const sending = (async () => {
    for (const { message, sound } of all) {
      const earlyMs = message.timestampMs - (performance.now() - beganMs);
      if (earlyMs > 0) await sleep(earlyMs, undefined, { signal: stop.signal });
      if (client.isClosed || stop.signal.aborted) return;
      if (sound !== undefined && sound !== wanted) continue;
      if (sound !== undefined && present !== sound) {
        present = sound;
        client.media({ ...sounds[sound][0]!, timestampMs: message.timestampMs });
      }
      client.media(message);
    }
  })().catch(() => {});
  return () => {
    stop.abort();
    return sending;
  };
}

const changes = () => app.log().split('a publisher has changed its tracks').length - 1;

async function changeTo(sound: Sound): Promise<void> {
  const before = changes();
  change(sound);
  await vi.waitUntil(() => changes() > before, WAIT);
}

/** A frame of silence, and what precedes it in a message. A client keeps the beginning of larger ones. */
const SILENT_MESSAGE_BYTES = SILENT_AAC_STEREO.length + 2;
const largestSound = (player: RtmpTestClient) =>
  Math.max(...player.messages.map((message) => (message.kind === 'audio' ? message.payload.length : 0)));

const isActive = (id: string) => app.pushStatus(id)?.state === 'ACTIVE';

/** An ACTIVE push of the stream, and how its runs have ended. */
async function startPush() {
  const answer = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
  const { mediaSessionId: id } = answer.json() as { mediaSessionId: string };
  open.push(async () => void (await app.rest('/rest-api/push/terminate', { mediaSessionId: id })));
  await vi.waitUntil(() => isActive(id), WAIT);
  const database = new Database(join(app.directory, 'data', 'transponder.sqlite'), { readonly: true });
  open.push(async () => void database.close());
  const runs = database.prepare('SELECT exit_class FROM run WHERE transponder_id = ? ORDER BY run_id').pluck();
  return { id, exitClasses: () => runs.all(id) };
}

it('a page goes on with picture and sound where the encoder changes its sound, within the same group of pictures', async () => {
  await publish('mono');
  const page = await SdkPage.open(browser, app.wsUrl);
  open.push(() => page.page.close());
  const player = await page.play({ name });
  await watchNumbers(page.page);
  const heard = (stat: { kind?: string; [field: string]: unknown }) =>
    stat.kind === 'audio' && Number(stat['audioLevel']) > 0.01;
  await player.until((stats) => stats.find(heard), 'sound');
  await changeTo('stereo');
  const { totalSamplesReceived } = await player.stat('inbound-rtp', 'audio');
  const changeFrame = await vi.waitUntil(async () => (await numbersShown(page.page)).at(-1), WAIT);
  await vi.waitUntil(async () => (await numbersShown(page.page)).at(-1)! > changeFrame + 75, WAIT);
  await player.until((stats) => stats.find(heard), 'sound after the change');
  expect(Number((await player.stat('inbound-rtp', 'audio'))['totalSamplesReceived'])).toBeGreaterThan(
    Number(totalSamplesReceived),
  );
  expect(await player.statuses()).toEqual(['PENDING', 'PLAYING']);
  const numbers = await numbersShown(page.page);
  expect(numbers.slice(1).every((number, i) => number > numbers[i]!)).toBe(true);
});

it('an RTMP player is told that the stream is over, and begins with the new one at once when it comes again', async () => {
  await publish('mono');
  const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => player.close());
  await player.until(() => player.count('video') > 10, 'pictures');
  await changeTo('stereo');
  const before = player.count('video');
  await player.status('NetStream.Play.UnpublishNotify');
  expect(encoder.isClosed).toBe(false);
  const again = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => again.close());
  await again.until(() => again.count('video') > before && again.count('audio') > 10, 'the picture from its keyframe');
});

it('a push goes on under its id over a new connection, without a try being spent', async () => {
  await publish('mono');
  const { id, exitClasses } = await startPush();
  await changeTo('stereo');
  await vi.waitUntil(() => exitClasses().length === 2 && isActive(id), WAIT);
  expect(exitClasses()).toEqual(['replan', null]);
  const streams = await probeStreams(`${nginx.url('live')}/rtmp_${name}`);
  expect(streams.find(({ codec_type }) => codec_type === 'audio')).toMatchObject({ sample_rate: '48000', channels: 2 });
});

it('sound that comes later than the pictures interrupts neither a push nor an RTMP player', async () => {
  await publish('none');
  const { id, exitClasses } = await startPush();
  const player = await RtmpTestClient.playing(app.ports['rtmp.port']!, name);
  open.push(() => player.close());
  await player.until(() => player.count('audio') > 20, 'silence');
  expect(largestSound(player)).toBe(SILENT_MESSAGE_BYTES);
  change('mono');
  await player.until(() => largestSound(player) > SILENT_MESSAGE_BYTES, 'sound');
  expect(isActive(id)).toBe(true);
  expect(exitClasses()).toEqual([null]);
});
