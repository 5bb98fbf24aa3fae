import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlvTagReader, type FlvTag } from '../../../src/protocol/flv/tag-reader.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';
import { splitAt } from '../../support/split-bytes.ts';

const TYPE_BYTE = { audio: 8, video: 9, script: 18 } as const;

function flv(tags: readonly FlvTag[]): Buffer {
  const parts: Buffer[] = [Buffer.from('464c5601050000000900000000', 'hex')];
  for (const { type, timestampMs, data } of tags) {
    const head = Buffer.alloc(11);
    head[0] = TYPE_BYTE[type];
    head.writeUIntBE(data.length, 1, 3);
    head.writeUIntBE(timestampMs % 0x100_0000, 4, 3);
    head[7] = Math.floor(timestampMs / 0x100_0000);
    const back = Buffer.alloc(4);
    back.writeUInt32BE(11 + data.length);
    parts.push(head, data, back);
  }
  return Buffer.concat(parts);
}

const anyTag = fc.record({
  type: fc.constantFrom('audio', 'video', 'script'),
  timestampMs: fc.nat(0xffff_ffff),
  data: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe('the FLV tag reader', () => {
  it('gives back what was written, however the bytes are split', () => {
    fc.assert(
      fc.property(fc.array(anyTag, { maxLength: 8 }), fc.array(fc.nat(3000)), (tags, cuts) => {
        const bytes = flv(tags);
        const reader = new FlvTagReader({ maxTagBytes: 300 });
        const inRange = cuts.map((cut) => cut % (bytes.length + 1));
        expect(splitAt(bytes, inRange).flatMap((part) => reader.push(part))).toEqual(tags);
      }),
    );
  });

  it('throws nothing but ProtocolError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, hasHeader) => {
        const start = hasHeader ? flv([]) : Buffer.alloc(0);
        const reader = new FlvTagReader({ maxTagBytes: 64 });
        expect(protocolErrorCode(() => reader.push(Buffer.concat([start, bytes])))).toMatch(/^FLV_|^none$/);
      }),
    );
  });

  it('refuses a tag that is too large as soon as its header is there', () => {
    const bytes = flv([{ type: 'video', timestampMs: 0, data: Buffer.alloc(1001) }]).subarray(0, 24);
    expect(protocolErrorCode(() => new FlvTagReader({ maxTagBytes: 1000 }).push(bytes))).toBe('FLV_TAG_SIZE');
  });

  it('names what is wrong', () => {
    const good = flv([{ type: 'audio', timestampMs: 1, data: Buffer.from('abc') }]);
    const broken = (offset: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes[offset]! ^= 0x55;
      return bytes;
    };
    const read = (bytes: Buffer) => protocolErrorCode(() => new FlvTagReader({ maxTagBytes: 1000 }).push(bytes));
    expect(read(good)).toBe('none');
    expect(read(broken(0))).toBe('FLV_SIGNATURE');
    expect(read(broken(13))).toBe('FLV_TAG_TYPE');
    expect(read(broken(good.length - 1))).toBe('FLV_BACK_POINTER');
  });
});
