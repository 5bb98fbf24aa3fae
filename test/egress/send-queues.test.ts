import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { SendQueues } from '../../src/egress/send-queues.ts';
import { parseSendQueues, tcpTableKey } from '../../src/egress/tcp-table.ts';
import { ManualClock } from '../support/manual-clock.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Both ends of a real connection; the far one reads nothing. */
async function connection(host: string): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, host);
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, host);
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  cleanups.push(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const ends = (local: string, remote: string) =>
  ({ localAddress: local, localPort: 80, remoteAddress: remote, remotePort: 65_535 }) as Socket;

describe('the kernel’s table of connections', () => {
  it('gives the bytes that wait in each connection by its two ends', () => {
    const row = (key: string, queue: string) =>
      `   7: ${key} 01 ${queue}:0000FFFF 00:00000000 00000000     0        0 616`;
    const v4 = '0100007F:0050 0200000A:FFFF';
    const v6 = '00000000000000000000000001000000:0050 B80D0120000000000000000000000100:FFFF';
    const mapped = '0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200000A:FFFF';
    const queues = parseSendQueues(`${HEAD}${row(v4, '0000010A')}\n${HEAD}${row(v6, '00000000')}\n${row(mapped, '1')}`);
    expect([...queues]).toEqual([
      [v4, 266],
      [v6, 0],
    ]);
    expect(tcpTableKey(ends('127.0.0.1', '10.0.0.2'))).toBe(v4);
    expect(tcpTableKey(ends('::1', '2001:db8::1:0%eth0'))).toBe(
      '00000000000000000000000001000000:0050 B80D0120000000000000000000000100:FFFF',
    );
    expect(tcpTableKey(ends('::ffff:127.0.0.1', '::ffff:10.0.0.2'))).toBe(mapped);
    expect(tcpTableKey({} as Socket)).toBeUndefined();
  });
});

describe('what the peers of sockets have taken', () => {
  it.each(['127.0.0.1', '::1'])(
    'is seen to stop on %s when the peer reads nothing, and to go on when it reads',
    async (host) => {
      const { near, far } = await connection(host);
      const chunk = Buffer.alloc(1 << 20);
      let written = 0;
      const queues = new SendQueues(systemClock);
      const watched = queues.watch(near, () => written - near.writableLength);
      cleanups.push(() => watched.close());
      while (near.write(chunk)) written += chunk.length;
      written += chunk.length;
      await expect.poll(() => watched.unacceptedBytes).toBeGreaterThan(100_000);
      const { acceptedBytes } = watched;
      expect(acceptedBytes).toBeLessThan(written);
      far.resume();
      await expect.poll(() => watched).toMatchObject({ acceptedBytes: written, unacceptedBytes: 0 });
    },
  );

  it('is looked up for all sockets together twice a second, and quickly only until the first bytes arrive', async () => {
    const clock = new ManualClock();
    let looks = 0;
    let tables = '';
    const queues = new SendQueues(clock, async () => {
      looks++;
      return tables;
    });
    const pass = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 50) {
        clock.advance(50);
        await turn();
      }
    };
    const socket = ends('127.0.0.1', '10.0.0.2');
    tables = `   0: ${tcpTableKey(socket)} 01 00000064:00000000 `;
    let written = 0;
    const first = queues.watch(socket, () => written);
    const second = queues.watch(ends('127.0.0.1', '10.0.0.3'), () => 7);
    await pass(1000);
    expect(looks).toBe(2);
    expect(second.acceptedBytes).toBe(7);
    written = 100;
    await pass(500);
    expect([looks, first.acceptedBytes, first.unacceptedBytes]).toEqual([12, 0, 100]);
    written = 150;
    await pass(50);
    expect([looks, first.acceptedBytes]).toEqual([13, 50]);
    await pass(10_000);
    expect(looks).toBe(33);
    tables = tables.replace('00000064', '0000FFFF');
    await pass(1000);
    expect([first.acceptedBytes, first.unacceptedBytes]).toEqual([50, 65_535]);
    first.close();
    second.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts what the kernel has taken where there is no table', async () => {
    const clock = new ManualClock();
    const queues = new SendQueues(clock, async () => '');
    const watched = queues.watch(ends('127.0.0.1', '10.0.0.2'), () => 12);
    clock.advance(1000);
    await expect.poll(() => watched).toMatchObject({ acceptedBytes: 12, unacceptedBytes: 0 });
    watched.close();
  });
});
