import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { H264Depacketizer } from '../../../src/protocol/h264/depacketizer.ts';
import { isH264KeyframeStart } from '../../../src/protocol/h264/keyframe-start.ts';
import { H264Packetizer } from '../../../src/protocol/h264/packetizer.ts';
import { rtpPayloadOffset, rtpSequence, writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import type { RtpVideoFrame } from '../../../src/protocol/rtp/video-frame.ts';

const SPS = Buffer.from('6742c01fda0280bfe5c044000003000400000300f03c60ca80', 'hex');
const PPS = Buffer.from('68ce0fc8', 'hex');
const OTHER_SPS = Buffer.from('6742c028da01e0089f970110000003001000000303c0f1832a', 'hex');
const AUD = Buffer.from([0x09, 0xf0]);
/** first_mb_in_slice 0, slice_type 7, pic_parameter_set_id 0. */
const SLICE_HEADER = [0x88, 0x84];

function slice(type: number, bytes: number, fill = 0x55, header: readonly number[] = SLICE_HEADER): Buffer {
  return Buffer.concat([Buffer.from([0x60 | type, ...header]), Buffer.alloc(bytes, fill)]);
}

function annexB(...nals: Buffer[]): Buffer {
  return Buffer.concat(nals.flatMap((nal) => [Buffer.from([0, 0, 0, 1]), nal]));
}

function rtp(payload: Buffer, timestamp: number, marker = false): Buffer {
  const header = Buffer.alloc(12);
  writeRtpHeader(header, { payloadType: 96, marker, sequence: 0, timestamp, ssrc: 7 });
  return Buffer.concat([header, payload]);
}

function stapA(...nals: Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from([0x78]),
    ...nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 0xff]), nal]),
  ]);
}

function depacketizer(options: { spropParameterSets?: string; maxAccessUnitBytes?: number } = {}) {
  const frames: RtpVideoFrame[] = [];
  return { frames, depacketizer: new H264Depacketizer({ ...options, onFrame: (frame) => frames.push(frame) }) };
}

function framesOf(packets: readonly Buffer[]): RtpVideoFrame[] {
  const sink = depacketizer();
  packets.forEach((packet, i) => sink.depacketizer.push(packet, i));
  return sink.frames;
}

function packetizer(maxPayloadBytes: number, firstSequence = 65_530): H264Packetizer {
  return new H264Packetizer({ payloadType: 96, ssrc: 7, maxPayloadBytes, firstSequence });
}

const IDR = slice(5, 30);
const IDR_UNIT = annexB(SPS, PPS, IDR);

