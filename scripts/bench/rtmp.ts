/**
 * RTMP fan-out next to nginx-rtmp in the same run: the server's CPU for each viewer, for a published stream, and the time to the
 * first picture of a player. The viewers are another process and are not counted; the kernel charges their share of the loopback
 * to both servers alike. All rounds are interleaved, so that what else the machine does meets both.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { resolveFfmpeg } from '../../src/supervisor/ffmpeg-binary.ts';
import { startNginxRtmp } from '../../test/support/nginx-rtmp.ts';
import { startAppProcess } from './support/app-process.ts';
import { cpuUsedUs, memoryUse } from './support/process-usage.ts';
import { startRtmpAudience, type PlayedStream, type RtmpAudience } from './support/rtmp-audience.ts';
import { printTable, rounded, spreadOf } from './support/statistics.ts';

const { values: options } = parseArgs({
  options: {
    viewers: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
    pictures: { type: 'string', default: '10' },
  },
});
const viewers = Number(options.viewers);
const rounds = Number(options.rounds);
const windowMs = Number(options.seconds) * 1000;
const SETTLE_MS = 2_000;
const WARM_UP_MS = 8_000;
const CLIP_SECONDS = 20;
const VIDEO_BPS = 1_500_000;
const AUDIO_BPS = 128_000;
/** Of what the stream carries; a viewer below it was not served. */
const WHOLE_RATIO = 0.9;
const NAME = 'bench';
const APP = 'live';

interface Contestant {
  readonly server: string;
  readonly pid: number;
  readonly stream: PlayedStream;
  readonly perViewer: number[];
  readonly perStream: number[];
  readonly firstPictureMs: number[];
  /** Windows in which every viewer got the whole stream. */
  completeRounds: number;
  rssMb: number;
}

const closers: (() => Promise<unknown> | void)[] = [];

function startFfmpeg(program: string, args: readonly string[]): ChildProcess {
  // It must not outlive a bench that was killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, '-nostdin', '-loglevel', 'error', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  closers.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return child;
}

/** 720p30 with a keyframe every two seconds. */
async function makeClip(ffmpeg: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-rtmp-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const clip = join(directory, 'clip.flv');
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', '60'];
  const rate = ['-b:v', `${VIDEO_BPS}`, '-minrate', `${VIDEO_BPS}`, '-maxrate', `${VIDEO_BPS}`, '-bufsize', '1500k'];
  const hrd = ['-x264-params', 'nal-hrd=cbr'];
  const audio = ['-c:a', 'aac', '-b:a', `${AUDIO_BPS}`, '-ar', '48000', '-ac', '2'];
  const sources = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30', '-f', 'lavfi', '-i', 'sine=440'];
  const child = startFfmpeg(ffmpeg, [...sources, '-t', `${CLIP_SECONDS}`, ...video, ...rate, ...hrd, ...audio, clip]);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error('the clip could not be made');
  return clip;
}

function publish(ffmpeg: string, clip: string, { port, app, name }: PlayedStream): void {
  const url = `rtmp://127.0.0.1:${port}/${app}/${name}`;
  startFfmpeg(ffmpeg, ['-re', '-stream_loop', '-1', '-i', clip, '-c', 'copy', '-f', 'flv', url]);
}

/** CPU of the server in milliseconds for each second. */
async function measureCpu(pid: number): Promise<number> {
  const startMs = performance.now();
  const before = await cpuUsedUs(pid);
  await delay(windowMs);
  return ((await cpuUsedUs(pid)) - before) / (performance.now() - startMs);
}

async function measureViewers(contestant: Contestant, audience: RtmpAudience): Promise<void> {
  await audience.join(contestant.stream, viewers);
  await delay(SETTLE_MS);
  const before = await audience.count();
  contestant.perViewer.push((await measureCpu(contestant.pid)) / viewers);
  const after = await audience.count();
  contestant.rssMb = (await memoryUse(contestant.pid)).rssBytes / 1e6;
  const fewest = Math.min(...after.map((bytes, n) => bytes - before[n]!));
  if (fewest > ((VIDEO_BPS + AUDIO_BPS) / 8) * (windowMs / 1000) * WHOLE_RATIO) contestant.completeRounds += 1;
  await audience.leave();
  await delay(SETTLE_MS);
}

