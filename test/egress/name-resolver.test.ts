import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createNameResolver } from '../../src/egress/name-resolver.ts';

const A = 1;
/** The system asks name servers of its own, each several times. */
const ASKS_SYSTEM = { timeout: 120_000 };

/**
 * A name server that knows `known.test`, of `half.test` only the IPv4 address, of `broken.test` that it cannot tell, of other names
 * that they do not exist, and of `silent.test` not a word.
 */
async function nameServer() {
  const questions: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, { port, address }) => {
    const { name, type, end } = questionOf(question);
    questions.push(name);
    if (name.endsWith('silent.test')) return;
    if (name === 'half.test' && type !== A) return;
    const isKnown = name === 'known.test' || name === 'half.test';
    const hasAnswer = isKnown && type === A;
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(isKnown ? 0x8180 : name === 'broken.test' ? 0x8182 : 0x8183, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(hasAnswer ? 1 : 0, 6);
    head.fill(0, 8);
    const record = Buffer.from([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    const parts = [head, question.subarray(12, end), ...(hasAnswer ? [record] : [])];
    socket.send(Buffer.concat(parts), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  const address = `127.0.0.1:${(socket.address() as AddressInfo).port}`;
  return { questions, servers: () => [address] };
}

function questionOf(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

it('asks the name server, and for what it does not know the system', ASKS_SYSTEM, async () => {
  const { servers, questions } = await nameServer();
  const resolve = createNameResolver({ servers });
  expect(await resolve('known.test')).toEqual([{ address: '192.0.2.7' }]);
  expect(await resolve('2130706433')).toEqual([expect.objectContaining({ address: '127.0.0.1' })]);
  await expect(resolve('unknown.test')).rejects.toMatchObject({
    code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
  });
  expect(new Set(questions)).toEqual(new Set(['known.test', '2130706433', 'unknown.test']));
});

it('does not wait for IPv6 addresses of which the name server says nothing, once there are others', async () => {
  const { servers } = await nameServer();
  const resolve = createNameResolver({ servers });
  const silence = resolve('silent.test').catch(() => 'silence');
  const known = resolve('half.test');
  expect(await Promise.race([silence, known])).toEqual([{ address: '192.0.2.7' }]);
  await silence;
});

it('asks the name servers of the moment', async () => {
  const [first, second] = [await nameServer(), await nameServer()];
  let now = first;
  const resolve = createNameResolver({ servers: () => now.servers() });
  await resolve('known.test');
  now = second;
  await resolve('known.test');
  expect([first, second].map(({ questions }) => new Set(questions))).toEqual([
    new Set(['known.test']),
    new Set(['known.test']),
  ]);
});

it('does not look up elsewhere what a name server cannot tell', async () => {
  const { servers } = await nameServer();
  await expect(createNameResolver({ servers })('broken.test')).rejects.toMatchObject({ code: 'ESERVFAIL' });
});

it('lets only so many names wait for the system', ASKS_SYSTEM, async () => {
  const { servers } = await nameServer();
  const resolve = createNameResolver({ servers });
  const ends = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => resolve(`${n}.unknown.test`)));
  const codes = ends.map((end) =>
    end.status === 'rejected' ? (end.reason as NodeJS.ErrnoException).message : 'found',
  );
  expect(codes.filter((message) => message.startsWith('too many names')).length).toBeGreaterThan(0);
  expect(await resolve('2130706433')).toEqual([expect.objectContaining({ address: '127.0.0.1' })]);
});

it('believes the hosts file first, and takes addresses for themselves', async () => {
  const { servers, questions } = await nameServer();
  const directory = await mkdtemp(join(tmpdir(), 'transponder-hosts-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const hostsPath = join(directory, 'hosts');
  await writeFile(hostsPath, '# known.test\n192.0.2.1 other\tKNOWN.test # here\n::5 known.test\nnonsense known.test\n');
  const resolve = createNameResolver({ servers, hostsPath });
  expect(await resolve('known.TEST')).toEqual([{ address: '192.0.2.1' }, { address: '::5' }]);
  expect(await resolve('2001:db8::1')).toEqual([{ address: '2001:db8::1' }]);
  expect(questions).toEqual([]);
});

it(
  'holds up nobody else while a name server is silent about a hundred names, and gives up',
  { timeout: 30_000 },
  async () => {
    const { servers, questions } = await nameServer();
    const resolve = createNameResolver({ servers });
    let settled = 0;
    const silent = Array.from({ length: 100 }, (_, n) => resolve(`${n}.silent.test`).finally(() => settled++));
    const ends = Promise.allSettled(silent);
    await expect.poll(() => new Set(questions).size, { timeout: 10_000 }).toBe(100);
    expect((await lookup('localhost')).address).toMatch(/^(127\.|::1)/);
    expect(await resolve('known.test')).toEqual([{ address: '192.0.2.7' }]);
    expect(settled).toBe(0);
    for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'ETIMEOUT' } });
  },
);
