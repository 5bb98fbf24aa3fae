import { rm, mkdtemp } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { TransponderDetail, TransponderView } from '../../src/services/transponder-view.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { startTestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const PUSHES = 10;
const KILLS = 20;
/** Rounds in which the ten took too long and which are repeated: ten ffmpegs that start at once may wait for a busy machine. */
const MAX_REPEATS = 3;
/** From the source's return to the last of the ten being fed. */
const MAX_RETURN_MS = 2000;
/** Children have 100 ms to be gone, in looks, so that a machine that lets this process wait takes nothing off that time. */
const ORPHAN_LOOKS = 5;
const ORPHAN_LOOK_PERIOD_MS = 20;
/** By then those are dying that are still there: they need the processor for that too, eleven of them and at once. */
const DYING_MS = 5000;
/** Of the flags in /proc/PID/stat: getting shut down (PF_EXITING). */
const EXITING_FLAG = 0x4;
/** Of the masks in /proc/PID/status. */
const SIGKILL_BIT = 1n << 8n;
const TIMEOUT_MS = 30_000;

/** Ten destinations in one, which see who publishes what. */
class Destination {
  readonly server: Awaited<ReturnType<typeof startRtmpDestination>>;
  /** Names that were published while somebody else still published them. */
  readonly doubled: string[];

  private constructor(server: Awaited<ReturnType<typeof startRtmpDestination>>, doubled: string[]) {
    this.server = server;
    this.doubled = doubled;
  }

  static async start(): Promise<Destination> {
    const open = new Map<string, object>();
    const doubled: string[] = [];
    const server = await startRtmpDestination((command, peer) => {
      if (command.name !== 'publish') return;
      const name = String(command.args[1]);
      if (open.has(name)) doubled.push(name);
      open.set(name, peer);
      peer.socket.once('close', () => open.get(name) === peer && open.delete(name));
    });
    return new Destination(server, doubled);
  }

  url(n: number): string {
    return `rtmp://127.0.0.1:${this.server.port}/live/canary${n}`;
  }
}

let destination: Destination;
let directory: string;
let server: ServerProcess;
let publisher: Closable | undefined;
const ids: string[] = [];

async function call<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}${path}`, {
    method,
    ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

async function transponders(): Promise<readonly TransponderView[]> {
  return (await call<{ transponders: TransponderView[] }>('GET', '/api/transponders')).transponders;
}

/** By id, so that nothing but the ten under their own ids will do. */
async function waitForAll(state: string): Promise<void> {
  await waitUntil(
    async () => {
      const states = new Map((await transponders()).map((view) => [view.id, view.state]));
      return ids.every((id) => states.get(id) === state) || undefined;
    },
    TIMEOUT_MS,
    () => `not all are ${state}`,
  );
}

async function publish(): Promise<void> {
  publisher = await startTestPublisher(`ws://127.0.0.1:${server.ports['ws.port']}`, 'cam');
}

async function unpublish(): Promise<void> {
  await publisher?.close('test');
  publisher = undefined;
}

function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Nothing averts its end any more: it is to be killed when it gets the processor, or is shutting down. */
function isDying(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    if (Number(stat[6]) & EXITING_FLAG) return true;
    const pending = readFileSync(`/proc/${pid}/status`, 'latin1').matchAll(/^(?:SigPnd|ShdPnd):\s*(\w+)$/gm);
    return [...pending].some(([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n);
  } catch {
    return true;
  }
}

/** For how long its main thread has waited for a processor, since it began. */
function queuedMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
}

/** How long it took each push from the return of its source to its destination, by the server's own clock. */
async function returnTimesMs(): Promise<number[]> {
  const details = await Promise.all(ids.map((id) => call<TransponderDetail>('GET', `/api/transponders/${id}`)));
  return details.map(({ events }) => {
    const active = events.find(({ toState }) => toState === 'ACTIVE')!;
    const source = events.find(({ type }) => type === 'sourceUp')!;
    return active.atMs - source.atMs;
  });
}

beforeAll(async () => {
  destination = await Destination.start();
  directory = await mkdtemp(join(tmpdir(), 'transponder-restore-'));
  server = await startServerProcess({ directory });
  await publish();
  for (let n = 0; n < PUSHES; n++) {
    const body = { streamName: 'cam', rtmpUrl: destination.url(n), rtmpTransponderFullUrl: true };
    // Every other one is as WCS has it: without a retry, and ending with its stream.
    const more = n % 2 === 0 ? { restartPolicy: 'persistent' } : {};
    ids.push(
      (await call<{ mediaSessionId: string }>('POST', '/rest-api/push/startup', { ...body, ...more })).mediaSessionId,
    );
  }
  await waitForAll('ACTIVE');
});

