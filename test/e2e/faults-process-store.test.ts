import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { AwakeClock } from '../support/awake-clock.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { PublishedRecording } from '../support/published-recording.ts';
import { mountSmallDisk, whyNoDisks, type SmallDisk } from '../support/small-disk.ts';
import { sourceGapMs, sourceJitterMs } from '../support/source-gap.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { startTestPublisher, type TestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIMEOUT_MS = 15_000;
const MAX_GAP_MS = 250;
/** What cannot be written is tried again every five seconds. */
const MAX_RECOVERY_MS = 7000;
/** Of media, while the store takes nothing. */
const UNDISTURBED_MS = 3000;

const reason = await whyNoDisks();
const closers: (() => Promise<unknown>)[] = [];
let disk: SmallDisk;
let nginx: NginxRtmp;
let app: TestApp;
let publisher: TestPublisher;
let pushes = 0;

describe.skipIf(reason)(`a store that takes no writes${reason ? ` (${reason})` : ''}`, () => {
  beforeAll(async () => {
    disk = await mountSmallDisk();
    closers.push(() => disk.close());
    nginx = await startNginxRtmp({ isRecording: true });
    closers.push(() => nginx.stop());
    app = await startTestApp({ data_dir: join(disk.path, 'data') });
    closers.push(() => app.close('test ended'));
    publisher = await startTestPublisher(app.wsUrl, 'cam');
    closers.push(() => publisher.close('test ended'));
  });
  afterAll(async () => {
    for (const close of closers.toReversed()) await close();
  });

  it('because the disk is full is noticed by /health/ready although nothing runs', async () => {
    expect(await health()).toEqual({ status: 200, state: 'ready' });
    await disk.fill();
    let isFull = true;
    onTestFinished(async () => {
      if (isFull) await disk.makeRoom();
    });
    await waitUntil(
      async () => ((await health()).status === 503 ? true : undefined),
      TIMEOUT_MS,
      () => 'not ready',
    );
    await disk.makeRoom();
    isFull = false;
    await untilReady();
  });

  it('because the disk is full leaves running pushes alone, takes no new ones, and gets all when there is room', async () => {
    const [running, ending] = await Promise.all([startPush(), startPush()]);
    await disk.fill();
    let isFull = true;
    const makeRoom = async (): Promise<void> => {
      if (isFull) await disk.makeRoom();
      isFull = false;
    };
    onTestFinished(makeRoom);
    await expectOnlyRunningPushes(running, ending);
    await makeRoom();
    await untilReady();
    expect(storedState(ending.id)).toBe('TERMINATED');
    const next = await startPush();
    for (const { id } of [running, next]) await terminate(id);
  });

  it('because another program writes to it disturbs nobody', async () => {
    const { id, name } = await startPush();
    const recording = new PublishedRecording(nginx.recordingPath(name));
    await recording.take();
    const other = new Database(databasePath());
    onTestFinished(() => void other.close());
    other.exec('BEGIN IMMEDIATE');
    using awake = new AwakeClock();
    const startMs = Date.now();
    const mediaSinceMs = performance.now();
    const muted = await app.rest('/rest-api/push/mute', { mediaSessionId: id });
    expect(muted.status).toBe(200);
    expect(awake.betweenMs(startMs, Date.now())).toBeLessThan(MAX_GAP_MS);
    expect(await health()).toEqual({ status: 503, state: 'degraded' });
    const { maxVideoGapMs } = await mediaOf(recording, UNDISTURBED_MS);
    expect(maxVideoGapMs).toBeLessThanOrEqual(maxGapMs(mediaSinceMs));
    other.exec('ROLLBACK');
    await untilReady();
    expect(other.prepare<[string], number>('SELECT muted FROM transponder WHERE id = ?').pluck().get(id)).toBe(1);
  });

  it('because the file system has become read-only leaves running pushes alone and takes no new ones', async () => {
    const [running, ending] = await Promise.all([startPush(), startPush()]);
    await disk.turnReadOnly();
    await expectOnlyRunningPushes(running, ending);
    await terminate(running.id);
    expect(app.pushStatus(running.id)).toBeUndefined();
  });
});

