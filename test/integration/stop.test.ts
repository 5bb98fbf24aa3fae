import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { publishOverWebrtc } from '../../scripts/demo/webrtc-client.ts';
import { startTestPicture, type TestPicture } from '../../scripts/demo/test-picture.ts';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { HookBackend } from '../support/hook-backend.ts';
import { connectObject, RtmpTestClient } from '../support/rtmp-client.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';
import { sendMedia } from '../support/send-media.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { untilClosed } from '../support/until-closed.ts';

const MAX_STOP_MS = 5000;
const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(settings: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  const server = await startServerProcess({ settings });
  closers.push(() => server[Symbol.asyncDispose]());
  return server;
}

/** What an end in order looks like. */
const ORDERLY = { exitCode: 0, isAllGone: true, isInTime: true, lastWord: 'stopped', errors: [] };

async function end(server: ServerProcess, signal: NodeJS.Signals): Promise<object> {
  const { exitCode, isAllGone, elapsedMs, stderr } = await server.end(signal);
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
  const entries = lines.map((line) => JSON.parse(line) as { level: string; msg: string });
  const errors = entries.filter(({ level }) => level === 'error');
  return { exitCode, isAllGone, isInTime: elapsedMs < MAX_STOP_MS, lastWord: entries.at(-1)?.msg, errors };
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('ends an idle server', async () => {
    expect(await end(await start(), signal)).toEqual(ORDERLY);
  });

  it('ends a server with a publisher and a running push, told to both, with no child left', async () => {
    const server = await start();
    const { client, destination } = await pushAStream(server);
    expect(server.children()).not.toEqual([]);
    const destinationClosed = untilClosed(destination.peers[0]!.socket);
    expect(await end(server, signal)).toEqual(ORDERLY);
    await destinationClosed;
    expect(await client.ended).toBe('the WebSocket was closed');
  });
});

it('a second SIGTERM changes nothing', async () => {
  const server = await start();
  await openSession(server);
  process.kill(server.pid, 'SIGTERM');
  expect(await end(server, 'SIGTERM')).toEqual(ORDERLY);
});

it('connections that say nothing do not hold up the end', async () => {
  const server = await start();
  const { media, ...others } = server.ports;
  const sockets = await Promise.all([media!, ...Object.values(others)].map(openSilently));
  const closed = sockets.map(untilClosed);
  expect(await end(server, 'SIGTERM')).toEqual(ORDERLY);
  await Promise.all(closed);
});

it('clients that do not answer the close frame do not hold up the end', async () => {
  const server = await start();
  const socket = await openSession(server);
  socket.pause();
  expect(await end(server, 'SIGTERM')).toEqual(ORDERLY);
});

it('RTMP clients and pages that do not close, and a backend that answers nothing, do not hold up the end', async () => {
  const backend = await HookBackend.start();
  closers.push(() => backend[Symbol.asyncDispose]());
  const directory = await mkdtemp(join(tmpdir(), 'transponder-stop-'));
  closers.push(() => rm(directory, { recursive: true }));
  const file = join(directory, 'applications.json');
  const applications = [
    { name: 'RTMP', appKey: 'flashStreamingApp', url: backend.url },
    { name: 'Pages', appKey: 'defaultApp' },
  ];
  await writeFile(file, JSON.stringify({ applications }));
  const server = await start({ applications_file: file });
  const port = server.ports['rtmp.port']!;
  const publisher = await RtmpTestClient.publishing(port, 'film');
  sendMedia(publisher);
  await expect.poll(() => backend.story, { timeout: 15_000 }).toContain('StreamStatusEvent PUBLISHING');
  const player = await RtmpTestClient.playing(port, 'film');
  const deaf = await RtmpTestClient.playing(port, 'film');
  backend.answer = () => {};
  const waiting = await RtmpTestClient.open(port);
  waiting.say('connect', [connectObject(port, 'live')], 0, 1);
  await expect.poll(() => backend.bodies('connect').length, { timeout: 15_000 }).toBe(4);
  for (const client of [publisher, player, deaf, waiting]) closers.push(() => client.close());
  deaf.socket.pause();
  (await openSession(server)).pause();
  expect(await end(server, 'SIGTERM')).toEqual(ORDERLY);
  await Promise.all([publisher, player, waiting].map(({ closed }) => closed));
  expect(publisher.statusCodes.at(-1)).toBe('NetConnection.Connect.Closed');
  expect(player.statusCodes.at(-1)).toBe('NetStream.Play.UnpublishNotify');
});

async function openSession(server: ServerProcess): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.ports['ws.port']}`);
  closers.push(() => socket.terminate());
  socket.on('error', () => {});
  await once(socket, 'open');
  socket.send(JSON.stringify({ message: 'connection', data: [{ appKey: 'defaultApp', mediaProviders: ['WebRTC'] }] }));
  await once(socket, 'message');
  return socket;
}

async function openSilently(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  closers.push(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** A real publisher, and a real push of its stream to a destination in this process that has got video. */
async function pushAStream(server: ServerProcess) {
  const destination = await startRtmpDestination();
  closers.push(() => destination.stop());
  let picture: Promise<TestPicture> | undefined;
  closers.push(async () => (await picture)?.close('end of test'));
  const client = await publishOverWebrtc({
    url: `ws://127.0.0.1:${server.ports['ws.port']}`,
    streamName: 'cam',
    onConnected: (peer) => {
      picture ??= startTestPicture({
        ffmpegPath: 'ffmpeg',
        clock: systemClock,
        logger: silentLogger,
        onVideo: (packet) => peer.sendVideo(packet),
        onAudio: (packet) => peer.sendAudio(packet),
      });
    },
  });
  closers.push(() => client.close('end of test'));
  const response = await fetch(`http://127.0.0.1:${server.ports['http.port']}/rest-api/push/startup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streamName: 'cam', rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live` }),
  });
  expect(response.status).toBe(200);
  const hasVideo = () => destination.peers.some(({ messages }) => messages.some(({ kind }) => kind === 'video'));
  await expect.poll(hasVideo, { timeout: 15_000 }).toBe(true);
  return { client, destination };
}
