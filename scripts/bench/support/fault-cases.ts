import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultRig } from '../../../test/support/fault-rig.ts';
import type { LossyNetwork } from '../../../test/support/netns.ts';
import { startNginxRtmp, type NginxRtmp } from '../../../test/support/nginx-rtmp.ts';
import { startTcpRelay, type TcpRelay } from '../../../test/support/tcp-relay.ts';
import { waitUntil } from '../../../test/support/wait-until.ts';

/** What one push lived through. Times in milliseconds. */
export interface FaultSample {
  /** From the fault to the push that says so: it has left ACTIVE, or the first verdict where it never was. */
  readonly noticedMs: number;
  /** From the destination's return to ACTIVE; undefined where it never returns. */
  readonly backMs?: number | undefined;
  readonly exitClass: string;
}

export interface FaultCase {
  readonly name: string;
  readonly measure: (scene: FaultScene) => Promise<FaultSample[]>;
}

export interface FaultScene {
  readonly rig: FaultRig;
  /** A destination behind a network of its own; undefined where the machine permits none. */
  readonly far: { readonly nginx: NginxRtmp; readonly network: LossyNetwork } | undefined;
}

const STATE_TIMEOUT_MS = 60_000;
const ACTIVE_TIMEOUT_MS = 20_000;
/** The pushes of one case do not fail in step. */
const STAGGER_MS = 137;
const BUSY_MS = 20_000;
const DROP_AFTER_MS = 3000;
const FULL_URL = { rtmpTransponderFullUrl: true };

/** The destination's port is closed for that long, then open again. */
export function away(seconds: number, pushes: number): FaultCase {
  return {
    name: `back after ${seconds} s`,
    measure: (scene) =>
      throughRelays(scene, pushes, async (relay, id) => {
        const cutMs = Date.now();
        await relay.shut();
        const noticedMs = (await scene.rig.reached(id, 'BACKOFF', STATE_TIMEOUT_MS, cutMs)).atMs - cutMs;
        const exitClass = firstEnd(scene.rig, id);
        await delay(cutMs + seconds * 1000 - Date.now());
        const openMs = Date.now();
        await relay.open();
        return { noticedMs, backMs: await activeAfter(scene.rig, id, openMs), exitClass };
      }),
  };
}

/** The connection is reset; the destination was never away. */
export function reset(pushes: number): FaultCase {
  return {
    name: 'reset',
    measure: (scene) =>
      throughRelays(scene, pushes, async (relay, id) => {
        const cutMs = Date.now();
        relay.reset();
        const noticedMs = (await scene.rig.reached(id, 'BACKOFF', STATE_TIMEOUT_MS, cutMs)).atMs - cutMs;
        return { noticedMs, backMs: await activeAfter(scene.rig, id, cutMs), exitClass: firstEnd(scene.rig, id) };
      }),
  };
}

/** Something of the far destination stops, and goes on when every push to it has left `ACTIVE` for `leftFor`. */
export function stall(
  name: string,
  pushes: number,
  leftFor: 'STOPPING' | 'DEGRADED',
  set: (far: NonNullable<FaultScene['far']>, isOn: boolean) => Promise<void> | void,
): FaultCase {
  return {
    name,
    async measure({ rig, far }) {
      if (!far) return [];
      const ids = await Promise.all(
        Array.from({ length: pushes }, (_, n) => rig.startup(`${far.nginx.url('live')}/stalled${n}`, FULL_URL)),
      );
      try {
        await Promise.all(ids.map((id) => rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS)));
        const cutMs = Date.now();
        await set(far, true);
        const left = await Promise.all(ids.map((id) => rig.reached(id, leftFor, STATE_TIMEOUT_MS, cutMs))).finally(() =>
          set(far, false),
        );
        const backMs = Date.now();
        return await Promise.all(
          ids.map(async (id, n) => ({
            noticedMs: left[n]!.atMs - cutMs,
            backMs: await activeAfter(rig, id, backMs),
            exitClass: leftFor === 'DEGRADED' ? '(none)' : firstEnd(rig, id),
          })),
        );
      } finally {
        await Promise.all(ids.map((id) => rig.terminate(id)));
      }
    },
  };
}

/** Its destination is killed and does not come back. */
export function killed(pushes: number): FaultCase {
  return {
    name: 'killed',
    async measure({ rig }) {
      const nginx = await startNginxRtmp();
      const ids: string[] = [];
      try {
        for (let n = 0; n < pushes; n++) ids.push(await rig.startup(`${nginx.url('live')}/killed${n}`, FULL_URL));
        await Promise.all(ids.map((id) => rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS)));
        const cutMs = Date.now();
        nginx.kill('SIGKILL');
        return await Promise.all(
          ids.map(async (id) => ({
            noticedMs: (await rig.reached(id, 'BACKOFF', STATE_TIMEOUT_MS, cutMs)).atMs - cutMs,
            exitClass: firstEnd(rig, id),
          })),
        );
      } finally {
        await Promise.all(ids.map((id) => rig.terminate(id)));
        await nginx.stop();
      }
    },
  };
}