describe('H.264 over RTP', () => {
  it('gives back every access unit for any payload size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 1400 }),
        fc.array(fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        (maxPayloadBytes, unitSliceBytes) => {
          const units = [
            annexB(SPS, PPS, slice(5, 2000), slice(5, 40, 0x33, [0x44, 0x22])),
            ...unitSliceBytes.map((sizes) => annexB(...sizes.map((bytes) => slice(1, bytes)))),
          ];
          const source = packetizer(maxPayloadBytes);
          const packets = units.flatMap((unit, i) => source.packetize(unit, (0xffff_f000 + i * 3000) >>> 0));
          packets.forEach((packet, i) => {
            expect(packet.length).toBeLessThanOrEqual(12 + maxPayloadBytes);
            expect(rtpSequence(packet)).toBe((65_530 + i) & 0xffff);
          });
          const result = framesOf(packets);
          expect(result.map((frame) => frame.data)).toEqual(units);
          expect(result.map((frame) => frame.isKeyframe)).toEqual(units.map((_, i) => i === 0));
          expect(result.map((frame) => frame.rtpTimestamp)).toEqual(
            units.map((_, i) => (0xffff_f000 + i * 3000) >>> 0),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('aggregates parameter sets into one STAP-A, drops delimiters and knows the size of the picture', () => {
    const packets = packetizer(1200).packetize(annexB(AUD, SPS, PPS, IDR), 9000);
    expect(packets.map((packet) => packet[12]! & 0x1f)).toEqual([24, 5]);
    expect(framesOf(packets)).toEqual([
      { rtpTimestamp: 9000, arrivalUs: 0, isKeyframe: true, width: 640, height: 360, data: IDR_UNIT },
    ]);
  });

  it.each([
    ['STAP-A of everything', [rtp(stapA(AUD, SPS, PPS, IDR), 1, true)]],
    ['single NAL units', [rtp(AUD, 1), rtp(SPS, 1), rtp(PPS, 1), rtp(IDR, 1, true)]],
    ['sets with the previous timestamp', [rtp(SPS, 0), rtp(PPS, 0), rtp(IDR, 1, true)]],
    ['sets with markers of their own', [rtp(SPS, 0, true), rtp(PPS, 0, true), rtp(IDR, 1, true)]],
    ['sets sent twice', [rtp(SPS, 0), rtp(PPS, 0), rtp(stapA(SPS, PPS), 1), rtp(IDR, 1, true)]],
    ['no marker', [rtp(SPS, 1), rtp(PPS, 1), rtp(IDR, 1), rtp(slice(1, 5), 2)]],
  ])('accepts %s', (_name, packets) => {
    expect(framesOf(packets)[0]?.data).toEqual(IDR_UNIT);
  });

  it('joins the slices of an IDR into one keyframe with the sets in front', () => {
    const second = slice(5, 20, 0x22, [0x44, 0x22]);
    const result = framesOf([rtp(SPS, 1), rtp(PPS, 1), rtp(IDR, 1), rtp(second, 1, true)]);
    expect(result.map((frame) => frame.data)).toEqual([annexB(SPS, PPS, IDR, second)]);
  });

  it('puts remembered sets in front of every later IDR, from the SDP too', () => {
    const sink = depacketizer({ spropParameterSets: `${SPS.toString('base64')},${PPS.toString('base64')}` });
    for (const timestamp of [1, 2]) sink.depacketizer.push(rtp(IDR, timestamp, true), 0);
    expect(sink.frames.map((frame) => frame.data)).toEqual([IDR_UNIT, IDR_UNIT]);
  });

  it('gives no keyframe without its parameter sets', () => {
    expect(framesOf([rtp(IDR, 1, true), rtp(slice(1, 5), 2, true)])).toEqual([]);
  });

  it('takes over a changed SPS and its picture size', () => {
    const result = framesOf([
      rtp(stapA(SPS, PPS, IDR), 1, true),
      rtp(slice(1, 5), 2, true),
      rtp(stapA(OTHER_SPS, PPS, IDR), 3, true),
    ]);
    expect(result.map((frame) => [frame.width, frame.height])).toEqual([
      [640, 360],
      [640, 360],
      [1920, 1080],
    ]);
    expect(result[2]!.data).toEqual(annexB(OTHER_SPS, PPS, IDR));
  });

  it('begins with a keyframe and gives nothing after a loss until the next one', () => {
    const sink = depacketizer();
    const push = (nal: Buffer, timestamp: number) => sink.depacketizer.push(rtp(nal, timestamp, true), 0);
    push(slice(1, 5), 1);
    expect(sink.depacketizer.isWaitingForKeyframe).toBe(true);
    push(stapA(SPS, PPS, IDR), 2);
    expect(sink.depacketizer.isWaitingForKeyframe).toBe(false);
    push(slice(1, 5), 3);
    sink.depacketizer.lost();
    push(slice(1, 5), 4);
    push(slice(5, 20, 0x22, [0x44, 0x22]), 5);
    push(IDR, 6);
    expect(sink.frames.map((frame) => frame.rtpTimestamp)).toEqual([2, 3, 6]);
  });

  it('never gives a frame with a hole, whichever packet is lost', () => {
    const source = packetizer(50);
    const sent = [IDR_UNIT, annexB(slice(1, 300)), annexB(slice(5, 500)), annexB(slice(1, 100))];
    const units = sent.map((unit, i) => (i === 2 ? annexB(SPS, PPS, slice(5, 500)) : unit));
    const packets = sent.flatMap((unit, i) => source.packetize(unit, i));
    for (let lost = 0; lost < packets.length; lost++) {
      const sink = depacketizer();
      packets.forEach((packet, i) => (i === lost ? sink.depacketizer.lost() : sink.depacketizer.push(packet, 0)));
      for (const frame of sink.frames) expect(units).toContainEqual(frame.data);
      expect(sink.frames.length).toBeLessThan(units.length);
    }
  });

  it('treats malformed payloads as a loss', () => {
    for (const bad of [[0x78, 0, 9, 0x41], [0x78, 0, 0], [0x1d, 1, 2, 3], [0x7c, 0x01, 9], [0x7c, 0x81], [0]]) {
      const sink = depacketizer();
      sink.depacketizer.push(rtp(stapA(SPS, PPS, IDR), 1, true), 0);
      sink.depacketizer.push(rtp(Buffer.from(bad), 2, true), 0);
      expect(sink.depacketizer.isWaitingForKeyframe).toBe(true);
      sink.depacketizer.push(rtp(IDR, 3, true), 0);
      expect(sink.frames.length).toBe(2);
    }
  });

  it('limits the access unit and goes on at the next keyframe', () => {
    const sink = depacketizer({ maxAccessUnitBytes: 300 });
    sink.depacketizer.push(rtp(stapA(SPS, PPS, IDR), 1), 0);
    expect(() => sink.depacketizer.push(rtp(slice(5, 400), 1), 0)).toThrow(
      expect.objectContaining({ code: 'H264_ACCESS_UNIT_SIZE' }),
    );
    sink.depacketizer.push(rtp(IDR, 2, true), 0);
    expect(sink.frames.map((frame) => frame.rtpTimestamp)).toEqual([2]);
  });

  it('gives no picture of more units than any has, and goes on at the next keyframe', () => {
    const sink = depacketizer();
    const flood = Buffer.concat([IDR, Buffer.alloc(4 * 5000, Buffer.from([0, 0, 1, 0x65]))]);
    sink.depacketizer.push(rtp(stapA(SPS, PPS), 1), 0);
    expect(() => sink.depacketizer.push(rtp(flood, 1, true), 0)).toThrow(
      expect.objectContaining({ code: 'H264_NAL_COUNT' }),
    );
    expect(sink.depacketizer.isWaitingForKeyframe).toBe(true);
    sink.depacketizer.push(rtp(IDR, 2, true), 0);
    expect(sink.frames.map((frame) => frame.rtpTimestamp)).toEqual([2]);
  });

  it('throws nothing but ProtocolError on random payloads', () => {
    const feed = () =>
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(3), fc.boolean())), (packets) => {
          const sink = depacketizer({ maxAccessUnitBytes: 500 });
          sink.depacketizer.push(rtp(stapA(SPS, PPS, IDR), 9, true), 0);
          for (const [payload, timestamp, marker] of packets) {
            try {
              sink.depacketizer.push(rtp(Buffer.from(payload), timestamp, marker), 0);
            } catch (error) {
              if (!(error instanceof ProtocolError)) throw error;
            }
          }
        }),
      );
    expect(feed).not.toThrow();
  });
});

describe('H.264 keyframe start', () => {
  function isStart(packet: Buffer): boolean {
    return isH264KeyframeStart(packet, rtpPayloadOffset(packet), packet.length);
  }

  it('is seen in the first packet of a keyframe and in no packet of other frames', () => {
    for (const maxPayloadBytes of [10, 40, 1200]) {
      const key = packetizer(maxPayloadBytes).packetize(IDR_UNIT, 1);
      const delta = packetizer(maxPayloadBytes).packetize(annexB(slice(1, 100)), 2);
      expect(isStart(key[0]!)).toBe(true);
      expect(delta.some(isStart)).toBe(false);
    }
  });

  it('is the first slice of an IDR only, also behind a delimiter in a STAP-A', () => {
    expect(isStart(rtp(IDR, 1))).toBe(true);
    expect(isStart(rtp(slice(5, 20, 0x22, [0x44]), 1))).toBe(false);
    expect(isStart(rtp(stapA(AUD, IDR), 1))).toBe(true);
    expect(isStart(rtp(Buffer.from([0x78, 0xff, 0xff, 0x67]), 1))).toBe(false);
    expect(isStart(rtp(Buffer.alloc(0), 1))).toBe(false);
  });
});
