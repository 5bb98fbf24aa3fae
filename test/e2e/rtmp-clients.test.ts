import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startBrowser } from '../support/browser.ts';
import { type HookRig, startHookRig } from '../support/hook-rig.ts';
import { openPublisherPage } from '../support/publisher-page.ts';
import {
  decodeFile,
  ffmpegPlaying,
  ffmpegPublishing,
  startProgram,
  type RunningProgram,
} from '../support/rtmp-programs.ts';
import type { TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';

type Command = readonly [string, ...string[]];

const START_MS = 20_000;
const PUBLISH_SECONDS = 8;
/** With time for every player to have come, also where they all start on a busy machine. */
const PLAYED_SECONDS = 16;
/** At 25 a second. */
const MIN_PICTURES = 100;
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const;

/** The parameters of the seed "In a player via RTMP", which every client here has in its URL. */
const OF_CONNECTION = { connectParam1: 'val1', connectParam2: 'val2' };
const OF_STREAM = { streamParam1: 'val1', streamParam2: 'val2' };

let rig: HookRig;
let app: TestApp;
let directory: string;
let programs: RunningProgram[];

beforeAll(async () => {
  rig = await startHookRig();
  app = rig.app;
  directory = await mkdtemp(join(tmpdir(), 'transponder-rtmp-clients-'));
  await chmod(directory, 0o777);
  programs = [];
  // Looks at all plugins where it has not done so before, for which a player has no time.
  await start(['gst-inspect-1.0', 'rtmp2src']).ended;
});

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});

