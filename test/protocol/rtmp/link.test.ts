import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RtmpLink } from '../../../src/protocol/rtmp/link.ts';
import { decodeMessage, USER_CONTROL } from '../../../src/protocol/rtmp/messages.ts';
import type { OutgoingMessage, RtmpMessage } from '../../../src/protocol/rtmp/messages.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';
import { splitAt } from '../../support/split-bytes.ts';
import { messageCases } from './message-cases.ts';

const fixedBytes = (size: number): Buffer => Buffer.alloc(size, 7);

function taken(link: RtmpLink): RtmpMessage[] {
  const messages: RtmpMessage[] = [];
  for (let message = link.take(); message; message = link.take()) messages.push(decodeMessage(message));
  return messages;
}

/** Two links that have shaken hands; what one of them sends after that is collected as bytes. */
function connectedLinks() {
  const toServer: Buffer[] = [];
  const toClient: Buffer[] = [];
  const client = new RtmpLink({ role: 'client', randomBytes, send: (bytes) => toServer.push(bytes) });
  const server = new RtmpLink({ role: 'server', randomBytes, send: (bytes) => toClient.push(bytes) });
  client.start();
  server.push(Buffer.concat(toServer.splice(0)));
  client.push(Buffer.concat(toClient.splice(0)));
  server.push(Buffer.concat(toServer.splice(0)));
  return { client, server, toServer, toClient };
}

/** What the server answers to a message of its client, as the client's side would read it. */
function answersTo(...messages: OutgoingMessage[]): OutgoingMessage[] {
  const { client, server, toServer, toClient } = connectedLinks();
  for (const message of messages) client.send(message);
  server.push(Buffer.concat(toServer));
  return toClient.map((bytes) => decodeMessage({ ...head(bytes), payload: bytes.subarray(12) }) as OutgoingMessage);
}

const head = (bytes: Buffer) => ({ typeId: bytes[7]!, timestampMs: 0, streamId: 0 });
const audio = (payload: Buffer): OutgoingMessage => ({ kind: 'audio', payload, timestampMs: 1, streamId: 1 });

/** All that a client could send before it hears anything but the handshake. */
function clientBytes(messages: readonly OutgoingMessage[]): Buffer {
  const sent: Buffer[] = [];
  const client = new RtmpLink({ role: 'client', randomBytes: fixedBytes, send: (bytes) => sent.push(bytes) });
  client.start();
  const server = new RtmpLink({ role: 'server', randomBytes: fixedBytes, send: (bytes) => client.push(bytes) });
  server.push(sent[0]!);
  for (const message of messages) client.send(message);
  return Buffer.concat(sent);
}

describe('the two ends of an RTMP connection', () => {
  it('shake hands and carry messages both ways', () => {
    const { client, server, toServer, toClient } = connectedLinks();
    expect([client.isHandshakeDone, server.isHandshakeDone]).toEqual([true, true]);
    const isForTheCaller = ({ message }: (typeof messageCases)[number]) =>
      ['audio', 'video', 'data', 'command'].includes(message.kind);
    const messages = messageCases.filter(isForTheCaller).map(({ message }) => message);
    for (const message of messages) client.send(message);
    for (const message of messages) server.send(message);
    server.push(Buffer.concat(toServer));
    client.push(Buffer.concat(toClient));
    expect(taken(server)).toEqual(messages);
    expect(taken(client)).toEqual(messages);
  });

  it('give the same messages and the same answers for any split of a session', () => {
    const bytes = clientBytes([
      ...messageCases.map(({ message }) => message),
      { kind: 'userControl', event: USER_CONTROL.pingRequest, value: 9 },
    ]);
    const read = (pieces: readonly Buffer[]) => {
      const answers: Buffer[] = [];
      const link = new RtmpLink({ role: 'server', randomBytes: fixedBytes, send: (sent) => answers.push(sent) });
      const messages = pieces.flatMap((piece) => {
        link.push(piece);
        return taken(link);
      });
      return { messages, answers: Buffer.concat(answers), acknowledged: link.peerAcknowledgedBytes };
    };
    const whole = read([bytes]);
    expect(whole.messages).toHaveLength(8);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 30 }), (cuts) => {
        expect(read(splitAt(bytes, cuts))).toEqual(whole);
      }),
    );
  });

  it('let the caller stop between two messages of one read and go on later', () => {
    const { client, server, toServer } = connectedLinks();
    for (const value of [1, 2, 3]) client.send(audio(Buffer.from([value])));
    server.push(Buffer.concat(toServer.splice(0)));
    expect(server.take()!.payload[0]).toBe(1);
    client.send(audio(Buffer.from([4])));
    server.push(Buffer.concat(toServer.splice(0)));
    expect(taken(server).map((message) => 'payload' in message && message.payload[0])).toEqual([2, 3, 4]);
    expect(server.take()).toBeUndefined();
  });

  it('end a connection on which messages come without end while none is taken', () => {
    const { client, server, toServer } = connectedLinks();
    client.send({ kind: 'setChunkSize', chunkSize: 65_536 });
    client.send(audio(Buffer.alloc(4_000_000)));
    const bytes = Buffer.concat(toServer);
    const pushes = () => Array.from({ length: 20 }, () => server.push(bytes));
    expect(protocolErrorCode(pushes)).toBe('RTMP_WAITING_MESSAGES');
  });

  it('count empty messages that wait as well', () => {
    const { client, server, toServer } = connectedLinks();
    client.send(audio(Buffer.alloc(0)));
    server.push(Buffer.concat(toServer));
    const empty = Buffer.alloc(65_536, 0xc4);
    expect(protocolErrorCode(() => Array.from({ length: 10 }, () => server.push(empty)))).toBe('RTMP_WAITING_MESSAGES');
  });
});

