/**
 * WebRTC fan-out: CPU per forwarded packet and viewers per core, next to Janus in the same run.
 *
 * All servers are up with all their viewers for the whole comparison; the stream is given to one after the other, round by
 * round, so that what else the machine does meets all of them. The load is this process; only the server's CPU is counted.
 */
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Audience } from './support/audience.ts';
import type { FanoutTarget } from './support/fanout-target.ts';
import { isJanusInstalled, startJanus } from './support/janus-server.ts';
import { startOurServer } from './support/our-server.ts';
import { cpuUsedUs, memoryUse } from './support/process-usage.ts';
import { printTable, rounded, spreadOf } from './support/statistics.ts';
import { AUDIO_PACKETS_PER_SECOND, VIDEO_PACKETS_PER_SECOND } from './support/test-stream.ts';

const { values: options } = parseArgs({
  options: {
    viewers: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    /** Sizes of the search for what one core carries; an empty list leaves it out. */
    search: { type: 'string', default: '300,400,450,500,550,600,650' },
    janus: { type: 'boolean', default: true },
    /** Another checkout of this project to compare with. */
    baseline: { type: 'string' },
    /** A directory for a CPU profile of our server. */
    profile: { type: 'string' },
  },
  allowNegative: true,
});
const viewers = Number(options.viewers);
const rounds = Number(options.rounds);
const runMs = Number(options.seconds) * 1000;
const searchSizes = options.search.split(',').filter(Boolean).map(Number);
const PACKETS_PER_SECOND = VIDEO_PACKETS_PER_SECOND + AUDIO_PACKETS_PER_SECOND;
/** What is still on its way when the publisher stops. */
const DRAIN_TIMEOUT_MS = 1000;
const SETTLE_MS = 300;
const OURS = 'transponder';

interface Measured {
  readonly usPerPacket: number;
  /** Part of one core. */
  readonly load: number;
  /** The same of this process, which plays the publisher and all viewers: near 1 it is the limit, not the server. */
  readonly generatorLoad: number;
  readonly sent: number;
  readonly received: number;
  /** Every viewer has got every packet once, and the witness could read all of them. */
  readonly isComplete: boolean;
}

interface Contestant {
  readonly target: FanoutTarget;
  readonly audience: Audience;
  readonly results: Measured[];
}

async function measure(target: FanoutTarget, audience: Audience): Promise<Measured> {
  await delay(SETTLE_MS);
  audience.beginCounting();
  const startMs = performance.now();
  const cpuBefore = await cpuUsedUs(target.pid);
  const generatorBefore = process.cpuUsage();
  const sent = await target.stream.run(runMs);
  const deadlineMs = performance.now() + DRAIN_TIMEOUT_MS;
  while (audience.count.fewest < sent && performance.now() < deadlineMs) await delay(5);
  const cpuUs = (await cpuUsedUs(target.pid)) - cpuBefore;
  const generator = process.cpuUsage(generatorBefore);
  const elapsedUs = (performance.now() - startMs) * 1000;
  const { total, fewest, most, genuine } = audience.count;
  return {
    usPerPacket: cpuUs / total,
    load: cpuUs / elapsedUs,
    generatorLoad: (generator.user + generator.system) / elapsedUs,
    sent: sent * audience.size,
    received: total,
    isComplete: fewest === sent && most === sent && genuine === sent,
  };
}

/** Janus gives no candidates on the loopback interface; packets to an address of our own stay in the kernel all the same. */
function localAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

const address = localAddress();
const contestants: Contestant[] = [];
const join = (target: FanoutTarget): void => {
  contestants.push({ target, audience: new Audience(target), results: [] });
};

async function compare(): Promise<void> {
  const execArgv = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : [];
  join(await startOurServer({ name: OURS, address, execArgv }));
  if (options.baseline) join(await startOurServer({ name: 'baseline', address, checkout: options.baseline }));
  if (options.janus && !isJanusInstalled()) {
    console.log(
      'Janus is not installed (Debian: apt-get install --no-install-recommends janus); measuring ours alone.\n',
    );
  } else if (options.janus) {
    join(await startJanus({ name: 'janus default', address, eventLoops: undefined }));
    join(await startJanus({ name: 'janus event_loops=2', address, eventLoops: 2 }));
  }
  for (const { audience } of contestants) await audience.growTo(viewers);
  for (let round = 0; round < rounds; round++) {
    for (const { target, audience, results } of contestants) results.push(await measure(target, audience));
  }
}

