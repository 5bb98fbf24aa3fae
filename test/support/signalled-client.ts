import { once } from 'node:events';
import { WebSocket } from 'ws';
import { describeClient, remoteEndOf, ssrcsOf, type DescribedTrack } from '../../scripts/bench/support/descriptions.ts';
import type { FanoutTarget } from '../../scripts/bench/support/fanout-target.ts';
import { RtcClient } from '../../scripts/bench/support/rtc-client.ts';
import { AUDIO_TRACK, TestStream, VIDEO_TRACK } from '../../scripts/bench/support/test-stream.ts';
import type { ServerProcess } from './server-process.ts';

const ADDRESS = '127.0.0.1';
const TRACKS = [AUDIO_TRACK, VIDEO_TRACK];
/** A player names no SSRC. */
const PLAYED_TRACKS = TRACKS.map((track) => ({ ...track, ssrc: undefined }));

/** The test stream published under `name` through the signalling of a server, and viewers who play it. */
export async function publishTestStream(server: ServerProcess, name: string): Promise<FanoutTarget> {
  const sockets: WebSocket[] = [];
  const connect = async (action: 'publishStream' | 'playStream', tracks: readonly DescribedTrack[]) => {
    const client = await RtcClient.open(ADDRESS);
    const direction = action === 'publishStream' ? 'sendonly' : 'recvonly';
    const socket = new WebSocket(`ws://${ADDRESS}:${server.ports['ws.port']}`);
    sockets.push(socket);
    const sdp = describeClient({ client, direction, setup: 'actpass', tracks });
    const answerSdp = await negotiate(socket, action, name, sdp);
    await client.connect(remoteEndOf(answerSdp, ADDRESS), 'controlling');
    return { client, ssrcs: ssrcsOf(answerSdp) };
  };
  const publisher = await connect('publishStream', TRACKS);
  return {
    name: 'server',
    pid: server.pid,
    stream: new TestStream((_kind, packet, index) => publisher.client.sendRtp(packet, index)),
    connectViewer: () => connect('playStream', PLAYED_TRACKS),
    sendsDropped: () => Promise.resolve(undefined),
    async close() {
      publisher.client.close();
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Resolves with the answer to the offer `sdp`; from then on only pings are answered. */
async function negotiate(
  socket: WebSocket,
  action: 'publishStream' | 'playStream',
  name: string,
  sdp: string,
): Promise<string> {
  const answered = Promise.withResolvers<string>();
  const send = (message: string, argument: object): void => socket.send(JSON.stringify({ message, data: [argument] }));
  socket.on('error', (error) => answered.reject(error));
  socket.on('message', (frame) => {
    const { message, data } = JSON.parse(String(frame)) as { message: string; data: unknown[] };
    if (message === 'ping') send('pong', {});
    if (message === 'getUserData') send(action, { mediaSessionId: crypto.randomUUID(), name, sdp });
    if (message === 'setRemoteSDP') answered.resolve(String(data[1]));
    if (message !== 'notifyStreamStatusEvent') return;
    const { status, info = '' } = data[0] as { status: string; info?: string };
    if (status === 'FAILED') answered.reject(new Error(`${action}: ${info}`));
  });
  await once(socket, 'open');
  send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: 'test' });
  return answered.promise;
}
