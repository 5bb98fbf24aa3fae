import { once } from 'node:events';
import { connect } from 'node:net';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { amfString } from '../../../src/protocol/amf0/values.ts';
import { ChunkReader } from '../../../src/protocol/rtmp/chunk-reader.ts';
import { parseRtmpStreamName } from '../../../src/protocol/rtmp/client-url.ts';
import { decodeMessage, type RtmpMessage } from '../../../src/protocol/rtmp/messages.ts';
import { RtmpTestClient } from '../../support/rtmp-client.ts';
import { rtmpClientVectors, type RtmpClientVector } from '../../vectors/rtmp/clients.ts';
import { startRtmpHarness } from './harness.ts';

const HANDSHAKE_ANSWER_BYTES = 1 + 2 * 1536;

/** Sends these pieces without waiting for an answer; all that came back until the status with this code. */
async function replay(port: number, pieces: readonly Buffer[], lastCode: string): Promise<RtmpMessage[]> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const reader = new ChunkReader();
  const messages: RtmpMessage[] = [];
  const done = Promise.withResolvers<RtmpMessage[]>();
  let passedBytes = 0;
  socket.on('error', () => {});
  socket.on('close', () => done.reject(new Error(`closed before ${lastCode}`)));
  socket.on('data', (bytes) => {
    const chunks = bytes.subarray(Math.max(0, Math.min(bytes.length, HANDSHAKE_ANSWER_BYTES - passedBytes)));
    passedBytes += bytes.length;
    for (const raw of reader.push(chunks)) {
      const message = decodeMessage({ ...raw, payload: Buffer.from(raw.payload) });
      messages.push(message);
      if (message.kind === 'command' && amfString(message.args[1], 'code') === lastCode) done.resolve(messages);
    }
  });
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
  return done.promise.finally(() => socket.destroy());
}

async function replayed({ intent, target, app }: RtmpClientVector, pieces: readonly Buffer[]): Promise<RtmpMessage[]> {
  await using rtmp = await startRtmpHarness();
  const { name } = parseRtmpStreamName(target, app);
  const isPublisher = intent === 'publish';
  await using _publisher = await RtmpTestClient.publishing(rtmp.port, isPublisher ? 'other' : name);
  rtmp.publications[0]!.options.onLive({});
  const messages = await replay(rtmp.port, pieces, isPublisher ? 'NetStream.Publish.Start' : 'NetStream.Play.Start');
  const opened = isPublisher ? rtmp.publications : rtmp.playbacks;
  expect(opened.at(-1)!.options.name).toBe(name);
  return messages;
}

describe.each(rtmpClientVectors)('$client, to $intent', (vector) => {
  it('is answered when it sends everything at once', async () => {
    const messages = await replayed(vector, [vector.bytes]);
    const firstKinds = messages.slice(0, 4).map(({ kind }) => kind);
    expect(firstKinds).toEqual(['windowAckSize', 'peerBandwidth', 'setChunkSize', 'command']);
    const result = messages.find((message) => message.kind === 'command');
    expect(amfString(result!.args[1], 'code')).toBe('NetConnection.Connect.Success');
    const isEnhanced = JSON.stringify(result!.args[0]).includes('fourCcList');
    expect(isEnhanced).toBe(vector.isEnhanced);
    expect(messages.some((message) => message.kind === 'command' && message.name === '_error')).toBe(false);
  });

  it('is answered the same however its bytes are cut', async () => {
    const whole = kindsOf(await replayed(vector, [vector.bytes]));
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: vector.bytes.length - 1 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cuts, async (at) => {
        const edges = [0, ...at.toSorted((a, b) => a - b), vector.bytes.length];
        const pieces = edges.slice(1).map((end, index) => vector.bytes.subarray(edges[index], end));
        expect(kindsOf(await replayed(vector, pieces))).toEqual(whole);
      }),
      { numRuns: 5 },
    );
  });
});

function kindsOf(messages: readonly RtmpMessage[]): string[] {
  return messages.map((message) => (message.kind === 'command' ? message.name : message.kind));
}
