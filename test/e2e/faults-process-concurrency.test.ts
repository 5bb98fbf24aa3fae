import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Audience } from '../../scripts/bench/support/audience.ts';
import type { FanoutTarget } from '../../scripts/bench/support/fanout-target.ts';
import { startManyPushes } from '../../scripts/bench/support/many-pushes.ts';
import type { TimedPosts } from '../children/timed-posts.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { publishTestStream } from '../support/signalled-client.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIMED_POSTS = fileURLToPath(new URL('../children/timed-posts.ts', import.meta.url));
const STREAM = 'cam';
const SAME = 100;
const ROWS = 1000;
const VIEWERS = 20;
/** There are as many rounds as it takes to have called often enough. */
const ROUND_MS = 8000;
/** Between two calls: more than fifty a second, and the machine is not only asked for lists. */
const PAUSE_MS = 10;
const MIN_CALLS = 200;
const DRAIN_TIMEOUT_MS = 10_000;

const closers: (() => Promise<unknown>)[] = [];
let server: ServerProcess;
let published: FanoutTarget;

beforeAll(async () => {
  server = await startServerProcess({ settings: { ip: '127.0.0.1' } });
  closers.push(() => server[Symbol.asyncDispose]());
  published = await publishTestStream(server, STREAM);
  closers.push(() => published.close());
});
afterAll(async () => {
  for (const close of closers.toReversed()) await close();
});

async function post(path: string, body: object): Promise<{ status: number; bytes: Uint8Array }> {
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/rest-api${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
}

const parsed = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString());

it(`lets exactly one of ${SAME} identical startups through, and answers the others with 409`, async () => {
  const destination = await startRtmpDestination();
  closers.push(() => destination.stop());
  const request = { streamName: STREAM, rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live`, waitForStream: true };
  const answers = await Promise.all(Array.from({ length: SAME }, () => post('/push/startup', request)));
  const statuses = answers.map(({ status }) => status).toSorted();
  expect(statuses).toEqual([200, ...Array.from({ length: SAME - 1 }, () => 409)]);
  const winner = parsed(answers.find(({ status }) => status === 200)!.bytes) as { mediaSessionId: string };
  expect(parsed((await post('/push/find_all', {})).bytes)).toEqual([expect.objectContaining(winner)]);
  expect(await post('/push/terminate', { mediaSessionId: winner.mediaSessionId })).toMatchObject({ status: 200 });
});

it(`lists ${ROWS} pushes while ${VIEWERS} viewers get every packet`, async () => {
  await startManyPushes(server.ports['http.port']!, ROWS);
  const audience = new Audience(published);
  closers.push(async () => audience.close());
  await audience.growTo(VIEWERS);

  audience.beginCounting();
  const droppedBefore = droppedPackets();
  const url = `http://127.0.0.1:${server.ports['http.port']}/rest-api/push/find_all`;
  const lists = async (): Promise<TimedPosts> => {
    const caller = await execa(process.execPath, [TIMED_POSTS, url, String(ROUND_MS), String(PAUSE_MS)]);
    return JSON.parse(caller.stdout) as TimedPosts;
  };
  let sent = 0;
  let calls = 0;
  while (calls < MIN_CALLS) {
    const [packets, { latenciesMs, fewestElements }] = await Promise.all([published.stream.run(ROUND_MS), lists()]);
    sent += packets;
    calls += latenciesMs.length;
    expect(fewestElements).toBe(ROWS);
  }
  // What the kernel has given up because this process, all viewers in one, did not take it in time is none of the server's losses.
  const lost = () => droppedPackets() - droppedBefore;
  await waitUntil(
    () => (audience.count.total + lost() >= VIEWERS * sent ? true : undefined),
    DRAIN_TIMEOUT_MS,
    () => `${sent} packets for every viewer, got ${JSON.stringify(audience.count)} and lost ${lost()}`,
  );
  const all = from(sent - lost(), sent);
  expect(audience.count).toMatchObject({ fewest: all, most: all, genuine: all });
});

/** Of the UDP sockets of this process. */
function droppedPackets(): number {
  const own = new Set(readdirSync('/proc/self/fd').flatMap(socketInode));
  const [, ...sockets] = readFileSync('/proc/net/udp', 'latin1').trim().split('\n');
  return sockets
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => own.has(fields[9]!))
    .reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

function socketInode(fd: string): string[] {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.slice(1) ?? [];
  } catch {
    // Closed meanwhile.
    return [];
  }
}

function from(least: number, most: number): unknown {
  return expect.toSatisfy((count: number) => count >= least && count <= most, `from ${least} to ${most}`) as unknown;
}
