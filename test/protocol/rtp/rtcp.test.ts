import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildBye,
  buildFir,
  buildNack,
  buildPli,
  buildReceiverReport,
  buildRemb,
  buildSdesCname,
  buildSenderReport,
} from '../../../src/protocol/rtp/rtcp-build.ts';
import { parseRtcp } from '../../../src/protocol/rtp/rtcp-parse.ts';
import { buildTransportFeedback } from '../../../src/protocol/rtp/transport-feedback.ts';

const REPORT = {
  ssrc: 0xf000_0001,
  fractionLost: 200,
  cumulativeLost: -3,
  extendedHighestSequence: 0x0001_fffe,
  jitter: 77,
  lastSr: 0xb705_2000,
  delaySinceLastSr: 0x54000,
};
const SENDER_REPORT = {
  ssrc: 0xfffffff0,
  ntp: { seconds: 0xe000_0000, fraction: 0x8000_0001 },
  rtpTimestamp: 0xffff_0000,
  packetCount: 5,
  octetCount: 6,
  reports: [REPORT],
};
const NACK = buildNack(1, 2, [500]);

function feedback(arrivals: readonly number[]) {
  return buildTransportFeedback({
    senderSsrc: 1,
    mediaSsrc: 2,
    feedbackCount: 9,
    baseSequence: 65_534,
    arrivalTicks: Float64Array.from(arrivals),
  });
}

describe('RTCP', () => {
  it('gives back everything that was built, in one compound', () => {
    const compound = Buffer.concat([
      buildSenderReport(SENDER_REPORT),
      buildReceiverReport(3, [REPORT, { ...REPORT, ssrc: 4 }]),
      buildSdesCname(3, 'transponder'),
      NACK,
      buildPli(1, 2),
      buildFir(1, 2, 255),
      buildRemb({ senderSsrc: 1, bitrateBps: 3_000_000, ssrcs: [2, 3] }),
      buildBye([1, 2]),
    ]);
    expect(parseRtcp(compound)).toEqual([
      { type: 'sr', ...SENDER_REPORT },
      { type: 'rr', ssrc: 3, reports: [REPORT, { ...REPORT, ssrc: 4 }] },
      { type: 'sdes', chunks: [{ ssrc: 3, cname: 'transponder' }] },
      { type: 'nack', senderSsrc: 1, mediaSsrc: 2, sequences: [500] },
      { type: 'pli', senderSsrc: 1, mediaSsrc: 2 },
      { type: 'fir', senderSsrc: 1, entries: [{ ssrc: 2, commandSequence: 255 }] },
      { type: 'remb', senderSsrc: 1, bitrateBps: 3_000_000, ssrcs: [2, 3] },
      { type: 'bye', ssrcs: [1, 2] },
    ]);
  });

  it('does not read a NACK past its end', () => {
    const [nack] = parseRtcp(Buffer.concat([NACK, buildReceiverReport(9, [])]));
    expect(nack).toMatchObject({ type: 'nack', sequences: [500] });
  });

  it('asks for any ascending sequences, neighbours sharing an entry across the wrap', () => {
    const across = buildNack(1, 2, [65_530, 65_535, 0, 10, 11]);
    expect(across.length).toBe(12 + 2 * 4);
    fc.assert(
      fc.property(fc.nat(65_535), fc.uniqueArray(fc.nat(2000), { minLength: 1 }), (first, distances) => {
        const sequences = distances.sort((a, b) => a - b).map((distance) => (first + distance) & 0xffff);
        expect(parseRtcp(buildNack(1, 2, sequences))).toMatchObject([{ sequences }]);
      }),
    );
  });

  it('reads SDES names of every length and skips other items', () => {
    for (let length = 0; length < 10; length++) {
      const name = 'x'.repeat(length);
      expect(parseRtcp(Buffer.concat([buildSdesCname(1, name), NACK]))).toMatchObject([
        { chunks: [{ ssrc: 1, cname: name }] },
        { type: 'nack' },
      ]);
    }
    const withTool = Buffer.from([0x81, 202, 0, 3, 0, 0, 0, 1, 6, 1, 65, 1, 1, 66, 0, 0]);
    expect(parseRtcp(withTool)).toEqual([{ type: 'sdes', chunks: [{ ssrc: 1, cname: 'B' }] }]);
  });

  it('encodes REMB within 18 significant bits', () => {
    for (const bitrateBps of [0, 262_143, 262_144, 1_234_567, 8e9]) {
      const [remb] = parseRtcp(buildRemb({ senderSsrc: 1, bitrateBps, ssrcs: [] }));
      const parsed = remb?.type === 'remb' ? remb.bitrateBps : Number.NaN;
      expect(parsed).toBeLessThanOrEqual(bitrateBps);
      expect(parsed).toBeGreaterThanOrEqual(bitrateBps * (1 - 2 ** -17));
    }
  });

  it('takes the largest value of a REMB for every rate above it, endless ones too', () => {
    for (const bitrateBps of [0x3ffff * 2 ** 63, 2 ** 90, Number.MAX_VALUE, Infinity]) {
      const parsed = parseRtcp(buildRemb({ senderSsrc: 1, bitrateBps, ssrcs: [2] }));
      expect(parsed).toEqual([{ type: 'remb', senderSsrc: 1, bitrateBps: 0x3ffff * 2 ** 63, ssrcs: [2] }]);
    }
  });

  it('skips unknown types and honours padding', () => {
    const unknown = Buffer.from([0x80, 207, 0, 1, 0, 0, 0, 1]);
    const padded = Buffer.from([0xa1, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4]);
    expect(parseRtcp(Buffer.concat([unknown, padded]))).toEqual([{ type: 'bye', ssrcs: [7] }]);
  });

  it('returns what came before a malformed part', () => {
    const malformed = [
      [0x81, 201, 0, 1, 0, 0, 0, 1],
      [0x80, 205, 0xff, 0xff],
      [0x00, 201, 0, 0],
      [0xa0, 203, 0, 1, 0, 0, 0, 99],
      [0x81, 206, 0, 1, 0, 0, 0, 1],
      [0x82, 203, 0, 1, 0, 0, 0, 1],
      [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 50, 65, 65],
      [0x84, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0],
      [0x80, 201],
    ];
    for (const bytes of malformed) {
      expect(parseRtcp(Buffer.concat([NACK, Buffer.from(bytes), NACK])).map((packet) => packet.type)).toEqual(['nack']);
    }
  });

  it('never throws, on random bytes and on damaged packets', () => {
    const valid = Buffer.concat([
      buildSenderReport(SENDER_REPORT),
      buildSdesCname(3, 'abc'),
      feedback([0, Number.NaN, 900, 10]).packet,
      buildRemb({ senderSsrc: 1, bitrateBps: 3e6, ssrcs: [2] }),
      buildFir(1, 2, 3),
    ]);
    const feed = () => {
      fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void parseRtcp(Buffer.from(bytes))));
      fc.assert(
        fc.property(
          fc.integer({ min: 192, max: 207 }),
          fc.nat(31),
          fc.uint8Array({ maxLength: 60 }),
          (type, count, bytes) => void parseRtcp(Buffer.from([0x80 | count, type, 0, bytes.length >> 2, ...bytes])),
        ),
      );
      fc.assert(
        fc.property(fc.nat(valid.length), fc.nat(valid.length - 1), fc.nat(255), (length, at, byte) => {
          const damaged = Buffer.from(valid);
          damaged[at] = byte;
          parseRtcp(damaged.subarray(0, length));
        }),
        { numRuns: 1000 },
      );
    };
    expect(feed).not.toThrow();
  });
});

