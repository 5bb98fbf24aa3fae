import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { amfObject } from '../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../src/protocol/amf0/values.ts';
import { ChunkReader } from '../../src/protocol/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../src/protocol/rtmp/chunk-writer.ts';
import { ServerHandshake } from '../../src/protocol/rtmp/handshake.ts';
import { decodeMessage, encodeMessage } from '../../src/protocol/rtmp/messages.ts';
import type { CommandMessage, OutgoingMessage, RtmpMessage } from '../../src/protocol/rtmp/messages.ts';

/** One connection to a destination whose every answer a test decides. */
export interface DestinationPeer {
  readonly socket: Socket;
  readonly messages: RtmpMessage[];
  send(message: OutgoingMessage): void;
  result(command: CommandMessage, ...args: AmfValue[]): void;
  error(command: CommandMessage, code: string, description: string): void;
  status(level: string, code: string, description?: string): void;
}

/** Return true where the command was answered; otherwise it gets the answer of a friendly server. */
export type OnCommand = (command: CommandMessage, peer: DestinationPeer) => boolean | void;

/** An RTMP server for one-off stories; `peers` holds its connections, oldest first. */
export async function startRtmpDestination(onCommand: OnCommand = () => false) {
  const peers: DestinationPeer[] = [];
  const server = createServer((socket) => peers.push(serve(socket, onCommand)));
  const port = await listen(server);
  const stop = async (): Promise<void> => {
    for (const { socket } of peers) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, peers, stop };
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function serve(socket: Socket, onCommand: OnCommand): DestinationPeer {
  const handshake = new ServerHandshake({ randomBytes });
  const reader = new ChunkReader();
  const writer = new ChunkWriter();
  let isHandshakeDone = false;
  const send = (message: OutgoingMessage): void => void socket.write(writer.encode(encodeMessage(message)));
  const answer = (name: string, { transactionId }: CommandMessage, args: AmfValue[]): void =>
    send({ kind: 'command', name, transactionId, args, streamId: 0 });
  const peer: DestinationPeer = {
    socket,
    messages: [],
    send,
    result: (command, ...args) => answer('_result', command, args),
    error: (command, code, description) =>
      answer('_error', command, [null, amfObject({ level: 'error', code, description })]),
    status: (level, code, description = '') =>
      send({
        kind: 'command',
        name: 'onStatus',
        transactionId: 0,
        args: [null, amfObject({ level, code, description })],
        streamId: 1,
      }),
  };
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    let chunks: Buffer = bytes;
    if (!isHandshakeDone) {
      const step = handshake.push(bytes);
      if (step.reply) socket.write(step.reply);
      isHandshakeDone = step.isDone;
      chunks = step.rest;
    }
    for (const raw of reader.push(chunks)) {
      const message = decodeMessage({ ...raw, payload: Buffer.from(raw.payload) });
      peer.messages.push(message);
      if (message.kind === 'command' && !onCommand(message, peer)) befriend(message, peer);
    }
  });
  return peer;
}

function befriend(command: CommandMessage, peer: DestinationPeer): void {
  if (command.name === 'connect') peer.result(command, null, amfObject({ code: 'NetConnection.Connect.Success' }));
  if (command.name === 'createStream') peer.result(command, null, 1);
  if (command.name === 'publish') peer.status('status', 'NetStream.Publish.Start');
}
