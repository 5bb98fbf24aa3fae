import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { OggOpusWriter } from '../../../src/protocol/ogg/opus-writer.ts';
import { OggPacketReader } from '../../../src/protocol/ogg/packet-reader.ts';
import { oggChecksum } from '../../../src/protocol/ogg/page.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';
import { splitAt } from '../../support/split-bytes.ts';

const anyPackets = fc.array(
  fc.uint8Array({ maxLength: 1200 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 6 },
);

function written(packets: readonly Buffer[]): Buffer {
  const writer = new OggOpusWriter(7);
  return Buffer.concat([writer.header(), ...packets.map((packet) => writer.packet(packet, 960))]);
}

function codeOf(bytes: Buffer, maxPacketBytes = 2000): string {
  return protocolErrorCode(() => new OggPacketReader({ maxPacketBytes }).push(bytes));
}

/** A page with the given lacing values; its body is zeros. */
function page(flags: number, sequence: number, lacing: readonly number[]): Buffer {
  const body = lacing.reduce((sum, value) => sum + value, 0);
  const bytes = Buffer.alloc(27 + lacing.length + body);
  bytes.write('OggS', 'latin1');
  bytes[5] = flags;
  bytes.fill(0xff, 6, 14);
  bytes.writeUInt32LE(sequence, 18);
  bytes[26] = lacing.length;
  Buffer.from(lacing).copy(bytes, 27);
  bytes.writeUInt32LE(oggChecksum(bytes), 22);
  return bytes;
}

describe('Ogg', () => {
  it('gives back every packet with its granule position, however the bytes are split', () => {
    fc.assert(
      fc.property(anyPackets, fc.array(fc.nat(9000)), (packets, cuts) => {
        const bytes = written(packets);
        const reader = new OggPacketReader({ maxPacketBytes: 2000 });
        const inRange = cuts.map((cut) => cut % (bytes.length + 1));
        const read = splitAt(bytes, inRange).flatMap((part) => reader.push(part));
        expect(read[0]!.data.toString('latin1', 0, 8)).toBe('OpusHead');
        expect(read[1]!.data.toString('latin1', 0, 8)).toBe('OpusTags');
        const expected = packets.map((data, index) => ({ data, granulePosition: (index + 1) * 960 }));
        expect(read.slice(2)).toEqual(expected);
      }),
    );
  });

  it('throws nothing but ProtocolError for any bytes, also behind a good start', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, hasStart) => {
        const start = hasStart ? written([]) : Buffer.alloc(0);
        expect(codeOf(Buffer.concat([start, bytes]))).toMatch(/^OGG_|^none$/);
      }),
    );
  });

  it('notices every single changed bit of a page', () => {
    const bytes = written([]);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const changed = Buffer.from(bytes);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        const reader = new OggPacketReader({ maxPacketBytes: 2000 });
        let read = 0;
        const code = protocolErrorCode(() => (read = reader.push(changed).length));
        expect(code !== 'none' || read < 2).toBe(true);
      }),
    );
  });

  it('joins a packet that goes over pages, and a page without an end of packet has no position', () => {
    const bytes = Buffer.concat([page(2, 0, [255, 255]), page(1, 1, [255, 10, 5])]);
    const packets = new OggPacketReader({ maxPacketBytes: 2000 }).push(bytes);
    expect(packets.map(({ data, granulePosition }) => [data.length, granulePosition])).toEqual([
      [775, undefined],
      [5, undefined],
    ]);
  });

  it('names what is wrong', () => {
    const start = page(2, 0, [3]);
    const otherSerial = page(0, 1, [3]);
    otherSerial[14] = 9;
    otherSerial.writeUInt32LE(oggChecksum(otherSerial), 22);
    expect(codeOf(Buffer.concat([start, page(0, 2, [3])]))).toBe('OGG_SEQUENCE');
    expect(codeOf(Buffer.concat([start, page(1, 1, [3])]))).toBe('OGG_CONTINUATION');
    expect(codeOf(Buffer.concat([page(2, 0, [255]), page(0, 1, [3])]))).toBe('OGG_CONTINUATION');
    expect(codeOf(Buffer.concat([start, otherSerial]))).toBe('OGG_SERIAL');
    expect(codeOf(Buffer.concat([page(2, 0, [255, 255]), page(1, 1, [255])]), 700)).toBe('OGG_PACKET_SIZE');
    expect(codeOf(Buffer.from('not an Ogg stream at all, is it?'))).toBe('OGG_CAPTURE');
  });

  it('does not write a packet that needs two pages', () => {
    expect(() => new OggOpusWriter().packet(Buffer.alloc(65_025), 960)).toThrow(ProtocolError);
    expect(codeOf(written([Buffer.alloc(65_024)]), 70_000)).toBe('none');
  });

  it('counts positions beyond 32 bits', () => {
    const writer = new OggOpusWriter();
    const bytes = Buffer.concat([writer.header(), writer.packet(Buffer.from('a'), 2 ** 33)]);
    expect(new OggPacketReader({ maxPacketBytes: 100 }).push(bytes).at(-1)!.granulePosition).toBe(2 ** 33);
  });
});
