import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { amfObject } from '../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../src/protocol/amf0/values.ts';
import { MESSAGE_TYPE } from '../../src/protocol/rtmp/raw-message.ts';
import { publishLooping, recordNoise, type LoopingEncoder } from '../support/looping-encoder.ts';
import { connectObject, RtmpTestClient } from '../support/rtmp-client.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { waitUntil } from '../support/wait-until.ts';

/** The limit for a client that does not get on is 10 s; the rest is for a busy machine. */
const CUT_MS = 20_000;
/** What all attacks together may cost the process. A connection may hold 20 MB of unfinished messages for 10 s. */
const MAX_GROWTH_BYTES = 200 << 20;
/** A ping after 30 s, and 30 s for its answer, where it is not found to be too slow before. */
const DEAF_MS = 90_000;
const FRAME_MS = 40;
const HANDSHAKE_BYTES = 1537;

let server: ServerProcess;
let port: number;
let encoder: LoopingEncoder;
let bystander: RtmpTestClient;
let startRssBytes: number;
/** It plays, and reads nothing any more. */
let deafPlayer: RtmpTestClient;

beforeAll(async () => {
  const recording = await recordNoise(8);
  server = await startServerProcess();
  port = server.ports['rtmp.port']!;
  encoder = await publishLooping(port, 'bystander', recording);
  bystander = await playing('bystander');
  await bystander.until(() => bystander.count('video') > 25, 'pictures');
  startRssBytes = await rssBytes();
  deafPlayer = await playing('bystander');
  deafPlayer.socket.pause();
});

