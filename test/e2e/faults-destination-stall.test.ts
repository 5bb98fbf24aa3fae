import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { createLossyNetwork, whyNoNamespaces, type LossyNetwork } from '../support/netns.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { waitUntil } from '../support/wait-until.ts';

const refusal = await whyNoNamespaces();
const START_MS = 5000;
const CONNECT_TIMEOUT_MS = 10_000;
/** From the moment in which its socket takes no more bytes. */
const LEAVE_ACTIVE_MS = 9000;
const RECEIVE_BUFFER_BYTES = 65_536;
/** In which a frozen destination's kernel has taken its fill of a stream of 0.9 Mbit/s. */
const FILLED_MS = 2000;
const FED_AGAIN_MS = 4000;
const HALF_RATE_BPS = 450_000;
const SLOW_WATCHED_MS = 20_000;

describe.skipIf(refusal !== undefined)(
  `a destination that stops taking bytes, while nine others go on${refusal === undefined ? '' : ` (${refusal})`}`,
  () => {
    let network: LossyNetwork;
    let rig: FaultRig;
    let far: NginxRtmp;
    const built: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      network = await createLossyNetwork();
      built.push(() => network.close());
      // What a kernel takes for a frozen program looks like a destination that reads.
      await network.setReceiveBuffers(RECEIVE_BUFFER_BYTES);
      // The block for benchmarks, of which the network's addresses are.
      rig = await startFaultRig({ outbound_allow: '198.18.0.0/15' });
      built.push(() => rig.close());
      const program = await network.launcher('/usr/sbin/nginx');
      const { clientAddress, hostAddress } = network;
      far = await startNginxRtmp({ network: { address: clientAddress, hostAddress, program } });
      built.push(() => far.stop());
    });
    afterAll(async () => {
      for (const close of built.toReversed()) await close();
    });
    afterEach(async () => expectUnharmed(await rig.bystanders()));

    async function start(): Promise<string> {
      const id = await rig.startup(far.url('live'));
      onTestFinished(() => rig.terminate(id));
      return id;
    }

    async function activePush(): Promise<string> {
      const id = await start();
      await rig.reached(id, 'ACTIVE', START_MS);
      return id;
    }

    function exitClasses(id: string): readonly string[] {
      return rig.endedRuns(id).map(({ exitClass }) => exitClass);
    }

    it('SYN black hole: is a timeout after ten seconds, and published once packets pass again', async () => {
      await network.setBlackHole(true);
      const startedMs = Date.now();
      const id = await start();
      try {
        const { atMs } = await rig.reached(id, 'BACKOFF', CONNECT_TIMEOUT_MS + START_MS);
        expect(atMs - startedMs).toBeGreaterThanOrEqual(CONNECT_TIMEOUT_MS);
        expect(exitClasses(id)).toEqual(['dest_timeout']);
      } finally {
        await network.setBlackHole(false);
      }
      // The next try may have sent its first SYN into the hole; the second follows a second later.
      await rig.reached(id, 'ACTIVE', START_MS);
    });

    it('black hole in mid-stream: leaves ACTIVE as stalled, and comes back when packets pass again', async () => {
      const id = await activePush();
      const cutMs = Date.now();
      await network.setBlackHole(true);
      try {
        const { atMs } = await rig.reached(id, 'STOPPING', LEAVE_ACTIVE_MS + START_MS, cutMs);
        expect(atMs - cutMs).toBeLessThan(LEAVE_ACTIVE_MS);
      } finally {
        await network.setBlackHole(false);
      }
      const backMs = Date.now();
      await rig.reached(id, 'ACTIVE', CONNECT_TIMEOUT_MS + FED_AGAIN_MS, backMs);
      expect(exitClasses(id)[0]).toBe('stalled');
    });

    it('frozen: leaves ACTIVE as stalled, and is published again when it thaws', async () => {
      const id = await activePush();
      const cutMs = Date.now();
      far.kill('SIGSTOP');
      try {
        const { atMs } = await rig.reached(id, 'STOPPING', LEAVE_ACTIVE_MS + START_MS, cutMs);
        expect(atMs - cutMs).toBeLessThan(LEAVE_ACTIVE_MS + FILLED_MS);
      } finally {
        far.kill('SIGCONT');
      }
      await rig.reached(id, 'ACTIVE', CONNECT_TIMEOUT_MS + FED_AGAIN_MS, Date.now());
      expect(exitClasses(id)[0]).toBe('stalled');
    });

    it('half speed: is DEGRADED, and neither restarted nor given up while bytes flow', async () => {
      const id = await activePush();
      await network.setRateToClients(HALF_RATE_BPS);
      try {
        await rig.reached(id, 'DEGRADED', SLOW_WATCHED_MS * 3);
        expect(exitClasses(id)).toEqual([]);
      } finally {
        await network.setRateToClients(undefined);
      }
      await waitUntil(
        () => rig.state(id).state === 'ACTIVE' || undefined,
        START_MS,
        () => JSON.stringify(rig.steps(id)),
      );
      expect(exitClasses(id)).toEqual([]);
    });
  },
);
