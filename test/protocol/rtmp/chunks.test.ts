import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkReader, DEFAULT_CHUNK_READER_LIMITS } from '../../../src/protocol/rtmp/chunk-reader.ts';
import { ChunkWriter, chunkStreamIdOf } from '../../../src/protocol/rtmp/chunk-writer.ts';
import { decodeMessage, encodeMessage } from '../../../src/protocol/rtmp/messages.ts';
import type { RawMessage } from '../../../src/protocol/rtmp/raw-message.ts';
import { messageCases } from './message-cases.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** Reads `bytes` cut at the given places; payloads are copied as a caller that keeps them must. */
function readInPieces(bytes: Buffer, cuts: readonly number[], reader = new ChunkReader()): RawMessage[] {
  const messages: RawMessage[] = [];
  let from = 0;
  for (const to of [...[...cuts].sort((a, b) => a - b), bytes.length]) {
    for (const message of reader.push(Buffer.from(bytes.subarray(from, to)))) {
      messages.push({ ...message, payload: Buffer.from(message.payload) });
    }
    from = to;
  }
  return messages;
}

describe('chunk writer and reader', () => {
  for (const { name, message } of messageCases) {
    it(`carry ${name} unchanged at every chunk size`, () => {
      for (const chunkSize of [128, 129, 4096, 65_536]) {
        const writer = new ChunkWriter();
        const bytes = Buffer.concat([writer.setChunkSize(chunkSize), writer.encode(encodeMessage(message))]);
        const read = readInPieces(bytes, []);
        expect(read).toHaveLength(2);
        expect(decodeMessage(read[1]!)).toEqual(message);
      }
    });
  }

  it('give the same messages for any split of the bytes', () => {
    const writer = new ChunkWriter();
    const parts = [writer.encode(encodeMessage({ kind: 'windowAckSize', windowBytes: 5 })), writer.setChunkSize(200)];
    for (const { message } of messageCases)
      if (message.kind !== 'setChunkSize') parts.push(writer.encode(encodeMessage(message)));
    const bytes = Buffer.concat(parts);
    const whole = readInPieces(bytes, []);
    expect(whole).toHaveLength(messageCases.length + 1);
    expect(readInPieces(bytes, Array.from(bytes.keys()))).toEqual(whole);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 40 }), (cuts) => {
        expect(readInPieces(bytes, cuts)).toEqual(whole);
      }),
    );
  });

  it('give a prefix of the messages for any truncation', () => {
    const writer = new ChunkWriter();
    const mediaAndCommands = messageCases.filter(({ message }) => message.kind !== 'setChunkSize');
    const bytes = Buffer.concat(mediaAndCommands.map(({ message }) => writer.encode(encodeMessage(message))));
    const whole = readInPieces(bytes, []);
    fc.assert(
      fc.property(fc.nat(bytes.length), (cut) => {
        const some = readInPieces(bytes.subarray(0, cut), []);
        expect(some).toEqual(whole.slice(0, some.length));
      }),
    );
  });

  it('choose the chunk stream by the kind of message', () => {
    const idOf = (typeId: number, streamId: number) => chunkStreamIdOf({ typeId, streamId, timestampMs: 0 });
    expect([1, 2, 3, 4, 5, 6].map((typeId) => idOf(typeId, 0))).toEqual([2, 2, 2, 2, 2, 2]);
    expect([idOf(20, 0), idOf(20, 1), idOf(18, 1), idOf(8, 1), idOf(9, 1)]).toEqual([3, 5, 5, 4, 6]);
  });

  it('write a header of format 0 and repeat the extended timestamp on continuations', () => {
    const bytes = new ChunkWriter().encode(
      { typeId: 9, timestampMs: 0x01020304, streamId: 1, payload: Buffer.alloc(130, 0xaa) },
      2,
    );
    expect(bytes.subarray(0, 16).toString('hex')).toBe('06ffffff000082090200000001020304');
    expect(bytes.subarray(16 + 128).toString('hex')).toBe('c601020304aaaa');
  });
});

