import { copyFile, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig, type PushStep } from '../support/fault-rig.ts';
import { childrenOf } from '../support/offspring.ts';
import { waitUntil } from '../support/wait-until.ts';

const FAULTY_FFMPEG = fileURLToPath(new URL('../children/faulty-ffmpeg.sh', import.meta.url));
const ACTIVE_TIMEOUT_MS = 15_000;
/** From the death of a child to the transition that follows. */
const MAX_REACTION_MS = 500;
/** Full jitter of the first try, the start of a child, and the first keyframe from the cache. */
const MAX_RETURN_MS = 2500;
const LIFE_LOOK_PERIOD_MS = 10;
/** The longest of back-off after the fourth try; as a rule the file is back before the second. */
const MAX_PAUSE_MS = 8000;
/** The stall timeout and two looks at the counters. */
const MAX_STALL_MS = 9000;
/** At least so much a second is published. */
const BYTES_PER_SECOND = 80_000;
const MAX_LINE_CHARS = 500;
/** For a hundred megabytes, on a busy machine. */
const FLOOD_MS = 60_000;

interface StoredRun {
  readonly pid: number | null;
  readonly exitClass: string | null;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  readonly stderrHead: string | null;
  readonly stderrTail: string | null;
}

let directory: string;
let ffmpegPath: string;
let rig: FaultRig;
/** A push that is given up while all else goes on, because that takes so long. */
let neverReady: string;
let database: Database.Database;
const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'faulty-ffmpeg-'));
  ffmpegPath = join(directory, 'ffmpeg');
  await copyFile(FAULTY_FFMPEG, ffmpegPath);
  rig = await startFaultRig({ ffmpeg_path: ffmpegPath });
  database = new Database(join(rig.app.directory, 'data', 'transponder.sqlite'), { readonly: true });
  neverReady = await start('never-ready', { restartPolicy: 'wcs' });
});
afterAll(async () => {
  database?.close();
  await rig?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
});

afterEach(async () => expectUnharmed(await rig.bystanders()));

let pushes = 0;

/** A push to a name of its own at the healthy destination. `fault` is a name that the program knows. */
function start(fault?: string, request: object = {}): Promise<string> {
  const rtmpUrl = rig.nginx.url(`app/faulty${pushes++}`);
  const rtmpFlashVersion = fault && `fault ${fault}`;
  return rig.startup(rtmpUrl, { rtmpTransponderFullUrl: true, rtmpFlashVersion, ...request });
}

/** Oldest first. */
function runs(id: string): readonly StoredRun[] {
  return database
    .prepare<[string], StoredRun>(
      `SELECT pid, exit_class AS exitClass, exit_code AS exitCode, exit_signal AS exitSignal, stderr_head AS stderrHead,
       stderr_tail AS stderrTail FROM run WHERE transponder_id = ? ORDER BY run_id`,
    )
    .all(id);
}

const pidOf = (id: string): number => runs(id).at(-1)!.pid!;

/** Without the pauses between runs, which chance may make 0. */
function stateNames(id: string): string[] {
  return rig
    .steps(id)
    .map(({ toState }) => toState)
    .filter((state) => state !== 'BACKOFF');
}

/** The first step out of ACTIVE since then. */
function leftActive(id: string, sinceMs: number): Promise<PushStep> {
  return waitUntil(
    () => rig.steps(id).find(({ atMs, toState }) => atMs >= sinceMs && toState !== 'ACTIVE'),
    ACTIVE_TIMEOUT_MS,
    () => 'the end of ACTIVE',
  );
}