afterAll(async () => {
  await unpublish();
  await server?.[Symbol.asyncDispose]();
  await destination?.server.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('ten pushes', () => {
  it(`are back under their ids within two seconds of their source's return, ${KILLS} times after kill -9, and no process is left`, async () => {
    const worstReturnsMs: number[] = [];
    const inTime = () => worstReturnsMs.filter((ms) => ms < MAX_RETURN_MS).length;
    while (inTime() < KILLS && worstReturnsMs.length - inTime() <= MAX_REPEATS) {
      const children = server.children();
      expect(children.length).toBeGreaterThanOrEqual(PUSHES);
      await killed(server);
      for (let look = 0; look < ORPHAN_LOOKS && children.some(runs); look++) await delay(ORPHAN_LOOK_PERIOD_MS);
      expect(children.filter((pid) => runs(pid) && !isDying(pid))).toEqual([]);
      await waitUntil(
        () => (children.some(runs) ? undefined : true),
        DYING_MS,
        () => `the end of ${children.filter(runs).join(', ')}`,
      );
      await unpublish();
      server = await startServerProcess({ directory });
      await waitForAll('WAITING_SOURCE');
      const queuedBeforeMs = queuedMs(server.pid);
      await publish();
      await waitForAll('ACTIVE');
      const queuedForMs = queuedMs(server.pid) - queuedBeforeMs;
      worstReturnsMs.push(Math.round(Math.max(...(await returnTimesMs())) - queuedForMs));
    }
    console.log(`from the source's return to the last of ${PUSHES} pushes, ms: ${worstReturnsMs.join(' ')}`);
    expect(inTime()).toBe(KILLS);
    expect(destination.doubled).toEqual([]);
    const details = await call<TransponderDetail>('GET', `/api/transponders/${ids[0]}`);
    expect(details.runs.filter(({ exitClass }) => exitClass === 'server_crash').length).toBeGreaterThanOrEqual(19);
    expect(details.restartsTotal).toBe(worstReturnsMs.length);
  }, 300_000);

  it('are back after SIGTERM too, which ended their runs in order', async () => {
    expect((await server.end('SIGTERM')).isAllGone).toBe(true);
    await unpublish();
    server = await startServerProcess({ directory });
    await waitForAll('WAITING_SOURCE');
    await publish();
    await waitForAll('ACTIVE');
    const { runs: all } = await call<TransponderDetail>('GET', `/api/transponders/${ids[0]}`);
    expect(all.map(({ exitClass }) => exitClass).slice(0, 2)).toEqual([null, 'asked_stop']);
    expect(destination.doubled).toEqual([]);
  });

  it('are followed by the live figures of their processes', async () => {
    const id = ids[1]!;
    const { live, restartPolicy } = await waitUntil(
      async () => {
        const view = await call<TransponderDetail>('GET', `/api/transponders/${id}`);
        return (view.live?.bitrateBps ?? 0) > 0 && view.live?.cpuMs !== undefined ? view : undefined;
      },
      TIMEOUT_MS,
      () => 'no figures',
    );
    expect(restartPolicy).toEqual({ kind: 'wcs', attempts: 0, intervalMs: 5000 });
    expect(live!.bytesAccepted).toBeGreaterThan(0);
    expect(live!.uptimeMs).toBeGreaterThan(0);
    expect(live!.maxRssBytes).toBeGreaterThan(1_000_000);
  });

  it('fail at the next start where restore_on_start=never', async () => {
    await killed(server);
    await unpublish();
    server = await startServerProcess({ directory, settings: { restore_on_start: 'never' } });
    await waitForAll('FAILED');
    for (const view of await transponders()) expect(view.reason).toBe('server_restart');
  });
});

/** Without the wait for its output that `end` does: children must be looked at within 100 ms. */
async function killed(victim: ServerProcess): Promise<void> {
  process.kill(victim.pid, 'SIGKILL');
  await waitUntil(
    async () => (runs(victim.pid) ? undefined : true),
    TIMEOUT_MS,
    () => 'the server survives SIGKILL',
  );
}