afterAll(async () => {
  await deafPlayer?.close();
  await bystander?.close();
  await encoder?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

/** A player of a stream that may not have begun. */
function playing(name: string): Promise<RtmpTestClient> {
  return waitUntil(
    async () => {
      const client = await RtmpTestClient.connected(port);
      client.say('play', [null, name], 1);
      const { args } = await client.command(
        ({ name: said, args: [, status] }) => said === 'onStatus' && !/Reset/.test(JSON.stringify(status)),
        'an answer to play',
      );
      if (/Play\.Start/.test(JSON.stringify(args))) return client;
      await client.close();
      return undefined;
    },
    CUT_MS,
    () => 'the stream',
  );
}

async function rssBytes(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

async function cutWithin(timeoutMs: number, socket: Socket): Promise<void> {
  let isCut = socket.destroyed;
  socket.once('close', () => (isCut = true));
  await waitUntil(
    () => isCut || undefined,
    timeoutMs,
    () => 'the connection to be cut',
  );
}

async function rawSocket(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** A chunk with a header of format 0, of any type and announced length. */
function chunk(chunkStreamId: number, typeId: number, announcedBytes: number, body: Buffer): Buffer {
  const basic =
    chunkStreamId < 64
      ? Buffer.from([chunkStreamId])
      : Buffer.from([1, (chunkStreamId - 64) & 255, (chunkStreamId - 64) >> 8]);
  const header = Buffer.alloc(11);
  header.writeUIntBE(announcedBytes, 3, 3);
  header[6] = typeId;
  header[7] = 1;
  return Buffer.concat([basic, header, body]);
}

const command = (amf: readonly number[]): Buffer => chunk(3, MESSAGE_TYPE.commandAmf0, amf.length, Buffer.from(amf));
const CONNECT_AMF = [2, 0, 7, ...Buffer.from('connect'), 0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0];
const OBJECT_IN_OBJECT = [3, 0, 1, 0x61];

/** 120 bytes are within one chunk of the size that every connection begins with. */
const BROKEN_AFTER_HANDSHAKE: [string, Buffer][] = [
  ['a strict array of 2^32-1 values', command([...CONNECT_AMF, 10, 255, 255, 255, 255])],
  ['objects nested too deep', command([...CONNECT_AMF, ...Array.from({ length: 20 }, () => OBJECT_IN_OBJECT).flat()])],
  ['a string that is longer than its message', command([...CONNECT_AMF, 2, 255, 255, 0x61])],
  ['a command without a name', command([5])],
  ['an empty command', command([])],
  ['a chunk size of 0', chunk(2, MESSAGE_TYPE.setChunkSize, 4, Buffer.alloc(4))],
  ['a chunk size of 1', chunk(2, MESSAGE_TYPE.setChunkSize, 4, Buffer.from([0, 0, 0, 1]))],
  ['a control message of one byte', chunk(2, MESSAGE_TYPE.setChunkSize, 1, Buffer.alloc(1))],
  ['a chunk stream that begins with a continuation', Buffer.from([0xc9, 0, 0])],
  ['a command of 16 MB', chunk(3, MESSAGE_TYPE.commandAmf0, 0xffffff, Buffer.alloc(128))],
  [
    'messages of 16 MB on thousands of chunk streams',
    Buffer.concat(
      Array.from({ length: 3000 }, (_, index) => chunk(64 + index, MESSAGE_TYPE.video, 0xffffff, Buffer.alloc(128))),
    ),
  ],
  ['random bytes', Buffer.concat([Buffer.from([0xff]), randomBytes(64 * 1024)])],
];

describe('a connection is cut at once', () => {
  it.each(BROKEN_AFTER_HANDSHAKE)('for %s', async (_, bytes) => {
    const client = await RtmpTestClient.open(port);
    client.socket.write(bytes);
    await cutWithin(CUT_MS / 4, client.socket);
    expect(server.isRunning()).toBe(true);
  });

  it('for HTTP and for TLS', async () => {
    const http = await rawSocket();
    http.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const tls = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    tls.on('error', () => {});
    await Promise.all([http, tls].map((socket) => cutWithin(CUT_MS / 4, socket)));
    expect(server.isRunning()).toBe(true);
  });

  it.each<[string, number, () => Promise<RtmpTestClient>]>([
    ['20 MB of messages that do not end', 8 << 20, () => RtmpTestClient.publishing(port, 'endless')],
    ['2 MB of them before it publishes', 800_000, () => RtmpTestClient.connected(port)],
  ])('for more than %s', async (_, chunkBytes, open) => {
    const client = await open();
    const body = Buffer.alloc(chunkBytes);
    client.send({ kind: 'setChunkSize', chunkSize: chunkBytes });
    for (const chunkStreamId of [4, 6, 7]) {
      client.socket.write(chunk(chunkStreamId, MESSAGE_TYPE.video, chunkBytes + 1, body));
    }
    await cutWithin(CUT_MS / 4, client.socket);
    expect(server.isRunning()).toBe(true);
  });

  it('for pings without end whose answers are not read', async () => {
    const client = await RtmpTestClient.open(port);
    client.socket.pause();
    const ping = chunk(2, MESSAGE_TYPE.userControl, 6, Buffer.from([0, 6, 0, 0, 0, 1]));
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => ping));
    const flood = setInterval(() => {
      if (client.socket.writableLength === 0) client.socket.write(pings);
    }, 1);
    await cutWithin(CUT_MS, client.socket).finally(() => clearInterval(flood));
    expect(server.isRunning()).toBe(true);
  });
});

describe('a client that does not get on is cut off after its time', () => {
  it('whether it says nothing, too little, a byte now and then, or stops behind the handshake or connect', async () => {
    const silent = await rawSocket();
    const short = await rawSocket();
    short.write(Buffer.concat([Buffer.from([3]), randomBytes(99)]));
    const slow = await rawSocket();
    let sentBytes = 0;
    const drip = setInterval(() => {
      if (slow.writable && sentBytes < HANDSHAKE_BYTES) slow.write(Buffer.from([sentBytes++ === 0 ? 3 : 0]));
    }, 1000);
    const shaken = await RtmpTestClient.open(port);
    const connected = await RtmpTestClient.connected(port);
    const created = await RtmpTestClient.connected(port);
    await created.ask('createStream', null);
    const chatty = await RtmpTestClient.connected(port);
    const talk = setInterval(() => chatty.isClosed || chatty.say('_checkbw', [null]), 500);
    const sockets = [silent, short, slow, ...[shaken, connected, created, chatty].map(({ socket }) => socket)];
    await Promise.all(sockets.map((socket) => cutWithin(CUT_MS, socket))).finally(() => {
      clearInterval(drip);
      clearInterval(talk);
    });
    expect(server.isRunning()).toBe(true);
    expect(bystander.isClosed).toBe(false);
  }, 60_000);
});

describe('what is strange and no harm is taken', () => {
  it.each<[string, AmfValue]>([
    ['without tcUrl', amfObject({ app: 'live' })],
    ['with a tcUrl that is none', amfObject({ app: 'live', tcUrl: '::::' })],
    ['with __proto__ and constructor among its properties', JSON.parse('{"app":"live","__proto__":{"polluted":true}}')],
  ])('connect %s', async (_, properties) => {
    await using client = await RtmpTestClient.open(port);
    expect(await client.ask('connect', properties)).toMatchObject({ name: '_result' });
  });

  it('a chunk size of 2^31-1, a message on chunk stream 65,599, publish(false), media without a stream', async () => {
    await using client = await RtmpTestClient.connected(port);
    client.send({ kind: 'setChunkSize', chunkSize: 0x7fffffff });
    client.socket.write(chunk(65_599, MESSAGE_TYPE.dataAmf0, 9, Buffer.alloc(9)));
    client.say('publish', [null, false], 1);
    client.media({ typeId: MESSAGE_TYPE.video, timestampMs: 0, streamId: 1, payload: Buffer.alloc(0) });
    client.media({ typeId: MESSAGE_TYPE.audio, timestampMs: 0, streamId: 1, payload: Buffer.alloc(1) });
    expect(await client.ask('getStreamLength', null)).toMatchObject({ name: '_result' });
  });

  it('data behind C2 in the same bytes, with a play of the same bytes', async () => {
    const { hello, secondHalf } = await pipelined();
    const socket = connect(port, '127.0.0.1');
    const received: Buffer[] = [];
    socket.on('error', () => {});
    socket.on('data', (bytes) => received.push(bytes));
    socket.write(Buffer.concat([hello, secondHalf]));
    await waitUntil(
      () => Buffer.concat(received).includes('NetStream.Play.Start') || undefined,
      CUT_MS,
      () => 'the stream to be played',
    );
    expect(Buffer.concat(received).includes('NetConnection.Connect.Success')).toBe(true);
    socket.destroy();
  });

  it('empty and broken media of a publisher, which ends no other connection', async () => {
    await using client = await RtmpTestClient.publishing(port, 'broken');
    for (const typeId of [MESSAGE_TYPE.video, MESSAGE_TYPE.audio, MESSAGE_TYPE.aggregate, MESSAGE_TYPE.dataAmf0]) {
      for (const size of [0, 1, 2, 5, 40]) {
        const payload = randomBytes(size);
        if (!client.isClosed) client.media({ typeId, timestampMs: 0, streamId: 1, payload });
      }
    }
    await using other = await RtmpTestClient.connected(port);
    expect(await other.ask('getStreamLength', null)).toMatchObject({ name: '_result' });
  });
});

/** A whole simple handshake and connect, createStream and play, as a client that waits for nothing sends them. */
async function pipelined(): Promise<{ hello: Buffer; secondHalf: Buffer }> {
  await using encoding = await RtmpTestClient.open(port);
  const hello = Buffer.concat([Buffer.from([3]), Buffer.alloc(8), randomBytes(1528)]);
  const secondHalf = Buffer.concat([
    randomBytes(1536),
    encoding.encode('connect', 1, [connectObject(port, 'live')]),
    encoding.encode('createStream', 2, [null]),
    encoding.encode('play', 3, [null, 'bystander'], 1),
  ]);
  return { hello, secondHalf };
}

it('a player that never reads is cut off', async () => {
  const sessionId = `/${deafPlayer.endpoint}/127.0.0.1:${port}`;
  const sessions = async () => {
    const url = `http://127.0.0.1:${server.ports['http.port']}/rest-api/connection/find_all`;
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
    return (await fetch(url, options)).text();
  };
  await waitUntil(
    async () => !(await sessions()).includes(sessionId) || undefined,
    DEAF_MS,
    () => 'the session of the player to be gone',
  );
  deafPlayer.socket.resume();
  await deafPlayer.closed;
  expect(server.isRunning()).toBe(true);
}, 120_000);

it('the publisher and the player beside all that have lost nothing, and the memory is bounded', async () => {
  const soFar = bystander.count('video');
  await bystander.until(() => bystander.count('video') > soFar + 25, 'further pictures');
  const pictures = bystander.messages.filter((message) => message.kind === 'video' && message.payload[1] === 1);
  const timesMs = pictures.map((message) => ('timestampMs' in message ? message.timestampMs : Number.NaN));
  const steps = timesMs.slice(1).map((timeMs, index) => timeMs - timesMs[index]!);
  expect(steps.filter((step) => Math.abs(step - FRAME_MS) > 1)).toEqual([]);
  expect(encoder.client.isClosed).toBe(false);
  expect((await rssBytes()) - startRssBytes).toBeLessThan(MAX_GROWTH_BYTES);
});