/** The push's own ffmpeg gets a signal. */
export function ownProcess(signal: NodeJS.Signals, leftFor: 'BACKOFF' | 'STOPPING', pushes: number): FaultCase {
  return {
    name: `its ffmpeg gets ${signal}`,
    async measure({ rig }) {
      const samples: FaultSample[] = [];
      for (let n = 0; n < pushes; n++) {
        const id = await rig.startup(rig.nginx.url(`live/own-${signal}-${n}`), FULL_URL);
        try {
          await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
          const pid = await pidOfRun(rig, id);
          const cutMs = Date.now();
          process.kill(pid, signal);
          const noticedMs = (await rig.reached(id, leftFor, STATE_TIMEOUT_MS, cutMs)).atMs - cutMs;
          samples.push({ noticedMs, backMs: await activeAfter(rig, id, cutMs), exitClass: firstEnd(rig, id) });
        } finally {
          await rig.terminate(id);
        }
      }
      return samples;
    },
  };
}

async function pidOfRun({ app }: FaultRig, id: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${app.ports['http.port']}/api/transponders/${id}`);
  const { runs } = (await response.json()) as { runs: { pid: number }[] };
  return runs[0]!.pid;
}

/** A destination that never takes the push: how long until the push says so. */
export function verdict(
  name: string,
  state: 'BACKOFF' | 'FAILED',
  pushes: number,
  destination: (scene: FaultScene) => Promise<{ readonly url: string; close(): Promise<void> } | undefined>,
): FaultCase {
  return {
    name,
    async measure(scene) {
      const samples: FaultSample[] = [];
      for (let n = 0; n < pushes; n++) {
        const target = await destination(scene);
        if (!target) return samples;
        const startMs = Date.now();
        const id = await scene.rig.startup(target.url);
        try {
          const { atMs } = await scene.rig.reached(id, state, STATE_TIMEOUT_MS);
          samples.push({ noticedMs: atMs - startMs, exitClass: firstEnd(scene.rig, id) });
        } finally {
          if (state !== 'FAILED') await scene.rig.terminate(id);
          await target.close();
        }
      }
      return samples;
    },
  };
}

/** Another publisher has the name, and gives it up after 20 s. */
export const nameTaken: FaultCase = {
  name: 'name taken for 20 s',
  async measure({ rig }) {
    const url = `${rig.nginx.url('live')}/taken`;
    const input = ['-re', '-f', 'lavfi', '-i', 'anullsrc=r=48000', '-c:a', 'aac', '-f', 'flv'];
    const holder = spawn('ffmpeg', ['-v', 'error', '-nostdin', ...input, url], { stdio: 'ignore' });
    const gone = once(holder, 'exit');
    try {
      const isHeld = () =>
        rig.nginx.calls.some(({ call, name }) => call === 'publish' && name === 'taken') || undefined;
      await waitUntil(isHeld, ACTIVE_TIMEOUT_MS, () => 'the other publisher');
      const startMs = Date.now();
      const id = await rig.startup(url, FULL_URL);
      try {
        const noticedMs = (await rig.reached(id, 'BACKOFF', STATE_TIMEOUT_MS)).atMs - startMs;
        await delay(startMs + BUSY_MS - Date.now());
        const freeMs = Date.now();
        holder.kill('SIGKILL');
        return [{ noticedMs, backMs: await activeAfter(rig, id, freeMs), exitClass: firstEnd(rig, id) }];
      } finally {
        await rig.terminate(id);
      }
    } finally {
      holder.kill('SIGKILL');
      await gone;
    }
  },
};

/** How often a destination that resets each connection after 3 s is published to in that time. */
export async function countPublications({ rig }: FaultScene, durationMs: number): Promise<number> {
  const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort, lifetimeMs: DROP_AFTER_MS });
  try {
    const id = await rig.startup(`rtmp://127.0.0.1:${relay.port}/live/dropped`, FULL_URL);
    try {
      await delay(durationMs);
      return rig.nginx.calls.filter(({ call, name }) => call === 'publish' && name === 'dropped').length;
    } finally {
      await rig.terminate(id);
    }
  } finally {
    await relay.close();
  }
}

async function throughRelays(
  { rig }: FaultScene,
  pushes: number,
  live: (relay: TcpRelay, id: string) => Promise<FaultSample>,
): Promise<FaultSample[]> {
  const one = async (n: number): Promise<FaultSample> => {
    const relay = await startTcpRelay({ destinationPort: rig.nginx.rtmpPort });
    try {
      const id = await rig.startup(`rtmp://127.0.0.1:${relay.port}/live/relayed${n}`, FULL_URL);
      try {
        await rig.reached(id, 'ACTIVE', ACTIVE_TIMEOUT_MS);
        await delay(n * STAGGER_MS);
        return await live(relay, id);
      } finally {
        await rig.terminate(id);
      }
    } finally {
      await relay.close();
    }
  };
  return Promise.all(Array.from({ length: pushes }, (_, n) => one(n)));
}

async function activeAfter(rig: FaultRig, id: string, sinceMs: number): Promise<number> {
  return (await rig.reached(id, 'ACTIVE', STATE_TIMEOUT_MS, sinceMs)).atMs - sinceMs;
}

function firstEnd(rig: FaultRig, id: string): string {
  return rig.endedRuns(id)[0]?.exitClass ?? '(none)';
}