describe('chunk reader', () => {
  it('applies the deltas of formats 1, 2 and 3 modulo 2^32', () => {
    const bytes = hex('04 ffffff 000001 08 01000000 fffffffe aa  44 000001 000001 08 bb  84 000002 cc  c4 dd');
    expect(readInPieces(bytes, []).map((m) => [m.timestampMs, m.payload.toString('hex'), m.streamId])).toEqual([
      [0xfffffffe, 'aa', 1],
      [0xffffffff, 'bb', 1],
      [1, 'cc', 1],
      [3, 'dd', 1],
    ]);
  });

  it('reads basic headers of one, two and three bytes with any chunk stream id', () => {
    const message = '000000 000001 08 01000000 aa';
    expect(readInPieces(hex(`3f ${message} 00ff ${message} 01ffff ${message} 0100ff ${message}`), [])).toHaveLength(4);
  });

  it('knows a chunk stream by its number, however that is written', () => {
    const bytes = hex('00 05 000007 000001 08 01000000 aa  41 05 00 000003 000001 08 bb');
    expect(readInPieces(bytes, []).map((m) => [m.timestampMs, m.streamId])).toEqual([
      [7, 1],
      [10, 1],
    ]);
  });

  it('takes a fresh chunk stream that begins with format 1', () => {
    expect(readInPieces(hex('42 000000 000004 05 0003d090'), [])).toHaveLength(1);
  });

  it('accepts continuations with and without the extended timestamp', () => {
    const first = `06 ffffff 000084 09 01000000 01020304 ${'aa'.repeat(128)}`;
    const payload = Buffer.from('aa'.repeat(128) + '01020399', 'hex');
    for (const bytes of [hex(`${first} c6 01020304 01020399`), hex(`${first} c6 01020399`)]) {
      expect(readInPieces(bytes, Array.from(bytes.keys()))).toEqual([
        { typeId: 9, timestampMs: 0x01020304, streamId: 1, payload },
      ]);
    }
  });

  it('interleaves messages of several chunk streams', () => {
    const video = `06 000000 000082 09 01000000 ${'aa'.repeat(128)}`;
    const read = readInPieces(hex(`${video} 04 000000 000001 08 01000000 bb c6 aaaa`), []);
    expect(read.map((message) => message.typeId)).toEqual([8, 9]);
    expect(read[1]!.payload).toEqual(Buffer.alloc(130, 0xaa));
  });

  it('drops a message that a new header or an Abort cuts short, and ends a peer that keeps doing so', () => {
    const cutShort = `06 000000 000082 09 01000000 ${'aa'.repeat(128)}`;
    const whole = '06 000005 000001 09 01000000 bb';
    expect(readInPieces(hex(cutShort + whole), []).map((m) => m.timestampMs)).toEqual([5]);
    const aborted = readInPieces(
      hex(`${cutShort} 02 000000 000004 02 00000000 00000006 c6 ${'cc'.repeat(128)} c6 cccc`),
      [],
    );
    expect(aborted.map((m) => m.payload.toString('hex'))).toEqual(['00000006', 'cc'.repeat(130)]);
    expect(protocolErrorCode(() => readInPieces(hex(cutShort.repeat(9)), []))).toBe('none');
    expect(protocolErrorCode(() => readInPieces(hex(cutShort.repeat(10)), []))).toBe('RTMP_DISCARDED_MESSAGES');
  });

  it('goes on with a peer that cuts a message short now and then, however long', () => {
    const cutShort = `06 000000 000082 09 01000000 ${'aa'.repeat(128)}`;
    const wholes = '06 000005 000001 09 01000000 bb'.repeat(200);
    expect(readInPieces(hex((cutShort + wholes).repeat(40)), [])).toHaveLength(40 * 200);
  });

  const refusals: [string, string, string][] = [
    ['a fresh chunk stream that begins with format 2', '84 000002 cc', 'RTMP_CHUNK_HEADER'],
    ['a fresh chunk stream that begins with format 3', 'c4 cc', 'RTMP_CHUNK_HEADER'],
    ['chunk size 0', '02 000000 000004 01 00000000 00000000', 'RTMP_CHUNK_SIZE'],
    ['chunk size 127', '02 000000 000004 01 00000000 0000007f', 'RTMP_CHUNK_SIZE'],
    ['a Set Chunk Size of one byte', '02 000000 000001 01 00000000 00', 'RTMP_CONTROL'],
    ['a command longer than 64 KB', '03 000000 010001 14 00000000', 'RTMP_MESSAGE_TOO_LONG'],
    [
      'a 33rd chunk stream',
      Array.from(
        { length: 33 },
        (_, index) => `${(index + 3).toString(16).padStart(2, '0')} 000000 000000 08 01000000`,
      ).join(''),
      'RTMP_CHUNK_STREAMS',
    ],
  ];
  for (const [name, text, code] of refusals) {
    it(`refuses ${name}`, () => expect(protocolErrorCode(() => new ChunkReader().push(hex(text)))).toBe(code));
  }

  it('clamps a huge chunk size and then takes a 16 MB message in small reads without copying it again and again', () => {
    const reader = new ChunkReader();
    reader.push(hex('02 000000 000004 01 00000000 7fffffff'));
    reader.push(hex('06 000000 ffffff 09 01000000'));
    const piece = Buffer.alloc(4096, 1);
    const before = process.threadCpuUsage();
    let read: RawMessage[] = [];
    for (let sent = 0; read.length === 0; sent += piece.length)
      read = reader.push(piece.subarray(0, Math.min(piece.length, 0xffffff - sent)));
    expect(read[0]!.payload).toHaveLength(0xffffff);
    const { user, system } = process.threadCpuUsage(before);
    expect(user + system).toBeLessThan(2_000_000);
  });

  it('bounds what unfinished messages hold in memory', () => {
    const reader = new ChunkReader({ ...DEFAULT_CHUNK_READER_LIMITS, maxUnfinishedBytes: 1000 });
    const open = (id: number) => hex(`0${id} 000000 0f0000 09 01000000 ${'aa'.repeat(128)}`);
    expect(protocolErrorCode(() => [3, 4, 5, 6, 7, 8, 9].forEach((id) => reader.push(open(id))))).toBe('none');
    expect(protocolErrorCode(() => reader.push(hex(`0a 000000 0f0000 09 01000000 ${'aa'.repeat(128)}`)))).toBe(
      'RTMP_UNFINISHED_BYTES',
    );
  });

  it('throws nothing but a ProtocolError for random bytes, and the same for any split', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 10 }), (random, cuts) => {
        const bytes = Buffer.from(random);
        const inside = cuts.filter((cut) => cut <= bytes.length);
        const whole = protocolErrorCode(() => readInPieces(bytes, []));
        expect(protocolErrorCode(() => readInPieces(bytes, inside))).toBe(whole);
      }),
      { numRuns: 1000 },
    );
  });
});
