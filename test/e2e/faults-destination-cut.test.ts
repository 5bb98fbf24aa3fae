import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import { startTcpRelay, type TcpRelay, type TcpRelayOptions } from '../support/tcp-relay.ts';

const START_MS = 20_000;
/** From the cut to the row that says so. */
const NOTICED_MS = 500;
/** From the return of a destination that was away for less than 10 s: the pause of one quick try and a start. */
const FED_AGAIN_MS = 2500;
/** The quick tries last for 10 s; the first pause of back-off after them is up to 2 s. */
const OUTAGES = [
  { awayMs: 1000, fedAgainMs: FED_AGAIN_MS },
  { awayMs: 10_000, fedAgainMs: FED_AGAIN_MS + 2000 },
];
const SAMPLE_MS = 15_000;

const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());
let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig();
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

async function activePush(rtmpUrl: string): Promise<string> {
  const id = await rig.startup(rtmpUrl);
  onTestFinished(() => rig.terminate(id));
  await rig.reached(id, 'ACTIVE', START_MS);
  return id;
}

async function relayToNginx(options: Partial<TcpRelayOptions> = {}): Promise<TcpRelay & { readonly url: string }> {
  const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort, ...options });
  onTestFinished(() => relay.close());
  return Object.assign(relay, { url: `rtmp://127.0.0.1:${relay.port}/live` });
}

/** The push has left ACTIVE, within the time in which a cut is noticed. */
async function expectLeftActive(id: string, cutMs: number): Promise<void> {
  const { atMs } = await rig.reached(id, 'BACKOFF', START_MS, cutMs);
  expect(awake.betweenMs(cutMs, atMs)).toBeLessThan(NOTICED_MS);
}

async function expectFedAgain(id: string, sinceMs: number, withinMs: number): Promise<void> {
  const { atMs } = await rig.reached(id, 'ACTIVE', START_MS, sinceMs);
  expect(awake.betweenMs(sinceMs, atMs)).toBeLessThan(withinMs);
}

function publications(): number {
  return rig.nginx.calls.filter(({ call, name }) => call === 'publish' && name === 'rtmp_faults').length;
}

describe('a destination that cuts off a push, while nine others go on', () => {
  it('killed: is a reset, then refused, until the push is stopped', async () => {
    const nginx = await startNginxRtmp();
    onTestFinished(() => nginx.stop());
    const id = await activePush(nginx.url('live'));
    const cutMs = Date.now();
    nginx.kill('SIGKILL');
    await expectLeftActive(id, cutMs);
    await rig.reached(id, 'STARTING', START_MS, cutMs);
    await expect
      .poll(() => rig.exitClasses(id).slice(0, 2), { timeout: START_MS })
      .toEqual(['dest_reset', 'dest_refused']);
  });

  it('reset: is published again under the same id, after the one before has ended', async () => {
    const relay = await relayToNginx();
    const id = await activePush(relay.url);
    const cutMs = Date.now();
    relay.reset();
    await expectLeftActive(id, cutMs);
    await expectFedAgain(id, cutMs, FED_AGAIN_MS);
    expect(rig.exitClasses(id)).toEqual(['dest_reset']);
    expect(relay.connectedAtMs).toHaveLength(2);
  });

  for (const { awayMs, fedAgainMs } of OUTAGES) {
    it(`away for ${awayMs / 1000} s: is fed again soon after its return`, async () => {
      const relay = await relayToNginx();
      const id = await activePush(relay.url);
      const cutMs = Date.now();
      await relay.shut();
      await expectLeftActive(id, cutMs);
      await delay(awayMs);
      const backMs = Date.now();
      await relay.open();
      await expectFedAgain(id, backMs, fedAgainMs);
      expect(rig.exitClasses(id)[0]).toBe('dest_reset');
      expect(new Set(rig.exitClasses(id).slice(1))).toEqual(new Set(['dest_refused']));
      expect(relay.connectedAtMs).toHaveLength(2);
    });
  }

  it('dropped 3 s after each acceptance: is not hammered, and never published twice at once', async () => {
    const before = publications();
    const relay = await relayToNginx({ lifetimeMs: 3000 });
    const startedMs = Date.now();
    const id = await activePush(relay.url);
    await delay(startedMs + SAMPLE_MS - Date.now());
    const count = publications() - before;
    // At once the first time, after 4 s the second time, after 8 s the third time.
    expect(count).toBe(3);
    expect(new Set(rig.exitClasses(id))).toEqual(new Set(['dest_reset']));
  });
});
