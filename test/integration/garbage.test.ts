import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { untilClosed } from '../support/until-closed.ts';

const DATAGRAMS = 300;
const MAX_DATAGRAM_BYTES = 1400;

let server: ServerProcess;

beforeAll(async () => {
  server = await startServerProcess();
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

async function isHealthy(): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/health/ready`);
  return response.status === 200 && server.isRunning();
}

/** Sends, then hangs up rudely (in clear with a reset); waits until the connection is gone, whoever ended it. */
async function throwAt(socket: Socket, ready: 'connect' | 'secureConnect', bytes: Buffer): Promise<void> {
  socket.on('error', () => {});
  await once(socket, ready);
  const closed = untilClosed(socket);
  socket.write(bytes, () => (ready === 'connect' ? socket.resetAndDestroy() : socket.destroy()));
  await closed;
}

const GARBAGE: [string, Buffer][] = [
  ['random bytes', randomBytes(64 * 1024)],
  ['zeros', Buffer.alloc(64 * 1024)],
  ['a broken HTTP request', Buffer.from('GET / HTTP/9.9\r\nContent-Length: -1\r\nTransfer-Encoding: nonsense\r\n\r\n')],
  ['endless headers', Buffer.from(`GET / HTTP/1.1\r\n${'x-a: b\r\n'.repeat(20_000)}`)],
  [
    'a broken WebSocket upgrade',
    Buffer.from(
      'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n',
    ),
  ],
  [
    'frames that break RFC 6455 behind a good upgrade',
    Buffer.concat([
      Buffer.from(
        `GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      ),
      randomBytes(4096),
    ]),
  ],
  ['a TLS record of the wrong kind', Buffer.concat([Buffer.from([22, 3, 1, 255, 255]), randomBytes(2048)])],
];

it.each(GARBAGE)('%s on every TCP port, in clear and inside TLS, end only their own connection', async (_, bytes) => {
  for (const port of Object.values(server.ports)) await throwAt(connectTcp(port, '127.0.0.1'), 'connect', bytes);
  for (const key of ['wss.port', 'https.port'] as const) {
    const socket = connectTls({ port: server.ports[key]!, host: '127.0.0.1', rejectUnauthorized: false });
    await throwAt(socket, 'secureConnect', bytes);
  }
  expect(await isHealthy()).toBe(true);
});

it('datagrams of every kind on the media port do not end the process', async () => {
  const socket = createSocket('udp4');
  socket.connect(server.ports['media']!, '127.0.0.1');
  await once(socket, 'connect');
  for (let index = 0; index < DATAGRAMS; index++) {
    const packet = randomBytes(1 + Math.floor((index * MAX_DATAGRAM_BYTES) / DATAGRAMS));
    // The first byte tells STUN, DTLS, RTP and the rest apart (RFC 7983): every value comes at least once.
    packet[0] = index;
    socket.send(packet);
  }
  socket.send(Buffer.alloc(0));
  // The same socket sends a binding request without credentials last: its datagrams are taken in order.
  const stun = Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), randomBytes(12)]);
  await new Promise((resolve) => socket.send(stun, resolve));
  socket.close();
  expect(await isHealthy()).toBe(true);
});

it('messages that no client sends leave a session usable', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.ports['ws.port']}`);
  await once(socket, 'open');
  const say = (text: string) => socket.send(text);
  say('{"message":"connection","data":[{"appKey":"defaultApp","mediaProviders":["WebRTC"]}]}');
  await once(socket, 'message');
  // Several frames may come in one read.
  const frames = on(socket, 'message') as AsyncIterableIterator<[Buffer]>;
  for (const text of ['', 'null', '[]', '{', '{"message":7}', '{"message":"publishStream","data":[]}', '\u0000'])
    say(text);
  say(JSON.stringify({ message: 'publishStream', data: [{ mediaSessionId: 'a', name: 'a', sdp: 'v=0\r\nnonsense' }] }));
  say(JSON.stringify({ message: 'playStream', data: [{ mediaSessionId: {}, name: [], sdp: 5 }] }));
  socket.send(randomBytes(1000), { binary: true });
  say('{"message":"availableStream","data":[{"mediaSessionId":"last","name":"none"}]}');
  for await (const [frame] of frames) if (String(frame).includes('"availableStream"')) break;
  socket.terminate();
  expect(await isHealthy()).toBe(true);
});
