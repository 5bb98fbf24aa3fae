/**
 * The main job without a camera: the real server, a real WebRTC publisher, a real push by REST to a local RTMP destination.
 * `scripts/start --demo [--seconds N]`; without --seconds it runs until Ctrl-C. Ends with 0, or with 1 and a sentence.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createApp, type App } from '../src/app.ts';
import { loadConfig } from '../src/config/load.ts';
import { systemClock } from '../src/domain/clock.ts';
import { createLogger } from '../src/observability/logger.ts';
import { resolveFfmpeg } from '../src/supervisor/ffmpeg-binary.ts';
import { createTableView } from './demo/live-table.ts';
import { startRtmpDestination } from './demo/rtmp-destination.ts';
import { startTestPicture, type TestPicture } from './demo/test-picture.ts';
import { publishOverWebrtc } from './demo/webrtc-client.ts';

const STREAM_NAME = 'demo';
const END_REASON = 'end of the demo';
const ACTIVE_TIMEOUT_MS = 20_000;
const POLL_MS = 100;
const REFRESH_MS = 1000;

const cancelled = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => cancelled.abort());
/** Of everything that runs, oldest first. */
const closers: (() => Promise<unknown>)[] = [];
try {
  await runDemo(secondsFrom(process.argv.slice(2)), cancelled.signal);
} catch (error) {
  if (!cancelled.signal.aborted) {
    say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
} finally {
  for (const close of closers.toReversed()) await close();
}
// A peer connection may leave timers behind; nothing is open any more.
process.exit();

async function runDemo(seconds: number | undefined, cancel: AbortSignal): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'transponder-demo-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const logger = createLogger('warn');
  const app = await createApp(demoConfig(directory), logger);
  closers.push(() => app.close(END_REASON));
  say(`Server     ws://localhost:${app.ports['ws.port']}  http://localhost:${app.ports['http.port']}/rest-api`);

  const ffmpegPath = await resolveFfmpeg(undefined, process.env);
  const destination = await startRtmpDestination(ffmpegPath, `rtmp_${STREAM_NAME}`, systemClock, logger);
  closers.push(() => destination.close(END_REASON));
  say(`RTMP       ${destination.url} (a local ffmpeg that throws away what it gets)`);

  await publish(`ws://127.0.0.1:${app.ports['ws.port']}`, ffmpegPath);
  say(`Publishing "${STREAM_NAME}" over WebRTC: H.264 and Opus, a moving test picture with a beep`);
  cancel.throwIfAborted();

  const mediaSessionId = await startPush(app, destination.url);
  say('POST       /rest-api/push/startup → 200');
  await untilActive(app, mediaSessionId, cancel);
  say('The push is ACTIVE: the destination takes the stream.\n');
  await showTable(app, mediaSessionId, destination.url, seconds, cancel);
}

function demoConfig(directory: string) {
  const settings = {
    'ws.port': '0',
    'wss.port': '0',
    'http.port': '0',
    'https.port': '0',
    'rtmp.port': '0',
    media_port_from: '0',
    ip_local: '127.0.0.1',
    data_dir: join(directory, 'data'),
    media_dir: join(directory, 'media'),
    records_dir: join(directory, 'records'),
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  return loadConfig(flags, {}).config;
}

async function publish(url: string, ffmpegPath: string): Promise<void> {
  let picture: Promise<TestPicture> | undefined;
  closers.push(async () => (await picture)?.close(END_REASON));
  const client = await publishOverWebrtc({
    url,
    streamName: STREAM_NAME,
    onConnected: (peer) => {
      picture ??= startTestPicture({
        ffmpegPath,
        clock: systemClock,
        logger: createLogger('warn'),
        onVideo: (packet) => peer.sendVideo(packet),
        onAudio: (packet) => peer.sendAudio(packet),
      });
    },
  });
  closers.push(() => client.close(END_REASON));
}

/** The same request as in the README. Returns the id of the push. */
async function startPush(app: App, rtmpUrl: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${app.ports['http.port']}/rest-api/push/startup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streamName: STREAM_NAME, rtmpUrl, restartPolicy: 'persistent' }),
  });
  if (!response.ok) throw new Error(`/push/startup answered ${response.status}: ${await response.text()}`);
  const { mediaSessionId } = (await response.json()) as { mediaSessionId: string };
  return mediaSessionId;
}

async function untilActive(app: App, mediaSessionId: string, cancel: AbortSignal): Promise<void> {
  const deadlineMs = Date.now() + ACTIVE_TIMEOUT_MS;
  for (;;) {
    const status = app.pushStatus(mediaSessionId);
    if (status?.state === 'ACTIVE') return;
    if (!status || Date.now() > deadlineMs) {
      throw new Error(
        `the push did not become active: ${status ? `${status.state} ${status.reason ?? ''}` : 'it ended'}`,
      );
    }
    await sleep(POLL_MS, undefined, { signal: cancel });
  }
}

async function showTable(
  app: App,
  mediaSessionId: string,
  destination: string,
  seconds: number | undefined,
  cancel: AbortSignal,
): Promise<void> {
  if (seconds === undefined) say('Ctrl-C ends the demo.');
  const show = createTableView(process.stdout);
  const endMs = seconds === undefined ? Infinity : Date.now() + seconds * 1000;
  while (Date.now() < endMs) {
    await sleep(Math.min(REFRESH_MS, endMs - Date.now()), undefined, { signal: cancel });
    const status = app.pushStatus(mediaSessionId);
    if (!status) throw new Error('the push ended');
    show([{ stream: STREAM_NAME, destination, ...status }], Date.now());
  }
}

function secondsFrom(args: readonly string[]): number | undefined {
  const { values } = parseArgs({ args: [...args], options: { seconds: { type: 'string' } } });
  if (values.seconds === undefined) return undefined;
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds "${values.seconds}" is not allowed; expected a number above 0`);
  return seconds;
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}
