import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/domain/errors.ts';
import { MatroskaWriter, type MatroskaTrack } from '../../../src/protocol/matroska/writer.ts';

const VIDEO: MatroskaTrack = { kind: 'video', number: 1, codec: 'h264', width: 640, height: 360 };
const AUDIO: MatroskaTrack = { kind: 'audio', number: 2, codec: 'opus' };
const CLUSTER = Buffer.from('1f43b67501ffffffffffffff', 'hex');

/** Reads block heads back, keeping the cluster's time as a reader of the file would. */
class HeadReader {
  #clusterMs = Number.NaN;

  read(head: Buffer): { timeMs: number; track: number; isKey: boolean; size: number; startsCluster: boolean } {
    const startsCluster = head.subarray(0, CLUSTER.length).equals(CLUSTER);
    let offset = 0;
    if (startsCluster) {
      const length = head[CLUSTER.length + 1]! & 0x7f;
      if (head[CLUSTER.length] !== 0xe7) throw new Error('a cluster without a timestamp');
      offset = CLUSTER.length + 2 + length;
      this.#clusterMs = Number.parseInt(head.toString('hex', CLUSTER.length + 2, offset), 16);
    }
    if (head[offset] !== 0xa3 || head.length !== offset + 9) throw new Error('not the head of a SimpleBlock');
    const size = head.readUInt32BE(offset + 1) - 0x1000_0000 - 4;
    const timeMs = this.#clusterMs + head.readInt16BE(offset + 6);
    return { timeMs, track: head[offset + 5]! & 0x7f, isKey: head[offset + 8] === 0x80, size, startsCluster };
  }
}

describe('the Matroska writer', () => {
  it('writes any times so that they are read back to the millisecond, never before zero', () => {
    const anyBlock = fc.record({
      track: fc.constantFrom(1, 2),
      timeMs: fc.integer({ min: -5_000, max: 2 ** 40 }),
      isKey: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(anyBlock), fc.nat(10_000_000), (blocks, baseUs) => {
        const writer = new MatroskaWriter({ tracks: [VIDEO, AUDIO], baseUs });
        const reader = new HeadReader();
        for (const { track, timeMs, isKey } of blocks.toSorted((left, right) => right.timeMs - left.timeMs)) {
          const read = reader.read(writer.blockHead(track, baseUs + timeMs * 1000, isKey, 77));
          expect(read).toMatchObject({ timeMs: Math.max(0, timeMs), track, isKey, size: 77 });
        }
      }),
    );
  });

  it('gives units of one track that follow each other within a millisecond different times', () => {
    const writer = new MatroskaWriter({ tracks: [VIDEO, AUDIO], baseUs: 0 });
    const reader = new HeadReader();
    const times = [0, 100, 200, 5_000].map((ptsUs) => reader.read(writer.blockHead(2, ptsUs, false, 1)).timeMs);
    expect(times).toEqual([0, 1, 2, 5]);
    expect(reader.read(writer.blockHead(1, 5_000, true, 1)).timeMs).toBe(5);
  });

  it('starts a cluster with the first block, with a keyframe and after two seconds only', () => {
    const writer = new MatroskaWriter({ tracks: [VIDEO, AUDIO], baseUs: 0 });
    const reader = new HeadReader();
    const starts = (track: number, ms: number, isKey: boolean) =>
      reader.read(writer.blockHead(track, ms * 1000, isKey, 1)).startsCluster;
    expect(starts(2, 0, false)).toBe(true);
    expect(starts(2, 20, false)).toBe(false);
    expect(starts(1, 40, true)).toBe(true);
    expect(starts(2, 30, false)).toBe(false);
    expect(starts(1, 2_040, false)).toBe(false);
    expect(starts(1, 2_041, false)).toBe(true);
  });

  it('refuses unknown tracks, doubled numbers and blocks that have no size', () => {
    const writer = new MatroskaWriter({ tracks: [VIDEO], baseUs: 0 });
    expect(() => writer.blockHead(2, 0, false, 1)).toThrow(ProtocolError);
    expect(() => writer.blockHead(1, 0, false, 2 ** 28)).toThrow(ProtocolError);
    expect(() => new MatroskaWriter({ tracks: [VIDEO, VIDEO], baseUs: 0 })).toThrow(ProtocolError);
  });
});
