import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig, type PushStep } from '../support/fault-rig.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';
import { waitUntil } from '../support/wait-until.ts';

const START_MS = 20_000;
const FULL_URL = { rtmpTransponderFullUrl: true };
const BUSY_MS = 20_000;
const AWAY_MS = 60_000;
const DROPPING_MS = 60_000;
const DROP_AFTER_MS = 3000;
/** From a cut connection to the row that says so, on a busy machine. */
const NOTICED_MS = 2000;
/** The pause between two tries at a name in use is 5 s at least, and the longest of back-off's is 30 s. */
const BACK_MS = 35_000 + START_MS;
/** With its pauses of 0.25, 4, 8, 16 and 32 s a sixth publication cannot begin within a minute. */
const MAX_PUBLICATIONS = 5;
const MIN_PUBLICATIONS = 4;

let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig();
});
afterAll(() => rig?.close());

/** How long the push said ACTIVE, each time that it did and stopped doing so. */
function activeTimesMs(steps: readonly PushStep[]): readonly number[] {
  return steps.flatMap(({ toState, atMs }, n) => {
    const left = steps[n + 1];
    return toState === 'ACTIVE' && left ? [left.atMs - atMs] : [];
  });
}

/** Each publication of that name at the destination, and its end. */
function publications(name: string): readonly string[] {
  return rig.nginx.calls
    .filter((call) => call['name'] === name && ['publish', 'publish_done'].includes(call['call'] ?? ''))
    .map((call) => call['call']!);
}

// At once, each with a destination of its own: each is a matter of a minute.
describe.concurrent('a destination that lets a push in again after a while, while nine others go on', () => {
  it('name in use for 20 s: the push comes back by itself under its id, and asks no more often than every 5 s', async ({
    onTestFinished,
  }) => {
    const url = `${rig.nginx.url('live')}/held`;
    const input = ['-re', '-f', 'lavfi', '-i', 'anullsrc=r=48000', '-c:a', 'aac', '-f', 'flv'];
    const holder = spawn('ffmpeg', ['-v', 'error', '-nostdin', ...input, url], { stdio: 'ignore' });
    const gone = once(holder, 'exit');
    onTestFinished(async () => {
      holder.kill('SIGKILL');
      await gone;
    });
    await waitUntil(
      () => publications('held').length > 0 || undefined,
      START_MS,
      () => 'the other publisher',
    );
    const id = await rig.startup(url, FULL_URL);
    onTestFinished(() => rig.terminate(id));
    await rig.reached(id, 'BACKOFF', START_MS);
    expect(rig.state(id).reason).toBe('dest_busy');
    await delay(BUSY_MS);
    expect(rig.steps(id).some(({ toState }) => toState === 'ACTIVE')).toBe(false);
    holder.kill('SIGKILL');
    await gone;
    await rig.reached(id, 'ACTIVE', BACK_MS);
    expect(new Set(rig.exitClasses(id))).toEqual(new Set(['dest_busy']));
    // The first time the process starts while the destination is dialled; then a process is started for none that refuses.
    expect(rig.endedRuns(id).map(({ pid }) => pid !== null)).toEqual(rig.exitClasses(id).map((_, n) => n === 0));
    // One try at once, and one for each 5 s.
    expect(rig.exitClasses(id).length).toBeLessThanOrEqual(1 + BUSY_MS / 5000);
  });

  it('away for 60 s: the push comes back by itself under its id, and said nothing of ACTIVE meanwhile', async ({
    onTestFinished,
  }) => {
    const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort });
    onTestFinished(() => relay.close());
    const id = await rig.startup(`rtmp://127.0.0.1:${relay.port}/live/away`, FULL_URL);
    onTestFinished(() => rig.terminate(id));
    await rig.reached(id, 'ACTIVE', START_MS);
    const cutMs = Date.now();
    await relay.shut();
    await rig.reached(id, 'BACKOFF', NOTICED_MS, cutMs);
    expect(rig.exitClasses(id)[0]).toBe('dest_reset');
    await delay(AWAY_MS);
    expect(rig.steps(id).filter(({ toState }) => toState === 'ACTIVE')).toHaveLength(1);
    const backMs = Date.now();
    await relay.open();
    await rig.reached(id, 'ACTIVE', BACK_MS, backMs);
    // The last ones are in the history; no process was started for any.
    const tries = rig.endedRuns(id).filter(({ exitClass }) => exitClass !== 'dest_reset');
    expect(tries.length).toBeGreaterThan(5);
    expect(tries).toEqual(tries.map(() => expect.objectContaining({ pid: null, exitClass: 'dest_refused' })));
    // Quick ones in the first 10 s, then five in each 30 s at most.
    expect(rig.state(id).restarts).toBeLessThanOrEqual(10_000 / 300 + 3 * 5);
    expect(relay.connectedAtMs).toHaveLength(2);
  });

  it('accepted and dropped every 3 s for a minute: is published to seldom, and is ACTIVE only while it is connected', async ({
    onTestFinished,
  }) => {
    const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort, lifetimeMs: DROP_AFTER_MS });
    onTestFinished(() => relay.close());
    const id = await rig.startup(`rtmp://127.0.0.1:${relay.port}/live/dropped`, FULL_URL);
    onTestFinished(() => rig.terminate(id));
    await rig.reached(id, 'ACTIVE', START_MS);
    await delay(DROPPING_MS);
    const calls = publications('dropped');
    const published = calls.filter((call) => call === 'publish').length;
    expect(published).toBeGreaterThanOrEqual(MIN_PUBLICATIONS);
    expect(published).toBeLessThanOrEqual(MAX_PUBLICATIONS);
    // Never two at once.
    expect(calls.map((call, n) => call === (n % 2 === 0 ? 'publish' : 'publish_done'))).toEqual(calls.map(() => true));
    expect(relay.connectedAtMs).toHaveLength(published);
    expect(new Set(rig.exitClasses(id))).toEqual(new Set(['dest_reset']));
    expect(rig.exitClasses(id).length).toBeLessThanOrEqual(published);
    const times = activeTimesMs(rig.steps(id));
    expect(times.length).toBeGreaterThanOrEqual(MIN_PUBLICATIONS - 1);
    expect(Math.max(...times)).toBeLessThan(DROP_AFTER_MS + NOTICED_MS);
  });
});

it('and the nine others have lost nothing by any of that', async () => {
  const report = await rig.bystanders();
  expect(report.restarts).toBe(0);
  expectUnharmed(report);
});