afterAll(async () => {
  await rig?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const urlOf = (name: string): string =>
  `rtmp://127.0.0.1:${app.ports['rtmp.port']}/live?${new URLSearchParams(OF_CONNECTION)}/${name}?${new URLSearchParams(OF_STREAM)}`;

/** What the backend was given as `custom` when it was asked about the clients of a stream. */
const customsOf = (method: string, name: string): unknown[] =>
  rig.backend.bodies(method).flatMap(({ name: asked, custom }) => (asked === name ? [custom] : []));

function start(command: Command): RunningProgram {
  // A home for nobody, which only VLC is; GStreamer keeps what it knows of its plugins in its own.
  const program = startProgram(command, command[0] === NOBODY[0] ? { HOME: directory } : {});
  programs.push(program);
  return program;
}

async function streams(
  filter: object,
): Promise<readonly { readonly status: string; readonly mediaProvider: string }[]> {
  const { json, status } = await app.rest('/rest-api/stream/find', filter);
  return status === 200 ? (json() as { status: string; mediaProvider: string }[]) : [];
}

const isLive = (name: string) =>
  waitUntil(
    async () => (await streams({ name, published: true, status: 'PUBLISHING' }))[0],
    START_MS,
    () => `${name} to be live; log:\n${app.log().slice(-4000)}`,
  );

const gstSource = (element: string, file: string): Command => [
  'gst-launch-1.0',
  '-q',
  ...element.split(' '),
  ...`! filesink location=${file}`.split(' '),
];

/** Programs that write what they get, as they get it, and end when the stream does. */
const PLAYERS: readonly [string, string, (url: string, file: string) => Command][] = [
  ['ffmpeg', 'ffmpeg.flv', ffmpegPlaying],
  ['rtmpdump', 'rtmpdump.flv', (url, file) => ['rtmpdump', '-q', '-v', '-r', url, '-o', file]],
  ['GStreamer rtmp2src', 'rtmp2src.flv', (url, file) => gstSource(`rtmp2src location=${url}`, file)],
  ['GStreamer rtmpsrc', 'rtmpsrc.flv', (url, file) => gstSource(`rtmpsrc location=${url}`, file)],
  [
    'VLC',
    'vlc.ts',
    (url, file) => [
      ...NOBODY,
      ...`cvlc --intf dummy --quiet --play-and-exit ${url}`.split(' '),
      '--sout',
      `#std{access=file,mux=ts,dst=${file}}`,
      'vlc://quit',
    ],
  ],
];

describe('a stream that ffmpeg publishes', () => {
  let publisherEnd: Awaited<RunningProgram['ended']>;
  let ends: Map<string, Awaited<RunningProgram['ended']>>;

  beforeAll(async () => {
    const publisher = start(ffmpegPublishing(urlOf('published'), PLAYED_SECONDS));
    await isLive('published');
    const players = PLAYERS.map(
      ([name, file, command]) => [name, start(command(urlOf('published'), join(directory, file)))] as const,
    );
    publisherEnd = await publisher.ended;
    ends = new Map(await Promise.all(players.map(async ([name, { ended }]) => [name, await ended] as const)));
  }, 90_000);

  it.each(PLAYERS)('is played by %s to its end, without an error', async (name, file) => {
    expect(ends.get(name)).toMatchObject({ isByItself: true });
    const played = await decodeFile(join(directory, file));
    expect(played).toMatchObject({ codecs: ['h264', 'aac'], errors: '' });
    expect(played.pictures).toBeGreaterThan(MIN_PICTURES);
    expect(played.soundSeconds).toBeGreaterThan(MIN_PICTURES / 25);
  });

  it('has its parameters, and those of the connections, in the URLs of all of them', () => {
    expect(customsOf('publishStream', 'published')).toEqual([OF_STREAM]);
    // VLC comes twice.
    const played = customsOf('playStream', 'published');
    expect(played.length).toBeGreaterThanOrEqual(PLAYERS.length);
    expect(played).toEqual(played.map(() => OF_STREAM));
    const connections = rig.backend.bodies('connect').map(({ custom }) => custom);
    expect(connections).toEqual([OF_CONNECTION, ...played.map(() => OF_CONNECTION)]);
  });

  it('is published without an error, and leaves no stream and no session behind', async () => {
    expect(publisherEnd).toEqual({ isByItself: true, exitCode: 0, output: '' });
    const sessions = async () => (await app.rest('/rest-api/connection/find_all')).status;
    await expect.poll(sessions, { timeout: START_MS }).toBe(404);
    expect(await streams({ name: 'published' })).toEqual([]);
  });
});

const gstPublisher = (sink: string): Command => {
  const picture = 'videotestsrc is-live=true num-buffers=200 ! video/x-raw,width=640,height=360,framerate=25/1';
  const h264 = 'x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! video/x-h264,profile=baseline';
  const sound = 'audiotestsrc is-live=true num-buffers=375 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2';
  const pipeline = `${picture} ! ${h264} ! flvmux streamable=true name=mux ! ${sink} ${sound} ! voaacenc ! mux.`;
  return ['gst-launch-1.0', '-q', '-e', ...pipeline.split(' ')];
};

/** VLC makes nothing up: it publishes a file, at its own pace. */
const vlcPublisher = (url: string, clip: string): Command => [
  ...NOBODY,
  ...`cvlc --intf dummy --quiet --play-and-exit ${clip}`.split(' '),
  '--sout',
  `#std{access=avio,mux=avformat{mux=flv},dst=${url}}`,
  'vlc://quit',
];

const PUBLISHERS: readonly [string, (url: string, clip: string) => Command][] = [
  ['GStreamer rtmp2sink', (url) => gstPublisher(`rtmp2sink location=${url}`)],
  ['GStreamer rtmpsink', (url) => gstPublisher(`rtmpsink location=${url}`)],
  ['VLC', vlcPublisher],
];

it.each(PUBLISHERS)('%s publishes, and a player gets all of it to its end', async (name, command) => {
  const file = join(directory, `${name.replace(' ', '-')}-publishes.flv`);
  const clip = join(directory, `${name.replace(' ', '-')}-clip.flv`);
  const [ffmpeg, ...words] = ffmpegPublishing(clip, PUBLISH_SECONDS);
  expect(await start([ffmpeg, ...words.filter((word) => word !== '-re')]).ended).toMatchObject({ exitCode: 0 });
  const publisher = start(command(urlOf('encoded'), clip));
  await isLive('encoded');
  const player = start(ffmpegPlaying(urlOf('encoded'), file));
  expect(customsOf('publishStream', 'encoded').at(-1)).toEqual(OF_STREAM);
  expect(rig.backend.bodies('connect').at(-1)!['custom']).toEqual(OF_CONNECTION);
  expect(await publisher.ended).toMatchObject({ isByItself: true, exitCode: 0 });
  expect(await player.ended).toEqual({ isByItself: true, exitCode: 0, output: '' });
  const played = await decodeFile(file);
  expect(played).toMatchObject({ codecs: ['h264', 'aac'], errors: '' });
  expect(played.pictures).toBeGreaterThan(MIN_PICTURES);
});

it('a page publishes, and ffmpeg plays its picture and sound as H.264 and AAC until the page stops', async () => {
  const browser = await startBrowser();
  try {
    const page = await openPublisherPage(browser, app.wsUrl);
    await page.publish({ name: 'page' });
    await isLive('page');
    const file = join(directory, 'page.flv');
    const player = start(ffmpegPlaying(urlOf('page'), file));
    const playing = { name: 'page', published: false, status: 'PLAYING' };
    const [playerStream] = await waitUntil(
      async () => ((found) => (found.length > 0 ? found : undefined))(await streams(playing)),
      START_MS,
      () => 'the player to play',
    );
    expect(playerStream!.mediaProvider).toBe('Flash');
    await expect.poll(async () => (await stat(file)).size, { timeout: START_MS }).toBeGreaterThan(60_000);
    await page.unpublish('page');
    expect(await player.ended).toEqual({ isByItself: true, exitCode: 0, output: '' });
    const played = await decodeFile(file);
    expect(played).toMatchObject({ codecs: ['h264', 'aac'], errors: '' });
    expect(played.pictures).toBeGreaterThan(50);
    expect(played.soundSeconds).toBeGreaterThan(3);
  } finally {
    await browser.close();
  }
});
