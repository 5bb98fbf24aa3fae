/**
 * Faults of destinations and of pushes' own processes: how soon a push says that it fails, which is the longest that it says ACTIVE with
 * nothing flowing; how soon it is ACTIVE again after the destination's return; and what nine healthy pushes of the same stream notice. The real application, nginx-rtmp and a WebRTC publisher.
 * `npm run bench:faults [-- --only 'frozen|back']`; destinations behind a network of their own need the right to make namespaces.
 */
import { parseArgs } from 'node:util';
import { startFaultRig } from '../../test/support/fault-rig.ts';
import { createLossyNetwork, whyNoNamespaces } from '../../test/support/netns.ts';
import { startNginxRtmp } from '../../test/support/nginx-rtmp.ts';
import { startPasswordDestination, startSelfSignedDestination } from '../../test/support/refusing-destinations.ts';
import { startTcpRelay } from '../../test/support/tcp-relay.ts';
import {
  away,
  countPublications,
  killed,
  nameTaken,
  ownProcess,
  reset,
  stall,
  verdict,
  type FaultCase,
} from './support/fault-cases.ts';
import { printTable, rounded, spreadOf, type Spread } from './support/statistics.ts';

const RUNS = 5;
const SLOW_RUNS = 3;
const HALF_RATE_BPS = 450_000;
const RECEIVE_BUFFER_BYTES = 65_536;
const DROPPING_MS = 60_000;
/** Of RFC 2544, to which the addresses of the network belong. */
const BENCH_NETWORK = '198.18.0.0/15';

const CASES: readonly FaultCase[] = [
  reset(RUNS),
  killed(RUNS),
  away(1, RUNS),
  away(5, RUNS),
  away(9, RUNS),
  away(10, RUNS),
  away(60, SLOW_RUNS),
  stall('frozen', SLOW_RUNS, 'STOPPING', ({ nginx }, isOn) => nginx.kill(isOn ? 'SIGSTOP' : 'SIGCONT')),
  stall('black hole', SLOW_RUNS, 'STOPPING', ({ network }, isOn) => network.setBlackHole(isOn)),
  stall('half speed', 1, 'DEGRADED', ({ network }, isOn) => network.setRateToClients(isOn ? HALF_RATE_BPS : undefined)),
  ownProcess('SIGKILL', 'BACKOFF', RUNS),
  ownProcess('SIGSEGV', 'BACKOFF', RUNS),
  ownProcess('SIGSTOP', 'STOPPING', 1),
  nameTaken,
  verdict('refused', 'BACKOFF', RUNS, async () => {
    const relay = await startTcpRelay({ destinationPort: undefined });
    await relay.shut();
    return { url: `rtmp://127.0.0.1:${relay.port}/live`, close: relay.close };
  }),
  verdict('unknown application', 'FAILED', RUNS, async ({ rig }) => ({
    url: rig.nginx.url('nowhere'),
    close: async () => {},
  })),
  verdict('wrong password', 'FAILED', RUNS, startPasswordDestination),
  verdict('unknown certificate', 'FAILED', RUNS, startSelfSignedDestination),
  verdict('accepted, then silent', 'BACKOFF', 1, async () => {
    const relay = await startTcpRelay({ destinationPort: undefined });
    return { url: `rtmp://127.0.0.1:${relay.port}/live`, close: relay.close };
  }),
  verdict('SYN black hole', 'BACKOFF', 1, async ({ far }) => {
    if (!far) return undefined;
    await far.network.setBlackHole(true);
    return { url: far.nginx.url('live'), close: () => far.network.setBlackHole(false) };
  }),
];

interface Line {
  readonly fault: string;
  readonly exitClass: string;
  readonly noticedMs: Spread;
  readonly backMs: Spread | undefined;
  readonly othersMaxGapMs: number;
}

function shown(spread: Spread | undefined): string {
  return spread ? `${spread.median} / ${spread.max}` : '-';
}

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const wanted = new RegExp(values.only);
const closers: (() => Promise<unknown>)[] = [];
try {
  const refusal = await whyNoNamespaces();
  if (refusal !== undefined) console.log(`Without frozen, black-holed and slow destinations: ${refusal}`);
  const network = refusal === undefined ? await createLossyNetwork() : undefined;
  if (network) {
    closers.push(() => network.close());
    // What a kernel takes for a frozen program looks like a destination that reads.
    await network.setReceiveBuffers(RECEIVE_BUFFER_BYTES);
  }
  const rig = await startFaultRig({ outbound_allow: BENCH_NETWORK, log_level: 'warn' });
  closers.push(() => rig.close());
  const nginx =
    network &&
    (await startNginxRtmp({
      network: {
        address: network.clientAddress,
        hostAddress: network.hostAddress,
        program: await network.launcher('/usr/sbin/nginx'),
      },
    }));
  if (nginx) closers.push(() => nginx.stop());
  const scene = { rig, far: network && nginx && { network, nginx } };

  const lines: Line[] = [];
  for (const { name, measure } of CASES) {
    if (!wanted.test(name)) continue;
    const samples = await measure(scene);
    const { maxVideoGapMs, maxAudioGapMs } = await rig.bystanders();
    if (samples.length === 0) continue;
    const back = samples.flatMap(({ backMs }) => backMs ?? []);
    const line: Line = {
      fault: name,
      exitClass: [...new Set(samples.map(({ exitClass }) => exitClass))].join(' '),
      noticedMs: rounded(spreadOf(samples.map(({ noticedMs }) => noticedMs)), 0),
      backMs: back.length > 0 ? rounded(spreadOf(back), 0) : undefined,
      othersMaxGapMs: Math.max(maxVideoGapMs, maxAudioGapMs),
    };
    lines.push(line);
    console.log(`${name}: noticed ${shown(line.noticedMs)} ms, back ${shown(line.backMs)} ms`);
  }
  const dropped = wanted.test('dropped every 3 s') ? await countPublications(scene, DROPPING_MS) : undefined;
  const { maxVideoGapMs, maxAudioGapMs } = await rig.bystanders();

  console.log();
  printTable(
    ['fault', 'exit class', 'noticed p50 / max ms', 'back p50 / max ms', 'others: largest gap ms'],
    lines.map((line) => [
      line.fault,
      line.exitClass,
      shown(line.noticedMs),
      shown(line.backMs),
      String(line.othersMaxGapMs),
    ]),
  );
  if (dropped !== undefined) {
    const gapMs = Math.max(maxVideoGapMs, maxAudioGapMs);
    console.log(`\naccepted, then dropped after 3 s: ${dropped} publications in 60 s, others' largest gap ${gapMs} ms`);
  }
  console.log(JSON.stringify({ bench: 'faults', lines, droppedPublications: dropped }));
} finally {
  for (const close of closers.toReversed()) await close();
}
// A peer connection of werift may leave timers behind.
process.exit();
