import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frame, FrameSplitter } from '../../src/webrtc/ice-tcp-framing.ts';

describe('RFC 4571 framing', () => {
  it('gives the same packets for any split of the stream', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }),
        (packets, cuts) => {
          const stream = Buffer.concat(packets.map((packet) => frame(Buffer.from(packet))));
          const splitter = new FrameSplitter({ maxFrameBytes: 64 });
          const got: Buffer[] = [];
          for (let at = 0, turn = 0; at < stream.length; turn++) {
            const end = at + cuts[turn % cuts.length]!;
            got.push(...splitter.push(stream.subarray(at, end)));
            at = end;
          }
          expect(got.map((packet) => [...packet])).toEqual(
            packets.filter((packet) => packet.length > 0).map((packet) => [...packet]),
          );
        },
      ),
    );
  });

  it('gives packets that later bytes do not change', () => {
    const splitter = new FrameSplitter({ maxFrameBytes: 4 });
    const [first] = splitter.push(Buffer.from([0, 1, 7]));
    splitter.push(Buffer.from([0, 1, 8]));
    expect(first).toEqual(Buffer.from([7]));
  });

  it('refuses a frame above the limit as soon as its length is known', () => {
    const splitter = new FrameSplitter({ maxFrameBytes: 300 });
    expect(splitter.push(frame(Buffer.alloc(300)))).toHaveLength(1);
    splitter.push(Buffer.from([1]));
    expect(() => splitter.push(Buffer.from([45]))).toThrow(expect.objectContaining({ code: 'ICE_TCP_FRAME' }));
  });
});
