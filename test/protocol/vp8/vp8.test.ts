import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { Vp8Depacketizer } from '../../../src/protocol/vp8/depacketizer.ts';
import { isVp8KeyframeStart, vp8DataOffset, vp8KeyframeSize } from '../../../src/protocol/vp8/descriptor.ts';
import { writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import type { RtpVideoFrame } from '../../../src/protocol/rtp/video-frame.ts';

/** A keyframe header of 640x360 (with scaling bits set), then filler. */
function keyframe(bytes = 20): Buffer {
  return Buffer.concat([
    Buffer.from([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x81]),
    Buffer.alloc(bytes, 0xaa),
  ]);
}

function interframe(bytes = 20): Buffer {
  return Buffer.concat([Buffer.from([0x11]), Buffer.alloc(bytes, 0xbb)]);
}

/** All extension bits with a long picture id, as browsers send it. */
function descriptor(isStart: boolean): Buffer {
  return Buffer.from([isStart ? 0x90 : 0x80, 0xf0, 0x92, 0x34, 0x05, 0x61]);
}

function rtp(payload: Buffer, timestamp: number, marker: boolean): Buffer {
  const header = Buffer.alloc(12);
  writeRtpHeader(header, { payloadType: 96, marker, sequence: 0, timestamp, ssrc: 7 });
  return Buffer.concat([header, payload]);
}

function packetize(frame: Buffer, timestamp: number, maxBytes: number, withMarker = true): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < frame.length; at += maxBytes) {
    const payload = Buffer.concat([descriptor(at === 0), frame.subarray(at, at + maxBytes)]);
    packets.push(rtp(payload, timestamp, withMarker && at + maxBytes >= frame.length));
  }
  return packets;
}

function sink(maxFrameBytes?: number) {
  const frames: RtpVideoFrame[] = [];
  return { frames, vp8: new Vp8Depacketizer({ maxFrameBytes, onFrame: (frame) => frames.push(frame) }) };
}

describe('VP8 payload descriptor', () => {
  it.each([
    ['no extension', [0x10, 1], 1],
    ['extension without fields', [0x90, 0x00, 1], 2],
    ['short picture id', [0x90, 0x80, 0x12, 1], 3],
    ['long picture id', [0x90, 0x80, 0x92, 0x34, 1], 4],
    ['TL0PICIDX', [0x90, 0x40, 5, 1], 3],
    ['TID alone', [0x90, 0x20, 5, 1], 3],
    ['KEYIDX alone', [0x90, 0x10, 5, 1], 3],
    ['everything', [0x90, 0xf0, 0x92, 0x34, 5, 6, 1], 6],
    ['no data', [0x90, 0x80, 0x12], -1],
    ['cut extension', [0x90], -1],
    ['nothing', [], -1],
  ])('finds the data behind %s', (_name, bytes, offset) => {
    expect(vp8DataOffset(Buffer.from(bytes), 0, bytes.length)).toBe(offset);
  });

  it('tells the start of a keyframe from later packets and other frames', () => {
    const starts = [...packetize(keyframe(), 1, 8), ...packetize(interframe(), 2, 8)].map((packet) =>
      isVp8KeyframeStart(packet, 12, packet.length),
    );
    expect(starts).toEqual([true, false, false, false, false, false, false]);
  });

  it('reads the size without the scaling bits', () => {
    expect(vp8KeyframeSize(keyframe())).toEqual({ width: 640, height: 360 });
    expect(vp8KeyframeSize(interframe())).toBeUndefined();
    expect(vp8KeyframeSize(keyframe().fill(0, 3, 6))).toBeUndefined();
  });
});

describe('VP8 over RTP', () => {
  it('gives back every frame for any payload size, with and without markers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1200 }),
        fc.boolean(),
        fc.array(fc.nat(3000), { minLength: 1, maxLength: 5 }),
        (maxBytes, withMarker, sizes) => {
          const { frames, vp8 } = sink();
          const sent = [keyframe(500), ...sizes.map((bytes) => interframe(bytes))];
          const packets = sent.flatMap((frame, i) => packetize(frame, i, maxBytes, withMarker));
          for (const packet of packets) vp8.push(packet, 5);
          const expected = withMarker ? sent : sent.slice(0, -1);
          expect(frames.map((frame) => frame.data)).toEqual(expected);
          expect(frames.map((frame) => frame.isKeyframe)).toEqual(expected.map((_, i) => i === 0));
          expect(frames.every((frame) => frame.width === 640 && frame.height === 360)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives nothing after a loss until the next keyframe, whichever packet is lost', () => {
    const sent = [keyframe(100), interframe(100), interframe(50), keyframe(70), interframe(30)];
    const packets = sent.flatMap((frame, i) => packetize(frame, i, 25).map((packet) => ({ packet, frame: i })));
    packets.forEach((lost, lostAt) => {
      const { frames, vp8 } = sink();
      packets.forEach(({ packet }, i) => (i === lostAt ? vp8.lost() : vp8.push(packet, 0)));
      const expected = [0, 1, 2, 3, 4].filter((i) => i < lost.frame || (lost.frame < 3 && i >= 3));
      expect(frames.map((frame) => frame.rtpTimestamp)).toEqual(expected);
      expect(vp8.isWaitingForKeyframe).toBe(lost.frame >= 3);
    });
  });

  it('drops a frame whose first partition start is missing', () => {
    const { frames, vp8 } = sink();
    for (const packet of packetize(keyframe(), 1, 25)) vp8.push(packet, 0);
    for (const packet of packetize(interframe(60), 2, 25).slice(1)) vp8.push(packet, 0);
    for (const packet of packetize(interframe(), 3, 25)) vp8.push(packet, 0);
    expect(frames.map((frame) => frame.rtpTimestamp)).toEqual([1]);
    expect(vp8.isWaitingForKeyframe).toBe(true);
  });

  it('limits the frame', () => {
    const { vp8 } = sink(100);
    expect(() => vp8.push(packetize(keyframe(200), 1, 1000)[0]!, 0)).toThrow(
      expect.objectContaining({ code: 'VP8_FRAME_SIZE' }),
    );
  });

  it('throws nothing but ProtocolError on random payloads', () => {
    const feed = () =>
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 30 }), fc.nat(3), fc.boolean())), (packets) => {
          const { vp8 } = sink(200);
          for (const [payload, timestamp, marker] of packets) {
            try {
              vp8.push(rtp(Buffer.from(payload), timestamp, marker), 0);
            } catch (error) {
              if (!(error instanceof ProtocolError)) throw error;
            }
          }
        }),
      );
    expect(feed).not.toThrow();
  });
});