const contestant = (server: string, pid: number, port: number): Contestant => ({
  server,
  pid,
  stream: { port, app: APP, name: NAME },
  perViewer: [],
  perStream: [],
  firstPictureMs: [],
  completeRounds: 0,
  rssMb: 0,
});

async function compare(): Promise<Contestant[]> {
  const ffmpeg = await resolveFfmpeg(undefined, process.env);
  const clip = await makeClip(ffmpeg);
  const nginx = await startNginxRtmp({ apps: [APP] });
  closers.push(() => nginx.stop());
  const app = await startAppProcess();
  closers.push(() => app.close());
  const audience = startRtmpAudience();
  closers.push(() => audience.close());

  const both = [
    contestant('transponder', app.pid, app.ports['rtmp.port']!),
    contestant('nginx-rtmp', nginx.pid, nginx.rtmpPort),
  ];
  const idle = await Promise.all(both.map(({ pid }) => measureCpu(pid)));
  for (const { stream } of both) publish(ffmpeg, clip, stream);
  // Compilers of hot code have their turn before anything counts.
  for (const { stream } of both) {
    await audience.join(stream, viewers);
    await delay(WARM_UP_MS);
    await audience.leave();
  }
  await delay(SETTLE_MS);
  for (let round = 0; round < rounds; round++) {
    const busy = await Promise.all(both.map(({ pid }) => measureCpu(pid)));
    for (const [n, each] of both.entries()) each.perStream.push(busy[n]! - idle[n]!);
    for (const each of both) await measureViewers(each, audience);
  }
  for (let n = 0; n < Number(options.pictures); n++) {
    for (const each of both) each.firstPictureMs.push(await audience.firstPictureMs(each.stream));
    // Another place between two keyframes each time.
    await delay(330);
  }
  return both;
}

try {
  const both = await compare();
  console.log(`${viewers} viewers of 1.5 Mbit/s 720p30 H.264 and AAC, ${rounds} rounds of ${windowMs / 1000} s`);
  printTable(
    ['server', 'ms/s/viewer', 'min', 'max', 'ms/s/stream', 'first picture ms', 'max', 'RSS MB', 'complete'],
    both.map((each) => {
      const perViewer = rounded(spreadOf(each.perViewer), 3);
      const perStream = rounded(spreadOf(each.perStream), 1);
      const picture = rounded(spreadOf(each.firstPictureMs), 0);
      return [
        each.server,
        perViewer.median.toFixed(3),
        perViewer.min.toFixed(3),
        perViewer.max.toFixed(3),
        perStream.median.toFixed(1),
        String(picture.median),
        String(picture.max),
        each.rssMb.toFixed(0),
        `${each.completeRounds}/${rounds}`,
      ];
    }),
  );
  const ratioOf = (costOf: (each: Contestant) => number): string => (costOf(both[0]!) / costOf(both[1]!)).toFixed(2);
  const whole = ({ perViewer }: Contestant): number => spreadOf(perViewer).median;
  // What each viewer adds to a stream that is published anyway.
  const added = (each: Contestant): number => whole(each) - spreadOf(each.perStream).median / viewers;
  const ratios = { perViewer: ratioOf(whole), perViewerWithoutStream: ratioOf(added) };
  console.log(
    `\nours/nginx per viewer: ${ratios.perViewer}; without what the published stream costs: ${ratios.perViewerWithoutStream}`,
  );
  const results = both.map(({ server, perViewer, perStream, firstPictureMs, completeRounds, rssMb }) => ({
    server,
    rssMb,
    completeRounds,
    cpuMsPerSecondPerViewer: perViewer,
    cpuMsPerSecondPerStream: perStream,
    firstPictureMs,
  }));
  console.log(JSON.stringify({ bench: 'rtmp', viewers, rounds, ratios, results }));
} finally {
  for (const close of closers.toReversed()) await close();
}
