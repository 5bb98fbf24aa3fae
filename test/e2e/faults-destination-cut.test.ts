import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import { startTcpRelay, type TcpRelay, type TcpRelayOptions } from '../support/tcp-relay.ts';

const START_MS = 20_000;
/** From the cut to the row that says so: the run's ffmpeg has ended by then. */
const NOTICED_MS = 500;
/** From the return of a destination that was away for less than 10 s: the pause of one quick try and a start. */
const FED_AGAIN_MS = 2500;
/** The quick tries last for 10 s; the first pause of back-off after them is up to 2 s. */
const OUTAGES = [
  { awayMs: 1000, fedAgainMs: FED_AGAIN_MS },
  { awayMs: 10_000, fedAgainMs: FED_AGAIN_MS + 2000 },
];
const SAMPLE_MS = 15_000;
/** An ffmpeg that a busy machine lets wait ends and starts late: the best round is the product's. */
const MAX_ROUNDS = 3;

const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());
let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig();
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

/** A push that is ACTIVE, for as long as `use` takes. */
async function withPush<T>(rtmpUrl: string, use: (id: string) => Promise<T>): Promise<T> {
  const id = await rig.startup(rtmpUrl);
  try {
    await rig.reached(id, 'ACTIVE', START_MS);
    return await use(id);
  } finally {
    await rig.terminate(id);
  }
}

async function relayToNginx(options: Partial<TcpRelayOptions> = {}): Promise<TcpRelay & { readonly url: string }> {
  const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort, ...options });
  onTestFinished(() => relay.close());
  return Object.assign(relay, { url: `rtmp://127.0.0.1:${relay.port}/live` });
}

/** From the cut to the end of ACTIVE. */
async function noticedMs(id: string, cutMs: number): Promise<number> {
  const { atMs } = await rig.runEnded(id, START_MS, cutMs);
  return awake.betweenMs(cutMs, atMs);
}

async function fedAgainMs(id: string, sinceMs: number): Promise<number> {
  const { atMs } = await rig.reached(id, 'ACTIVE', START_MS, sinceMs);
  return awake.betweenMs(sinceMs, atMs);
}

/** Each time that a round tells of is within its limit, in the best of as many rounds as that takes. */
async function expectWithin(limitsMs: readonly number[], round: () => Promise<readonly number[]>): Promise<void> {
  let bestMs = await round();
  for (let n = 1; n < MAX_ROUNDS && bestMs.some((ms, index) => ms >= limitsMs[index]!); n++) {
    const againMs = await round();
    bestMs = bestMs.map((ms, index) => Math.min(ms, againMs[index]!));
  }
  bestMs.forEach((ms, index) => expect(ms).toBeLessThan(limitsMs[index]!));
}

function publications(): number {
  return rig.nginx.calls.filter(({ call, name }) => call === 'publish' && name === 'rtmp_faults').length;
}

describe('a destination that cuts off a push, while nine others go on', () => {
  it('killed: is a reset, then refused, until the push is stopped', () =>
    expectWithin([NOTICED_MS], async () => {
      const nginx = await startNginxRtmp();
      onTestFinished(() => nginx.stop());
      return withPush(nginx.url('live'), async (id) => {
        const cutMs = Date.now();
        nginx.kill('SIGKILL');
        const timesMs = [await noticedMs(id, cutMs)];
        await rig.reached(id, 'STARTING', START_MS, cutMs);
        await expect
          .poll(() => rig.exitClasses(id).slice(0, 2), { timeout: START_MS })
          .toEqual(['dest_reset', 'dest_refused']);
        return timesMs;
      });
    }));

  it('reset: is published again under the same id, after the one before has ended', () =>
    expectWithin([NOTICED_MS, FED_AGAIN_MS], async () => {
      const relay = await relayToNginx();
      return withPush(relay.url, async (id) => {
        const cutMs = Date.now();
        relay.reset();
        const timesMs = [await noticedMs(id, cutMs), await fedAgainMs(id, cutMs)];
        expect(rig.exitClasses(id)).toEqual(['dest_reset']);
        expect(relay.connectedAtMs).toHaveLength(2);
        return timesMs;
      });
    }));

  for (const { awayMs, fedAgainMs: limitMs } of OUTAGES) {
    it(`away for ${awayMs / 1000} s: is fed again soon after its return`, () =>
      expectWithin([NOTICED_MS, limitMs], async () => {
        const relay = await relayToNginx();
        return withPush(relay.url, async (id) => {
          const cutMs = Date.now();
          await relay.shut();
          const leftMs = await noticedMs(id, cutMs);
          await delay(awayMs);
          const backMs = Date.now();
          await relay.open();
          const timesMs = [leftMs, await fedAgainMs(id, backMs)];
          expect(rig.exitClasses(id)[0]).toBe('dest_reset');
          expect(new Set(rig.exitClasses(id).slice(1))).toEqual(new Set(['dest_refused']));
          expect(relay.connectedAtMs).toHaveLength(2);
          return timesMs;
        });
      }));
  }

  it('dropped 3 s after each acceptance: is not hammered, and never published twice at once', async () => {
    const before = publications();
    const relay = await relayToNginx({ lifetimeMs: 3000 });
    const startedMs = Date.now();
    await withPush(relay.url, async (id) => {
      await delay(startedMs + SAMPLE_MS - Date.now());
      // At once the first time, after 4 s the second time, after 8 s the third time.
      await expect.poll(() => publications() - before).toBe(3);
      expect(new Set(rig.exitClasses(id))).toEqual(new Set(['dest_reset']));
    });
  });
});
