import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSpaceStatistics, queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LiveStream } from '../../src/hub/live-stream.ts';
import { DtlsSession } from '../../src/webrtc/dtls-session.ts';
import { PeerSession } from '../../src/webrtc/peer-session.ts';
import { PlayerSession } from '../../src/webrtc/session/player-session.ts';
import { PublisherSession } from '../../src/webrtc/session/publisher-session.ts';
import { startTestApp } from '../support/test-app.ts';

/** The real application in a process of its own; says over IPC what that process holds whenever it is asked "measure". */

const WATCHED = { PublisherSession, PlayerSession, PeerSession, DtlsSession, LiveStream };

/** What the process holds. Memory is what is reachable: garbage has been collected. */
export interface Measurement {
  /** Without the spaces of compiled code, which grow as functions become hot. */
  readonly heapBytes: number;
  /** Buffers and WebAssembly memory. */
  readonly outsideBytes: number;
  /** By kind: live handles of the event loop, open files, children, and objects of the media plane. */
  readonly held: Readonly<Record<string, number>>;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function measure(): Promise<Measurement> {
  // Finalisers of one collection let go of what the next one frees.
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await sleep(10);
  }
  const held: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) held[kind] = (held[kind] ?? 0) + 1;
  held['open files'] = (await readdir('/proc/self/fd')).length;
  const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8');
  held['child processes'] = children.split(' ').filter(Boolean).length;
  for (const [name, type] of Object.entries(WATCHED)) held[name] = queryObjects(type, { format: 'count' });
  const objectSpaces = getHeapSpaceStatistics().filter(({ space_name }) => !/code|trusted/.test(space_name));
  const heapBytes = objectSpaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
  return { heapBytes, outsideBytes: process.memoryUsage().external, held };
}

const app = await startTestApp({ log_level: 'warn' });
process.on('message', (command) => {
  if (command === 'measure') void measure().then((measurement) => process.send?.(measurement));
});
process.on('disconnect', () => void app.close('the test is over'));
process.send?.({ wsUrl: app.wsUrl, restUrl: `http://127.0.0.1:${app.ports['http.port']}` });
