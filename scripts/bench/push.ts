/**
 * The main job: time from a startup to the first picture at nginx-rtmp, and what copy pushes with one shared audio rendition
 * cost. The product runs in a process of its own; the publisher is real WebRTC with H.264 and Opus.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { resolveFfmpeg } from '../../src/supervisor/ffmpeg-binary.ts';
import { startNginxRtmp } from '../../test/support/nginx-rtmp.ts';
import { startTestPicture, type TestPicture } from '../demo/test-picture.ts';
import { publishOverWebrtc } from '../demo/webrtc-client.ts';
import { appChildrenOf, type AppChild } from './support/app-children.ts';
import { startAppProcess, type AppProcess } from './support/app-process.ts';
import { cpuUsedUs, memoryUse } from './support/process-usage.ts';
import { startRtmpTap, type RtmpTap } from './support/rtmp-tap.ts';
import { printTable, rounded, spreadOf } from './support/statistics.ts';

const STREAM_NAME = 'bench';
const STARTUPS = 8;
const PUSH_COUNTS = [1, 5, 10];
const MEASURE_MS = 5000;
const SETTLE_MS = 1500;
const FIRST_PICTURE_TIMEOUT_MS = 15_000;
const END_REASON = 'end of the bench';
const apps = Array.from({ length: Math.max(...PUSH_COUNTS) }, (_, n) => `app${n}`);

async function startPush(app: AppProcess, tap: RtmpTap, name: string): Promise<{ id: string; firstPictureMs: number }> {
  const timeout = new AbortController();
  const picture = Promise.race([
    tap.nextFirstPictureMs(),
    delay(FIRST_PICTURE_TIMEOUT_MS, undefined, { signal: timeout.signal }).then(() => {
      throw new Error(`no picture within ${FIRST_PICTURE_TIMEOUT_MS} ms`);
    }),
  ]);
  picture.catch(() => {});
  try {
    const startMs = performance.now();
    const rtmpUrl = `rtmp://127.0.0.1:${tap.port}/${name}`;
    const push = (await app.rest('/push/startup', { streamName: STREAM_NAME, rtmpUrl })) as { mediaSessionId: string };
    return { id: push.mediaSessionId, firstPictureMs: (await picture) - startMs };
  } finally {
    timeout.abort();
  }
}

/** CPU in parts of one core, memory in MB. */
interface Cost {
  readonly cpu: number;
  readonly rssMb: number;
  readonly pssMb: number;
}

async function costsOf(pids: readonly number[]): Promise<Cost[]> {
  const startMs = performance.now();
  const before = await Promise.all(pids.map(cpuUsedUs));
  await delay(MEASURE_MS);
  const after = await Promise.all(pids.map(cpuUsedUs));
  const elapsedUs = (performance.now() - startMs) * 1000;
  const memory = await Promise.all(pids.map(memoryUse));
  return memory.map(({ rssBytes, pssBytes }, n) => ({
    cpu: (after[n]! - before[n]!) / elapsedUs,
    rssMb: rssBytes / 1e6,
    pssMb: pssBytes / 1e6,
  }));
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

async function measurePushes(app: AppProcess, pushes: number) {
  await delay(SETTLE_MS);
  const children = await appChildrenOf(app.pid);
  const [server, ...costs] = await costsOf([app.pid, ...children.map(({ pid }) => pid)]);
  const ofKind = (kind: AppChild['kind']): Cost[] => costs.filter((_, n) => children[n]!.kind === kind);
  const copies = ofKind('rtmp-push');
  if (copies.length !== pushes) throw new Error(`${copies.length} processes push instead of ${pushes}`);
  const transcodes = ofKind('audio-transcode');
  const fixed = (value: number, digits: number): number => Number(value.toFixed(digits));
  return {
    pushes,
    serverCpu: fixed(server!.cpu, 3),
    serverRssMb: fixed(server!.rssMb, 0),
    audioTranscodes: transcodes.length,
    audioTranscodeCpu: fixed(mean(transcodes.map(({ cpu }) => cpu)), 3),
    audioTranscodePssMb: fixed(mean(transcodes.map(({ pssMb }) => pssMb)), 1),
    cpuPerPush: fixed(mean(copies.map(({ cpu }) => cpu)), 3),
    pssPerPushMb: fixed(mean(copies.map(({ pssMb }) => pssMb)), 1),
    rssPerPushMb: fixed(mean(copies.map(({ rssMb }) => rssMb)), 1),
  };
}

async function bench(app: AppProcess, tap: RtmpTap) {
  const startupMs: number[] = [];
  for (let n = 0; n < STARTUPS; n++) {
    const { id, firstPictureMs } = await startPush(app, tap, apps[0]!);
    startupMs.push(firstPictureMs);
    await app.rest('/push/terminate', { mediaSessionId: id });
  }
  // What was terminated may still be on its way out, and with it the renditions.
  while ((await appChildrenOf(app.pid)).length > 0) await delay(50);

  const costs = [];
  let running = 0;
  for (const pushes of PUSH_COUNTS) {
    while (running < pushes) await startPush(app, tap, apps[running++]!);
    costs.push(await measurePushes(app, pushes));
  }
  return { startupMs, costs };
}

const closers: (() => Promise<unknown>)[] = [];
try {
  const nginx = await startNginxRtmp({ apps });
  closers.push(() => nginx.stop());
  const tap = await startRtmpTap(nginx.rtmpPort);
  closers.push(() => tap.close());
  const app = await startAppProcess();
  closers.push(() => app.close());
  const ffmpegPath = await resolveFfmpeg(undefined, process.env);
  let picture: Promise<TestPicture> | undefined;
  const publisher = await publishOverWebrtc({
    url: app.wsUrl,
    streamName: STREAM_NAME,
    onConnected: ({ sendVideo, sendAudio }) => {
      picture = startTestPicture({
        ffmpegPath,
        clock: systemClock,
        logger: silentLogger,
        onVideo: sendVideo,
        onAudio: sendAudio,
      });
    },
  });
  closers.push(() => publisher.close(END_REASON));
  closers.push(async () => (await picture)?.close(END_REASON));

  const { startupMs, costs } = await bench(app, tap);
  const startup = rounded(spreadOf(startupMs), 0);
  console.log(
    `startup to the first picture at nginx-rtmp, ${STARTUPS} runs: p50 ${startup.median} ms, max ${startup.max} ms\n`,
  );
  printTable(
    ['pushes', 'server CPU', 'CPU/push', 'PSS/push MB', 'RSS/push MB', 'PSS/RSS', 'transcodes', 'CPU', 'PSS MB'],
    costs.map((cost) => [
      String(cost.pushes),
      `${(cost.serverCpu * 100).toFixed(1)} %`,
      `${(cost.cpuPerPush * 100).toFixed(1)} %`,
      cost.pssPerPushMb.toFixed(1),
      cost.rssPerPushMb.toFixed(1),
      (cost.pssPerPushMb / cost.rssPerPushMb).toFixed(2),
      String(cost.audioTranscodes),
      `${(cost.audioTranscodeCpu * 100).toFixed(1)} %`,
      cost.audioTranscodePssMb.toFixed(1),
    ]),
  );
  console.log(JSON.stringify({ bench: 'push', startupMs: startup, costs }));
} finally {
  for (const close of closers.toReversed()) await close();
}
// A peer connection of werift may leave timers behind.
process.exit();