describe('an ffmpeg that publishes and then', () => {
  it.each([
    ['exits with 0', 'exit-0', 'SIGUSR1', { exitClass: 'crash', exitCode: 0 }],
    ['exits with 1', 'exit-1', 'SIGUSR1', { exitClass: 'crash', exitCode: 1 }],
    ['exits with 255', 'exit-255', 'SIGUSR1', { exitClass: 'crash', exitCode: 255 }],
    ['is killed', undefined, 'SIGKILL', { exitClass: 'killed', exitSignal: 'SIGKILL' }],
    ['has a segmentation fault', undefined, 'SIGSEGV', { exitClass: 'crash', exitSignal: 'SIGSEGV' }],
  ] as const)('%s is replaced under the same id', async (_, fault, signal, run) => {
    const id = await start(fault);
    await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
    const pid = pidOf(id);
    const atMs = Date.now();
    process.kill(pid, signal);
    const livedMs = await lastAliveMs(pid);
    const left = await leftActive(id, atMs);
    expect(awake.betweenMs(livedMs, left.atMs)).toBeLessThan(MAX_REACTION_MS);
    expect(runs(id)[0]).toMatchObject(run);
    const back = await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS, left.atMs);
    expect(awake.betweenMs(livedMs, back.atMs)).toBeLessThan(MAX_RETURN_MS);
    expect(stateNames(id)).toEqual(['STARTING', 'ACTIVE', 'STARTING', 'ACTIVE']);
    await rig.terminate(id);
  });

  it('is killed has failed for good where no try is allowed', async () => {
    const id = await start(undefined, { restartPolicy: 'wcs' });
    await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
    process.kill(pidOf(id), 'SIGKILL');
    await rig.reached(id, 'FAILED', ACTIVE_TIMEOUT_MS);
    expect(rig.state(id)).toEqual(expect.objectContaining({ state: 'FAILED', reason: 'killed' }));
  });

  it('is frozen leaves ACTIVE when the destination has got nothing for the stall timeout, and is replaced', async () => {
    const id = await start();
    await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
    const pid = pidOf(id);
    const atMs = Date.now();
    process.kill(pid, 'SIGSTOP');
    const left = await rig.reached(id, 'STOPPING', ACTIVE_TIMEOUT_MS, atMs);
    expect(awake.betweenMs(atMs, left.atMs)).toBeLessThan(MAX_STALL_MS);
    const back = await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS, left.atMs);
    expect(awake.betweenMs(left.atMs, back.atMs)).toBeLessThan(MAX_RETURN_MS);
    expect(runs(id)[0]).toMatchObject({ exitClass: 'stalled', exitSignal: 'SIGKILL' });
    // Where a keyframe comes in time for it, pictures that have waited for too long are given up first.
    const names = stateNames(id).filter((name) => name !== 'DEGRADED');
    expect(names).toEqual(['STARTING', 'ACTIVE', 'STOPPING', 'STARTING', 'ACTIVE']);
    expect(await isAlive(pid)).toBe(false);
    await rig.terminate(id);
  });

  it('ignores every signal and the end of its input is gone when terminate answers', async () => {
    const id = await start('ignore-everything');
    await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
    const pid = pidOf(id);
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGINT');
    const startMs = Date.now();
    await rig.terminate(id);
    expect(awake.betweenMs(startMs, Date.now())).toBeLessThan(1500);
    expect(await isAlive(pid)).toBe(false);
    expect(runs(id)).toEqual([expect.objectContaining({ exitClass: 'asked_stop', exitSignal: 'SIGKILL' })]);
  });

  it('floods stderr goes on publishing, and little is kept of what it said', async () => {
    const rssBefore = process.memoryUsage().rss;
    const logBefore = rig.app.log().length;
    const id = await start('flood-stderr');
    await waitUntil(
      () => ((rig.app.pushStatus(id)?.bytesOut ?? 0) > 3 * BYTES_PER_SECOND ? true : undefined),
      ACTIVE_TIMEOUT_MS,
      () => 'three seconds of media',
    );
    expect(stateNames(id)).toEqual(['STARTING', 'ACTIVE']);
    expect(await lastWords(id)).toContain('the same complaint');
    // What it says, which is its only child, comes as fast as this process reads it.
    const pid = pidOf(id);
    await waitUntil(
      async () => ((await Promise.all(childrenOf(pid).map(isAlive))).some(Boolean) ? undefined : true),
      FLOOD_MS,
      () => 'the end of the flood',
    );
    await rig.terminate(id);
    expect(await lastWords(id)).toContain('the same complaint');
    const [run] = runs(id);
    expect(run!.stderrHead).toContain('the same complaint');
    const omittedLines = Number(/… (\d+) lines omitted …/.exec(run!.stderrTail!)![1]);
    expect(omittedLines).toBeGreaterThan(1_000_000);
    expect(run!.stderrHead!.length + run!.stderrTail!.length).toBeLessThan(60 * MAX_LINE_CHARS);
    expect(rig.app.log().length - logBefore).toBeLessThan(100_000);
    // Buffers that have been read are there until they are collected.
    await expect.poll(() => process.memoryUsage().rss - rssBefore).toBeLessThan(100e6);
  });
});

/** As operators see them: of a run that goes on as of one that has ended. */
async function lastWords(id: string): Promise<string | null> {
  const response = await fetch(`http://127.0.0.1:${rig.app.ports['http.port']}/api/transponders/${id}`);
  const { runs: shown } = (await response.json()) as { runs: { stderrTail: string | null }[] };
  return shown[0]!.stderrTail;
}

describe('an ffmpeg that', () => {
  it('is not there is tried again until it is', async () => {
    const away = `${ffmpegPath}.away`;
    await rename(ffmpegPath, away);
    const id = await start();
    try {
      await rig.runEnded(id, ACTIVE_TIMEOUT_MS);
      expect(runs(id)[0]).toMatchObject({ exitClass: 'spawn_error', exitCode: 127 });
    } finally {
      await rename(away, ffmpegPath);
    }
    // A try that failed before is followed by a pause of up to seconds.
    const returnedMs = Date.now();
    const tried = await rig.reached(id, 'STARTING', MAX_PAUSE_MS, returnedMs);
    const back = await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS, tried.atMs);
    expect(awake.betweenMs(tried.atMs, back.atMs)).toBeLessThan(MAX_RETURN_MS);
    await rig.terminate(id);
  });

  it('never becomes ready is given up after the start timeout', async () => {
    const id = neverReady;
    const { atMs } = await rig.reached(id, 'STARTING', ACTIVE_TIMEOUT_MS);
    const pid = await waitUntil(
      () => runs(id)[0]?.pid ?? undefined,
      ACTIVE_TIMEOUT_MS,
      () => 'a child',
    );
    const failed = await rig.reached(id, 'FAILED', 25_000);
    expect(awake.betweenMs(atMs, failed.atMs)).toBeLessThan(20_000);
    expect(rig.state(id)).toEqual(expect.objectContaining({ reason: 'start_timeout' }));
    expect(runs(id)).toEqual([expect.objectContaining({ exitClass: 'start_timeout', exitSignal: 'SIGKILL' })]);
    expect(stateNames(id)).toEqual(['STARTING', 'FAILED']);
    expect(await isAlive(pid)).toBe(false);
  });
});

/** Resolves when it is dead, which takes the time that the machine makes it wait, with when it was last seen alive. */
async function lastAliveMs(pid: number): Promise<number> {
  for (let atMs = Date.now(); ; await delay(LIFE_LOOK_PERIOD_MS)) {
    const lookMs = Date.now();
    if (!(await isAlive(pid))) return atMs;
    atMs = lookMs;
  }
}

/** False for a zombie too: it runs nothing any more. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}