describe('what a link answers by itself', () => {
  it('is a pong for a ping, with the same value', () => {
    expect(answersTo({ kind: 'userControl', event: USER_CONTROL.pingRequest, value: 0xfffffff0 })).toEqual([
      { kind: 'userControl', event: USER_CONTROL.pingResponse, value: 0xfffffff0 },
    ]);
  });

  it('is a window for Set Peer Bandwidth', () => {
    expect(answersTo({ kind: 'peerBandwidth', windowBytes: 2_500_000, limitType: 2 })).toEqual([
      { kind: 'windowAckSize', windowBytes: 2_500_000 },
    ]);
  });

  it('is an acknowledgement of all that came, once for each window of the peer', () => {
    const { client, server, toServer, toClient } = connectedLinks();
    client.send({ kind: 'windowAckSize', windowBytes: 10_000 });
    server.push(toServer.pop()!);
    expect(server.peerWindowBytes).toBe(10_000);
    const acknowledged: number[] = [];
    for (let index = 0; index < 8; index++) {
      client.send(audio(Buffer.alloc(3000)));
      for (const bytes of toServer.splice(0)) server.push(bytes);
      for (const bytes of toClient.splice(0)) client.push(bytes);
      acknowledged.push(client.peerAcknowledgedBytes);
    }
    const handshakeBytes = 1 + 2 * 1536;
    const messageBytes = 12 + 3000 + Math.ceil(3000 / 128) - 1;
    const afterBytes = (count: number) => handshakeBytes + 16 + count * messageBytes;
    expect(acknowledged).toEqual([
      0,
      0,
      afterBytes(3),
      afterBytes(3),
      afterBytes(3),
      afterBytes(3),
      afterBytes(7),
      afterBytes(7),
    ]);
  });

  it('is nothing for pongs, unknown control events and types that nobody assigned', () => {
    expect(
      answersTo(
        { kind: 'userControl', event: USER_CONTROL.pingResponse, value: 1 },
        { kind: 'userControl', event: 32, value: 1 },
        { kind: 'acknowledgement', receivedBytes: 1 },
      ),
    ).toEqual([]);
    const { server, toClient } = connectedLinks();
    for (const typeId of [0, 7, 10, 16, 19, 21, 255]) {
      server.push(Buffer.from([3, 0, 0, 0, 0, 0, 1, typeId, 0, 0, 0, 0, 0xff]));
    }
    expect(toClient).toEqual([]);
    expect(server.take()).toBeUndefined();
  });
});

describe('the count of what the peer has acknowledged', () => {
  it('goes on past 2^32, and an old number does not set it back', () => {
    const { client, server, toServer } = connectedLinks();
    const totals: number[] = [];
    const steps: number[] = [];
    for (const receivedBytes of [0x60000000, 0xc0000000, 0xbfffffff, 0x10000000, 0xfffffff0, 0x10000001]) {
      client.send({ kind: 'acknowledgement', receivedBytes });
      server.push(toServer.pop()!);
      totals.push(server.peerAcknowledgedBytes);
      steps.push(server.peerAcknowledgementBytes);
    }
    expect(totals).toEqual([0x60000000, 0xc0000000, 0xc0000000, 0x110000000, 0x110000000, 0x110000001]);
    expect(steps).toEqual([0x60000000, 0x60000000, 0x60000000, 0x50000000, 0x50000000, 1]);
  });
});

describe('a link with a hostile peer', () => {
  const sessionBytes = clientBytes(messageCases.map(({ message }) => message));
  const answerless = (): RtmpLink => new RtmpLink({ role: 'server', randomBytes: fixedBytes, send: () => {} });

  it('throws nothing but ProtocolError when bytes of a session are flipped or cut', () => {
    const flip = fc.record({ at: fc.nat(sessionBytes.length - 1), mask: fc.integer({ min: 1, max: 255 }) });
    const cuts = fc.array(fc.nat(sessionBytes.length), { maxLength: 10 });
    fc.assert(
      fc.property(fc.array(flip, { maxLength: 20 }), fc.nat(sessionBytes.length), cuts, (flips, length, splits) => {
        const bytes = Buffer.from(sessionBytes.subarray(0, length));
        for (const { at, mask } of flips) if (at < length) bytes[at]! ^= mask;
        const link = answerless();
        const code = protocolErrorCode(() => {
          for (const piece of splitAt(
            bytes,
            splits.filter((cut) => cut <= length),
          )) {
            link.push(piece);
            taken(link);
          }
        });
        expect(code).toMatch(/^(RTMP_|AMF0_|none$)/);
      }),
      { numRuns: 1000 },
    );
  });

  it('throws nothing but ProtocolError for random chunks behind a handshake', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (random) => {
        const { server } = connectedLinks();
        const code = protocolErrorCode(() => {
          server.push(Buffer.from(random));
          taken(server);
        });
        expect(code).toMatch(/^(RTMP_|AMF0_|none$)/);
      }),
    );
  });
});
