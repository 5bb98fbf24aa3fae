import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFlvAudio } from '../../../src/protocol/flv/audio-tag.ts';
import { parseFlvVideo } from '../../../src/protocol/flv/video-tag.ts';
import { aacFrame, aacSequenceHeader } from '../../../src/protocol/flv/write-audio.ts';
import { avcFrame, avcSequenceHeader } from '../../../src/protocol/flv/write-video.ts';
import { avccToAnnexB } from '../../../src/protocol/h264/nal.ts';
import { ChunkReader } from '../../../src/protocol/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../../src/protocol/rtmp/chunk-writer.ts';
import { MESSAGE_TYPE } from '../../../src/protocol/rtmp/raw-message.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const BASELINE_SPS = Buffer.from('6742c01fda014016e9a80808080f1c322a80', 'hex');
const HIGH_SPS = Buffer.from('67640028acd940780227e5c05a8080809a000003000200000300781e30632c', 'hex');
const PPS = Buffer.from('68ce3c80', 'hex');
const START_CODE = Buffer.from([0, 0, 0, 1]);

/** A NAL unit that could be: no start code inside, no zero at its end. */
const anyNal = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes.map((b) => b || 1)));

describe('the body of a video message', () => {
  it('gives back the access unit that it was written from, its parameter sets included', () => {
    const compositionTime = fc.integer({ min: -10_000, max: 10_000 });
    fc.assert(
      fc.property(fc.array(anyNal, { maxLength: 6 }), fc.boolean(), compositionTime, (nals, isKeyframe, cts) => {
        const annexB = Buffer.concat(nals.flatMap((nal) => [START_CODE, nal]));
        const video = parseFlvVideo(Buffer.concat(avcFrame(annexB, isKeyframe, cts)));
        if (video.kind !== 'avc-frame') throw new Error(video.kind);
        expect(video).toMatchObject({ isKeyframe, compositionTimeMs: cts });
        expect(avccToAnnexB(video.avcc, 4)).toEqual(annexB);
      }),
    );
  });

  it('does not copy the pictures', () => {
    const annexB = Buffer.alloc(18);
    annexB.write('00000001674200000168ce0000000165aabb', 'hex');
    const parts = avcFrame(annexB, true, 0);
    expect(Buffer.concat(parts).toString('hex')).toBe('17010000000000000267420000000268ce0000000365aabb');
    expect(parts.filter((part) => part.buffer === annexB.buffer)).toHaveLength(3);
  });

  it('bounds composition times that no encoder means', () => {
    const timeOf = (compositionTimeMs: number) => parseFlvVideo(Buffer.concat(avcFrame(PPS, false, compositionTimeMs)));
    expect(timeOf(1e12)).toMatchObject({ compositionTimeMs: 0x7fffff });
    expect(timeOf(-1e12)).toMatchObject({ compositionTimeMs: -0x7fffff });
  });

  it('announces the parameter sets, with chroma format and bit depths for the profiles that have them', () => {
    const baseline = avcSequenceHeader([BASELINE_SPS], [PPS]);
    expect(parseFlvVideo(baseline)).toMatchObject({
      kind: 'avc-config',
      configuration: { profileIdc: 66, levelIdc: 31, nalLengthBytes: 4, spss: [BASELINE_SPS], ppss: [PPS] },
    });
    expect(baseline.subarray(-PPS.length)).toEqual(PPS);
    const high = avcSequenceHeader([HIGH_SPS], [PPS]);
    expect(parseFlvVideo(high)).toMatchObject({ kind: 'avc-config', configuration: { profileIdc: 100, levelIdc: 40 } });
    expect(high.subarray(-4).toString('hex')).toBe('fdf8f800');
    expect(protocolErrorCode(() => avcSequenceHeader([], [PPS]))).toBe('H264_AVC_CONFIGURATION');
  });
});

describe('the body of an audio message', () => {
  it('gives back the configuration or frame that it was written from', () => {
    const config = Buffer.from('1190', 'hex');
    expect(parseFlvAudio(aacSequenceHeader(config))).toEqual({ kind: 'aac-config', audioSpecificConfig: config });
    fc.assert(
      fc.property(anyNal, (frame) => {
        expect(parseFlvAudio(Buffer.concat(aacFrame(frame)))).toEqual({ kind: 'aac-frame', frame });
      }),
    );
  });
});

describe('a message in parts', () => {
  it('is the same bytes as the whole message, and comes back whole, at every chunk size and timestamp', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 6 });
    const timestamp = fc.oneof(fc.nat(0xffffff + 2), fc.integer({ min: 0, max: 2 ** 33 }));
    fc.assert(
      fc.property(parts, timestamp, fc.constantFrom(128, 129, 1000, 65_536), (arrays, timestampMs, chunkSize) => {
        const pieces = arrays.map((bytes) => Buffer.from(bytes));
        const header = { typeId: MESSAGE_TYPE.video, timestampMs, streamId: 1 };
        const writer = new ChunkWriter();
        const reader = new ChunkReader();
        reader.push(writer.setChunkSize(chunkSize));
        const bytes = writer.encodeParts(header, pieces);
        const payload = Buffer.concat(pieces);
        expect(bytes).toEqual(writer.encode({ ...header, payload }));
        expect(reader.push(bytes)).toEqual([{ ...header, timestampMs: timestampMs % 2 ** 32, payload }]);
      }),
    );
  });

  it('carries 2 MB keyframes with an extended timestamp on each chunk', () => {
    const writer = new ChunkWriter();
    const reader = new ChunkReader();
    reader.push(writer.setChunkSize(65_536));
    const annexB = Buffer.concat([START_CODE, Buffer.alloc(2_000_000, 0x65)]);
    const header = { typeId: MESSAGE_TYPE.video, timestampMs: 0xfffffff0, streamId: 1 };
    const bytes = writer.encodeParts(header, avcFrame(annexB, true, 40));
    expect(bytes).toHaveLength(12 + 4 + 5 + 4 + 2_000_000 + 30 * 5);
    const [message] = reader.push(bytes);
    expect(message).toMatchObject(header);
    expect(message!.payload.subarray(9).equals(annexB.subarray(4))).toBe(true);
  });

  it('is refused when it is longer than a message can be', () => {
    const parts = [Buffer.alloc(0xffffff), Buffer.alloc(1)];
    const header = { typeId: MESSAGE_TYPE.video, timestampMs: 0, streamId: 1 };
    expect(protocolErrorCode(() => new ChunkWriter().encodeParts(header, parts))).toBe('RTMP_MESSAGE_TOO_LONG');
  });
});
