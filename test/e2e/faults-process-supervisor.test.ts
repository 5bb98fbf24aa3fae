import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { TransponderDetail } from '../../src/services/transponder-view.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { PublishedRecording } from '../support/published-recording.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';
import { startTestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const FAULTY_FFMPEG = fileURLToPath(new URL('../children/faulty-ffmpeg.sh', import.meta.url));
const STREAM = 'cam';
const TIMEOUT_MS = 15_000;
const MAX_STOP_MS = 5000;
const FREEZE_MS = 3000;
const PUSHES = 3;

const closers: (() => Promise<unknown>)[] = [];
let directory: string;
let nginx: NginxRtmp;
let server: ServerProcess;
let publisher: Closable | undefined;

async function startServer(more: Readonly<Record<string, string>> = {}): Promise<void> {
  // Shorter than the freeze: nobody is to be blamed for that.
  const settings = { ffmpeg_path: FAULTY_FFMPEG, rtmp_push_stall_timeout_ms: '2000', ...more };
  server = await startServerProcess({ directory, settings });
}

async function publish(): Promise<void> {
  await publisher?.close('replaced');
  publisher = await startTestPublisher(`ws://127.0.0.1:${server.ports['ws.port']}`, STREAM);
}

async function post(path: string, body: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/rest-api${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

async function startup(rtmpUrl: string, request: object = {}): Promise<string> {
  const body = { streamName: STREAM, rtmpUrl, restartPolicy: 'persistent', rtmpTransponderFullUrl: true, ...request };
  return ((await post('/push/startup', body)) as { mediaSessionId: string }).mediaSessionId;
}

async function detail(id: string): Promise<TransponderDetail> {
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/api/transponders/${id}`);
  return (await response.json()) as TransponderDetail;
}

async function reached(id: string, state: string): Promise<void> {
  let seen: string | undefined;
  await waitUntil(
    async () => ((seen = (await detail(id)).state) === state ? true : undefined),
    TIMEOUT_MS,
    () => `${state}, it is ${seen}`,
  );
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transponder-supervisor-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  nginx = await startNginxRtmp({ isRecording: true });
  closers.push(() => nginx.stop());
  await startServer();
  closers.push(() => server[Symbol.asyncDispose]());
  await publish();
  closers.push(async () => publisher?.close('test ended'));
});
afterAll(async () => {
  for (const close of closers.toReversed()) await close();
});

it('a server that was frozen for three seconds restarts nothing and blames nobody', async () => {
  const names = Array.from({ length: PUSHES }, (_, n) => `frozen${n}`);
  const ids = await Promise.all(names.map((name) => startup(nginx.url(`live/${name}`))));
  await Promise.all(ids.map((id) => reached(id, 'ACTIVE')));
  const recordings = names.map((name) => new PublishedRecording(nginx.recordingPath(name)));
  process.kill(server.pid, 'SIGSTOP');
  try {
    await delay(FREEZE_MS);
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
  for (const recording of recordings) {
    await recording.take();
    let mediaMs = 0;
    await waitUntil(
      async () => ((mediaMs += (await recording.take()).mediaMs) > FREEZE_MS ? true : undefined),
      TIMEOUT_MS,
      () => `media after the freeze, got ${mediaMs} ms`,
    );
  }
  for (const id of ids) {
    const { state, restartsTotal, runs, events } = await detail(id);
    expect({ state, restartsTotal, runs: runs.length }).toEqual({ state: 'ACTIVE', restartsTotal: 0, runs: 1 });
    expect(events.map(({ toState }) => toState).toReversed()).toEqual(['STARTING', 'ACTIVE']);
    await post('/push/terminate', { mediaSessionId: id });
  }
});

it('SIGTERM ends a server with a push in every state, and the next start knows what to do with each', async () => {
  const silent = await startRtmpDestination(() => true);
  closers.push(() => silent.stop());
  const nobody = await startTcpRelay({ destinationPort: undefined });
  closers.push(() => nobody.close());
  await nobody.shut();
  const still = await startTestPublisher(`ws://127.0.0.1:${server.ports['ws.port']}`, 'still');
  closers.push(() => still.close('test ended'));
  const degraded = await startup(nginx.url('live/degraded'), { streamName: 'still' });
  await reached(degraded, 'ACTIVE');
  await still.stopSending();
  await reached(degraded, 'DEGRADED');
  const ids = {
    DEGRADED: degraded,
    WAITING_SOURCE: await startup(nginx.url('live/later'), { streamName: 'later', waitForStream: true }),
    STARTING: await startup(`rtmp://127.0.0.1:${silent.port}/live/starting`),
    ACTIVE: await startup(nginx.url('live/active')),
    BACKOFF: await startup(`rtmp://127.0.0.1:${nobody.port}/live/backoff`),
    STOPPING: await startup(nginx.url('live/stopping'), { rtmpFlashVersion: 'fault ignore-everything' }),
  };
  await reached(ids.STOPPING, 'ACTIVE');
  await reached(ids.ACTIVE, 'ACTIVE');
  await reached(ids.BACKOFF, 'BACKOFF');
  // It is killed half a second after it was asked to end.
  post('/push/terminate', { mediaSessionId: ids.STOPPING }).catch(() => {});
  await waitUntil(
    async () => ((await detail(ids.STOPPING)).events.some(({ toState }) => toState === 'STOPPING') ? true : undefined),
    TIMEOUT_MS,
    () => 'STOPPING',
  );
  expect((await detail(ids.STARTING)).state).toBe('STARTING');
  expect((await detail(ids.WAITING_SOURCE)).state).toBe('WAITING_SOURCE');
  expect((await detail(ids.DEGRADED)).state).toBe('DEGRADED');

  await endInOrder();
  await startServer();
  for (const [before, id] of Object.entries(ids)) {
    const { state, runs } = await detail(id);
    expect([before, state]).toEqual([before, before === 'STOPPING' ? 'TERMINATED' : 'WAITING_SOURCE']);
    expect(runs.every(({ endedAtMs }) => endedAtMs !== null)).toBe(true);
  }
  await publish();
  await reached(ids.ACTIVE, 'ACTIVE');
  await reached(ids.BACKOFF, 'BACKOFF');
  expect((await detail(ids.STARTING)).state).toBe('STARTING');
  expect((await detail(ids.STOPPING)).state).toBe('TERMINATED');

  await endInOrder();
  await startServer({ restore_window_ms: '0' });
  expect((await detail(ids.ACTIVE)).state).toBe('SUSPENDED');
  await endInOrder();
  await startServer();
  expect((await detail(ids.ACTIVE)).state).toBe('SUSPENDED');
});

async function endInOrder(): Promise<void> {
  const { exitCode, isAllGone, elapsedMs, stderr } = await server.end('SIGTERM');
  expect({ exitCode, isAllGone }).toEqual({ exitCode: 0, isAllGone: true });
  expect(elapsedMs).toBeLessThan(MAX_STOP_MS);
  expect(stderr.split('\n').filter((line) => line.includes('"level":"error"'))).toEqual([]);
}
