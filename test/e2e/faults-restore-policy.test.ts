import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';

const START_MS = 20_000;
const INTERVAL_MS = 1500;
/** A try ends at once where nothing listens, and begins when its timer fires: the row says both within this. */
const TRY_MS = 1000;
/** Steps are told in whole milliseconds of the wall, and a timer may fire by the fraction that they leave out too early. */
const ROUNDING_MS = 1;
const WCS = { restartPolicy: undefined };

const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());
let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig({
    rtmp_push_restore: 'true',
    rtmp_push_restore_attempts: '2',
    rtmp_push_restore_interval_ms: String(INTERVAL_MS),
  });
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

/** An ACTIVE push over a relay, with the policy of the configuration. */
async function relayedPush() {
  const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort });
  onTestFinished(() => relay.close());
  const id = await rig.startup(`rtmp://127.0.0.1:${relay.port}/live`, WCS);
  await rig.reached(id, 'ACTIVE', START_MS);
  return { relay, id };
}

describe('a push with rtmp_push_restore, while nine others go on', () => {
  it('is tried exactly rtmp_push_restore_attempts times, each rtmp_push_restore_interval_ms after the end before, and then FAILED', async () => {
    const { relay, id } = await relayedPush();
    await relay.shut();
    relay.reset();
    await rig.reached(id, 'FAILED', START_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_reset', 'dest_refused', 'dest_refused']);
    expect(rig.state(id)).toEqual({ state: 'FAILED', reason: 'attempts_exhausted: dest_refused', restarts: 2 });
    const states = rig.steps(id).map(({ toState }) => toState);
    expect(states).toEqual(['STARTING', 'ACTIVE', 'BACKOFF', 'STARTING', 'BACKOFF', 'STARTING', 'FAILED']);
    const times = rig.steps(id).map(({ atMs }) => atMs);
    for (const ended of [2, 4]) {
      const [endedMs, startedMs] = [times[ended]!, times[ended + 1]!];
      expect(startedMs - endedMs).toBeGreaterThanOrEqual(INTERVAL_MS - ROUNDING_MS);
      expect(awake.betweenMs(endedMs, startedMs)).toBeLessThan(INTERVAL_MS + TRY_MS);
    }
  });

  it('comes back under its id when the destination is there at one of the tries', async () => {
    const { relay, id } = await relayedPush();
    await relay.shut();
    relay.reset();
    const { atMs } = await rig.reached(id, 'BACKOFF', START_MS);
    await rig.reached(id, 'BACKOFF', START_MS, atMs + 1);
    await relay.open();
    await rig.reached(id, 'ACTIVE', START_MS, atMs);
    expect(rig.exitClasses(id)).toEqual(['dest_reset', 'dest_refused']);
    await rig.terminate(id);
  });
});