async function report() {
  const ourMedian = spreadOf(contestants[0]!.results.map(({ usPerPacket }) => usPerPacket)).median;
  const rows = await Promise.all(
    contestants.map(async ({ target, audience, results }) => {
      const usPerPacket = rounded(spreadOf(results.map((result) => result.usPerPacket)));
      const load = rounded(spreadOf(results.map((result) => result.load)), 3);
      return {
        server: target.name,
        usPerPacket,
        load,
        /** Below 1: we need less CPU. */
        oursToThis: Number((ourMedian / usPerPacket.median).toFixed(2)),
        viewersPerCore: Math.floor(1e6 / (usPerPacket.median * PACKETS_PER_SECOND)),
        rssMb: Math.round((await memoryUse(target.pid)).rssBytes / 1e6),
        profile: audience.profile,
        completeRounds: results.filter(({ isComplete }) => isComplete).length,
      };
    }),
  );
  console.log(
    `${viewers} viewers, ${PACKETS_PER_SECOND} packets/s each, ${rounds} rounds of ${runMs / 1000} s on ${address}`,
  );
  printTable(
    ['server', 'µs/packet', 'min', 'max', 'ours/this', 'core', 'viewers/core*', 'RSS MB', 'complete', 'SRTP'],
    rows.map((row) => [
      row.server,
      row.usPerPacket.median.toFixed(2),
      row.usPerPacket.min.toFixed(2),
      row.usPerPacket.max.toFixed(2),
      row.oursToThis.toFixed(2),
      percent(row.load.median),
      String(row.viewersPerCore),
      String(row.rssMb),
      `${row.completeRounds}/${rounds}`,
      row.profile,
    ]),
  );
  console.log('* at the cost measured here; what one core really carried is below\n');
  return rows;
}

interface SearchStep {
  readonly viewers: number;
  readonly load: number;
  readonly generatorLoad: number;
  readonly usPerPacket: number;
  readonly isComplete: boolean;
}

/** Grows our audience until packets are missing. */
async function search(): Promise<SearchStep[]> {
  const { target, audience } = contestants[0]!;
  const steps: SearchStep[] = [];
  for (const size of searchSizes) {
    await audience.growTo(size);
    let measured = await measure(target, audience);
    // The load generator shares the machine; a size counts as failed when it fails twice.
    if (!measured.isComplete) measured = await measure(target, audience);
    const { isComplete, sent, received } = measured;
    const [load, generatorLoad, usPerPacket] = [measured.load, measured.generatorLoad, measured.usPerPacket].map(
      (value) => Number(value.toFixed(2)),
    ) as [number, number, number];
    steps.push({ viewers: size, load, generatorLoad, usPerPacket, isComplete });
    const dropped = (await target.sendsDropped()) ?? 0;
    console.log(
      `${size} viewers: ${percent(load)} of a core (load generator ${percent(generatorLoad)}), ${usPerPacket} µs/packet, ` +
        (isComplete
          ? 'every packet delivered'
          : `${sent - received} of ${sent} packets missing (${dropped} not sent by the server for want of room)`),
    );
    if (!isComplete) break;
  }
  return steps;
}

const percent = (part: number): string => `${(part * 100).toFixed(0)} %`;

try {
  await compare();
  const rows = await report();
  for (const { target, audience } of contestants.splice(1)) {
    audience.close();
    await target.close();
  }
  const steps = await search();
  const carried = steps.findLast(({ isComplete }) => isComplete);
  if (carried) console.log(`\nOne core carried ${carried.viewers} viewers.`);
  console.log(
    JSON.stringify({ bench: 'fanout', viewers, packetsPerSecond: PACKETS_PER_SECOND, servers: rows, search: steps }),
  );
} finally {
  for (const { target, audience } of contestants) {
    audience.close();
    await target.close();
  }
}
