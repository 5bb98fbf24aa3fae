import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { ClientHandshake, ServerHandshake } from '../../../src/protocol/rtmp/handshake.ts';
import {
  CLIENT_KEY,
  findDigest,
  placeDigest,
  SERVER_KEY,
  signAnswer,
} from '../../../src/protocol/rtmp/handshake-digest.ts';

const PACKET_BYTES = 1536;

/** Drives a handshake in pieces and collects its reply, whether it finished and what was left over. */
function drive(handshake: ClientHandshake | ServerHandshake, bytes: Buffer, cuts: readonly number[] = []) {
  const replies: Buffer[] = [];
  const rests: Buffer[] = [];
  let isDone = false;
  let from = 0;
  for (const to of [...[...cuts].sort((a, b) => a - b), bytes.length]) {
    const piece = bytes.subarray(from, to);
    from = to;
    if (isDone) {
      rests.push(piece);
      continue;
    }
    const step = handshake.push(piece);
    if (step.reply) replies.push(step.reply);
    isDone = step.isDone;
    rests.push(step.rest);
  }
  return { reply: Buffer.concat(replies), rest: Buffer.concat(rests), isDone };
}

describe('RTMP handshake', () => {
  it('agrees with itself by digest in both directions', () => {
    const client = new ClientHandshake({ randomBytes });
    const server = new ServerHandshake({ randomBytes });
    const answer = drive(server, client.hello);
    expect(answer).toMatchObject({ isDone: false });
    expect(answer.reply).toHaveLength(1 + 2 * PACKET_BYTES);
    const s1 = answer.reply.subarray(1, 1 + PACKET_BYTES);
    const s2 = Buffer.from(answer.reply.subarray(1 + PACKET_BYTES));
    expect(findDigest(s1, SERVER_KEY)).toBeDefined();
    const expected = Buffer.from(s2);
    signAnswer(expected, SERVER_KEY, findDigest(client.hello.subarray(1), CLIENT_KEY)!.digest);
    expect(s2.equals(expected)).toBe(true);
    const last = drive(client, answer.reply);
    expect(last.isDone).toBe(true);
    expect(last.reply).toHaveLength(PACKET_BYTES);
    expect(drive(server, Buffer.concat([last.reply, Buffer.from('chunks')]))).toMatchObject({
      isDone: true,
      rest: Buffer.from('chunks'),
    });
  });

  it('answers a digest in the scheme in which it came', () => {
    for (const blockOffset of [8, 772]) {
      const c1 = randomBytes(PACKET_BYTES);
      placeDigest(c1, CLIENT_KEY, blockOffset);
      const { reply } = drive(new ServerHandshake({ randomBytes }), Buffer.concat([Buffer.from([3]), c1]));
      expect(findDigest(reply.subarray(1, 1 + PACKET_BYTES), SERVER_KEY)?.blockOffset).toBe(blockOffset);
    }
  });

  it('answers a simple handshake with four zero bytes in S1 and an echo of C1', () => {
    const c1 = Buffer.concat([Buffer.alloc(8), randomBytes(PACKET_BYTES - 8)]);
    const { reply } = drive(new ServerHandshake({ randomBytes }), Buffer.concat([Buffer.from([3]), c1]));
    expect(reply[0]).toBe(3);
    expect(reply.readUInt32BE(5)).toBe(0);
    expect(reply.subarray(1 + PACKET_BYTES).equals(c1)).toBe(true);
  });

  it('echoes S1 to a server that knows only the simple handshake', () => {
    const s1 = Buffer.concat([Buffer.alloc(8), randomBytes(PACKET_BYTES - 8)]);
    const { reply, isDone } = drive(
      new ClientHandshake({ randomBytes }),
      Buffer.concat([Buffer.from([3]), s1, Buffer.alloc(PACKET_BYTES)]),
    );
    expect(isDone).toBe(true);
    expect(reply.equals(s1)).toBe(true);
  });

  it('ends a peer that speaks something else at its first byte', () => {
    for (const first of ['GET / HTTP/1.1', '\u0006', '\u0016\u0003\u0001']) {
      for (const handshake of [new ServerHandshake({ randomBytes }), new ClientHandshake({ randomBytes })]) {
        expect(() => handshake.push(Buffer.from(first))).toThrow(ProtocolError);
      }
    }
  });

  it('gives the same result for any split', () => {
    const fixed = (size: number) => Buffer.alloc(size, 5);
    const hello = new ClientHandshake({ randomBytes }).hello;
    const toServer = Buffer.concat([hello, randomBytes(PACKET_BYTES), Buffer.from('rest')]);
    const whole = drive(new ServerHandshake({ randomBytes: fixed }), toServer);
    expect(whole.rest.toString()).toBe('rest');
    const toClient = Buffer.concat([whole.reply, Buffer.from('rest')]);
    const wholeClient = drive(new ClientHandshake({ randomBytes: fixed }), toClient);
    fc.assert(
      fc.property(fc.array(fc.nat(toServer.length), { maxLength: 8 }), (cuts) => {
        expect(drive(new ServerHandshake({ randomBytes: fixed }), toServer, cuts)).toEqual(whole);
        expect(drive(new ClientHandshake({ randomBytes: fixed }), toClient, cuts)).toEqual(wholeClient);
      }),
    );
  });
});
