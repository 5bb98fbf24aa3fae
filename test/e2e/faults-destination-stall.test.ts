import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AwakeClock } from '../support/awake-clock.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { createLossyNetwork, whyNoNamespaces, type LossyNetwork } from '../support/netns.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { PublishedRecording } from '../support/published-recording.ts';
import { waitUntil } from '../support/wait-until.ts';

const refusal = await whyNoNamespaces();
const START_MS = 20_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** From the moment in which its socket takes no more bytes. */
const LEAVE_ACTIVE_MS = 9000;
const RECEIVE_BUFFER_BYTES = 65_536;
/** In which a frozen destination's kernel has taken its fill of a stream of 0.9 Mbit/s. */
const FILLED_MS = 2000;
const FED_AGAIN_MS = 15_000;
const HALF_RATE_BPS = 450_000;
const SLOW_MS = 40_000;
/** 2 s on the way, 4 s in the queue and a group of pictures of 2 s; without a bound it would be half of the time watched. */
const MAX_LAG_MS = 10_000;
/** Ten seconds without a loss. */
const RECOVERED_MS = 20_000;
/** Sound is kept when pictures are given up. */
const MAX_SOUND_GAP_MS = 250;

const awake = new AwakeClock();
afterAll(() => awake[Symbol.dispose]());

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
      far = await startNginxRtmp({ isRecording: true, network: { address: clientAddress, hostAddress, program } });
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

    it('SYN black hole: is a timeout after ten seconds, and published once packets pass again', async () => {
      await network.setBlackHole(true);
      const startedMs = Date.now();
      const id = await start();
      try {
        const { atMs } = await rig.runEnded(id, CONNECT_TIMEOUT_MS + START_MS);
        expect(atMs - startedMs).toBeGreaterThanOrEqual(CONNECT_TIMEOUT_MS);
        expect(rig.exitClasses(id)).toEqual(['dest_timeout']);
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
      // The programs that cut it off may take their time.
      const isCutMs = Date.now();
      try {
        const { atMs } = await rig.reached(id, 'STOPPING', LEAVE_ACTIVE_MS + START_MS, cutMs);
        expect(awake.betweenMs(isCutMs, atMs)).toBeLessThan(LEAVE_ACTIVE_MS);
      } finally {
        await network.setBlackHole(false);
      }
      const backMs = Date.now();
      await rig.reached(id, 'ACTIVE', CONNECT_TIMEOUT_MS + FED_AGAIN_MS, backMs);
      expect(rig.exitClasses(id)[0]).toBe('stalled');
    });

    it('frozen: leaves ACTIVE as stalled, and is published again when it thaws', async () => {
      const id = await activePush();
      const cutMs = Date.now();
      far.kill('SIGSTOP');
      try {
        const { atMs } = await rig.reached(id, 'STOPPING', LEAVE_ACTIVE_MS + START_MS, cutMs);
        expect(awake.betweenMs(cutMs, atMs)).toBeLessThan(LEAVE_ACTIVE_MS + FILLED_MS);
      } finally {
        far.kill('SIGCONT');
      }
      await rig.reached(id, 'ACTIVE', CONNECT_TIMEOUT_MS + FED_AGAIN_MS, Date.now());
      expect(rig.exitClasses(id)[0]).toBe('stalled');
    });

    it('half speed: is DEGRADED and loses pictures, but shows those of nearly now, with all of the sound', async () => {
      const near = await rig.startup(rig.nginx.url('live/near'), { rtmpTransponderFullUrl: true });
      onTestFinished(() => rig.terminate(near));
      await rig.reached(near, 'ACTIVE', START_MS);
      const id = await rig.startup(far.url('live/slow'), { rtmpTransponderFullUrl: true });
      onTestFinished(() => rig.terminate(id));
      await rig.reached(id, 'ACTIVE', START_MS);
      const recordings = {
        near: new PublishedRecording(rig.nginx.recordingPath('near')),
        far: new PublishedRecording(far.recordingPath('slow')),
      };
      const gapsMs: number[] = [];
      /** How far the near destination's timeline is before the far one's. */
      const leadMs = async (): Promise<number | undefined> => {
        await recordings.near.take();
        gapsMs.push((await recordings.far.take()).maxAudioGapMs);
        const [nearMs, farMs] = [recordings.near.newestMs.audio, recordings.far.newestMs.audio];
        return nearMs === undefined || farMs === undefined ? undefined : nearMs - farMs;
      };
      const leadAtFirstMs = await waitUntil(leadMs, START_MS, () => 'both recordings');
      const lagsMs: number[] = [];
      await network.setRateToClients(HALF_RATE_BPS);
      try {
        for (const untilMs = Date.now() + SLOW_MS; Date.now() < untilMs; await delay(500)) {
          lagsMs.push((await leadMs())! - leadAtFirstMs);
        }
        expect(rig.state(id)).toEqual({ state: 'DEGRADED', reason: 'backlog', restarts: 0 });
        expect(rig.app.pushStatus(id)?.droppedUnits?.video).toBeGreaterThan(0);
        expect(rig.app.pushStatus(id)?.droppedUnits?.audio).toBe(0);
      } finally {
        await network.setRateToClients(undefined);
      }
      console.log(`half speed: lag ${Math.max(...lagsMs)} ms at most, ${lagsMs.at(-1)} ms after ${SLOW_MS / 1000} s`);
      expect(lagsMs.length).toBeGreaterThan(10);
      expect(Math.max(...lagsMs)).toBeLessThan(MAX_LAG_MS);
      const backMs = Date.now();
      await rig.reached(id, 'ACTIVE', RECOVERED_MS, backMs);
      await waitUntil(
        async () => ((await leadMs())! - leadAtFirstMs < 2000 ? true : undefined),
        START_MS,
        () => 'a destination that has caught up',
      );
      expect(Math.max(...gapsMs)).toBeLessThanOrEqual(MAX_SOUND_GAP_MS);
      expect(rig.exitClasses(id)).toEqual([]);
    });
  },
);