describe('transport-wide feedback', () => {
  it('has the bytes of the draft for a small mixed message', () => {
    // Reference 1 (64 ms), then received after 0.5 ms, lost, received 64 ms later (large delta).
    const { packet } = feedback([258, Number.NaN, 258 + 256]);
    expect(packet.toString('hex')).toBe('8fcd00060000000100000002fffe000300000109d200020100000000');
    expect(parseRtcp(packet)).toEqual([
      {
        type: 'transport-cc',
        senderSsrc: 1,
        mediaSsrc: 2,
        feedbackCount: 9,
        baseSequence: 65_534,
        arrivalsUs: Float64Array.from([64_500, Number.NaN, 128_500]),
      },
    ]);
  });

  it('stops where a delta cannot be expressed', () => {
    expect(feedback([0, 10, 40_000, 40_001]).statusCount).toBe(2);
  });

  it('gives back all arrivals and losses, in runs and mixtures', () => {
    const arrival = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 255 }) },
      { weight: 1, arbitrary: fc.integer({ min: -2000, max: 20_000 }) },
      { weight: 2, arbitrary: fc.constant(Number.NaN) },
    );
    const runs = fc.array(fc.tuple(arrival, fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(runs, (steps) => {
        let ticks = 1_000_000;
        const arrivals = [ticks];
        for (const [step, count] of steps) {
          for (let i = 0; i < count; i++) {
            if (!Number.isNaN(step)) ticks += step;
            arrivals.push(Number.isNaN(step) ? Number.NaN : ticks);
          }
        }
        const { packet, statusCount } = feedback(arrivals);
        expect(statusCount).toBe(arrivals.length);
        const [parsed] = parseRtcp(packet);
        const expected = Float64Array.from(arrivals.map((value) => value * 250));
        expect(parsed).toMatchObject({ arrivalsUs: expected });
      }),
    );
  });
});