const nextName = (): string => `push${pushes++}`;
const databasePath = (): string => join(disk.path, 'data', 'transponder.sqlite');

function startup(name: string) {
  const rtmpUrl = nginx.url(`live/${name}`);
  return app.rest('/rest-api/push/startup', { streamName: 'cam', rtmpUrl, rtmpTransponderFullUrl: true });
}

/** A push that the destination records. */
async function startPush(): Promise<RecordedPush> {
  const name = nextName();
  const answer = await startup(name);
  expect(answer).toMatchObject({ status: 200 });
  const { mediaSessionId: id } = answer.json() as PushView;
  await waitUntil(
    () => (app.pushStatus(id)?.state === 'ACTIVE' ? true : undefined),
    TIMEOUT_MS,
    () => `${name} ACTIVE, it is ${JSON.stringify(app.pushStatus(id))}`,
  );
  return { id, name };
}

interface RecordedPush {
  readonly id: string;
  readonly name: string;
}

/** While nothing can be written: `running` goes on, `ending` can be ended, and no other can begin. */
async function expectOnlyRunningPushes(running: RecordedPush, ending: RecordedPush): Promise<void> {
  const recording = new PublishedRecording(nginx.recordingPath(running.name));
  const sinceMs = performance.now();
  await recording.take();
  const refused = await startup(nextName());
  expect(refused.status).toBe(503);
  expect(refused.text).toContain('the store takes no writes at the moment');
  await terminate(ending.id);
  expect(await health()).toEqual({ status: 503, state: 'degraded' });
  const { maxVideoGapMs, maxAudioGapMs } = await mediaOf(recording, UNDISTURBED_MS);
  expect(Math.max(maxVideoGapMs, maxAudioGapMs)).toBeLessThanOrEqual(maxGapMs(sinceMs));
  expect(app.pushStatus(running.id)).toMatchObject({ state: 'ACTIVE', restartsTotal: 0 });
  expect(storedState(ending.id)).toBe('ACTIVE');
}

async function terminate(mediaSessionId: string): Promise<void> {
  expect(await app.rest('/rest-api/push/terminate', { mediaSessionId })).toMatchObject({ status: 200 });
}

async function untilReady(): Promise<void> {
  using awake = new AwakeClock();
  const startMs = Date.now();
  await waitUntil(
    async () => ((await health()).status === 200 ? true : undefined),
    TIMEOUT_MS,
    () => 'a server that is ready again',
  );
  expect(awake.betweenMs(startMs, Date.now())).toBeLessThan(MAX_RECOVERY_MS);
}

async function health(): Promise<{ status: number; state: string }> {
  const response = await fetch(`http://127.0.0.1:${app.ports['http.port']}/health/ready`);
  const { state } = (await response.json()) as { state: string };
  return { status: response.status, state };
}

/** As an operator reads it. */
function storedState(id: string): string | undefined {
  const database = new Database(databasePath(), { readonly: true });
  try {
    return database.prepare<[string], string>('SELECT state FROM transponder WHERE id = ?').pluck().get(id);
  } finally {
    database.close();
  }
}

/** Of what has come since then of `performance.now()`; the publisher's own holes are not the store's. */
function maxGapMs(sinceMs: number): number {
  return Math.max(MAX_GAP_MS, sourceGapMs(sourceJitterMs(publisher, sinceMs)));
}

/** Waits until the destination has got so much more. */
async function mediaOf(recording: PublishedRecording, mediaMs: number) {
  const taken = { maxVideoGapMs: 0, maxAudioGapMs: 0, mediaMs: 0 };
  await waitUntil(
    async () => {
      const more = await recording.take();
      taken.maxVideoGapMs = Math.max(taken.maxVideoGapMs, more.maxVideoGapMs);
      taken.maxAudioGapMs = Math.max(taken.maxAudioGapMs, more.maxAudioGapMs);
      taken.mediaMs += more.mediaMs;
      return taken.mediaMs >= mediaMs ? true : undefined;
    },
    TIMEOUT_MS,
    () => `${mediaMs} ms of media, got ${JSON.stringify(taken)}`,
  );
  return taken;
}
