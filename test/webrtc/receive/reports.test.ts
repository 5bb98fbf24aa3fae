import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SequenceUnwrapper } from '../../../src/protocol/rtp/unwrap.ts';
import { ReceiveStatistics } from '../../../src/webrtc/receive/receive-statistics.ts';
import { SequenceRewriter } from '../../../src/webrtc/receive/sequence-rewriter.ts';
import { TwccRecorder } from '../../../src/webrtc/receive/twcc-recorder.ts';

describe('ReceiveStatistics', () => {
  it('counts loss since the last report and altogether, across the wrap and without duplicates', () => {
    const statistics = new ReceiveStatistics(90_000);
    const unwrapper = new SequenceUnwrapper();
    expect(statistics.report(1, 0, 0)).toBeUndefined();
    for (let index = 65_500; index < 65_600; index++) {
      for (let copies = index % 4 === 0 ? 0 : 2; copies > 0; copies--) {
        statistics.received(unwrapper.unwrap(index & 0xffff), 0, 0);
      }
    }
    // 65,500 is divisible by 4: the first packet is 65,501, so 24 of 99 are missing.
    expect(statistics.report(1, 2, 3)).toEqual({
      ssrc: 1,
      fractionLost: Math.floor((24 * 256) / 99),
      cumulativeLost: 24,
      extendedHighestSequence: 65_599,
      jitter: 0,
      lastSr: 2,
      delaySinceLastSr: 3,
    });
    expect([statistics.receivedPackets, statistics.duplicatePackets]).toEqual([75, 75]);
    statistics.received(65_596, 0, 0);
    statistics.received(65_600, 0, 0);
    expect(statistics.report(1, 0, 0)).toMatchObject({ fractionLost: 0, cumulativeLost: 23 });
  });

  it('estimates jitter as RFC 3550 A.8 does, across the wrap of the timestamp', () => {
    const statistics = new ReceiveStatistics(90_000);
    let jitter = 0;
    for (let i = 0; i < 200; i++) {
      const lateUs = i % 2 === 0 ? 0 : 4000;
      statistics.received(i, (0xffff_f000 + i * 3000) % 2 ** 32, Math.round((i * 1_000_000) / 30) + lateUs);
      if (i > 0) jitter += (360 - jitter) / 16;
    }
    expect(Math.abs((statistics.report(1, 0, 0)?.jitter ?? 0) - jitter)).toBeLessThan(2);
  });

  it('takes only the first packet of a frame for jitter', () => {
    const statistics = new ReceiveStatistics(90_000);
    for (let i = 0; i < 50; i++)
      statistics.received(i, Math.floor(i / 10) * 900, Math.floor(i / 10) * 10_000 + (i % 10) * 500);
    expect(statistics.report(1, 0, 0)?.jitter).toBe(0);
  });
});

describe('SequenceRewriter', () => {
  it('closes the gaps of dropped packets, keeps those of lost ones, and maps back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('forward', 'forward', 'forward', 'drop', 'lose', 'late'), { maxLength: 250 }),
        (fates) => {
          const rewriter = new SequenceRewriter();
          const base = 65_400;
          const outgoing = new Map<number, number>();
          const late: number[] = [];
          const mapped: [actual: number, expected: number][] = [];
          let dropped = 0;
          fates.forEach((fate, i) => {
            const index = base + i;
            if (fate === 'drop') {
              dropped += rewriter.drop(index) ? 1 : 0;
              return;
            }
            outgoing.set(index, index - dropped);
            if (fate === 'late') late.push(index);
            if (fate === 'forward') mapped.push([rewriter.map(index), index - dropped]);
          });
          expect(dropped).toBe(fates.filter((fate) => fate === 'drop').length);
          for (const [actual, expected] of mapped) expect(actual).toBe(expected);
          for (const index of late) expect(rewriter.map(index)).toBe(outgoing.get(index));
          const end = base + fates.length;
          rewriter.map(end);
          for (const [index, out] of outgoing) expect(rewriter.sourceOf(out & 0xffff)).toBe(index);
          fates.forEach((fate, i) => {
            expect(rewriter.map(base + i)).toBe(fate === 'drop' ? -1 : outgoing.get(base + i));
          });
        },
      ),
    );
  });

  it('cannot close a gap behind a packet that has been mapped', () => {
    const rewriter = new SequenceRewriter();
    expect(rewriter.map(10)).toBe(10);
    expect(rewriter.drop(9)).toBe(false);
    expect(rewriter.map(11)).toBe(11);
  });

  it('leaves one missing packet of a hole that is given up, and maps back around it', () => {
    const rewriter = new SequenceRewriter();
    expect(rewriter.map(100)).toBe(100);
    rewriter.skipTo(40_000);
    expect(rewriter.map(40_000)).toBe(102);
    expect(rewriter.map(39_999)).toBe(-1);
    expect(rewriter.map(101)).toBe(101);
    expect(rewriter.drop(40_001)).toBe(true);
    rewriter.skipTo(90_000);
    expect(rewriter.map(90_000)).toBe(104);
    expect([100, 101, 102, 104].map((outgoing) => rewriter.sourceOf(outgoing))).toEqual([100, 101, 40_000, 90_000]);
    rewriter.skipTo(90_001);
    rewriter.skipTo(90_002);
    expect(rewriter.map(90_002)).toBe(106);
  });

  it('forgets the oldest gaps and maps nothing wrongly because of it', () => {
    const rewriter = new SequenceRewriter();
    for (let index = 0; index < 2000; index += 2) {
      rewriter.map(index);
      rewriter.drop(index + 1);
    }
    expect(rewriter.map(2000)).toBe(1000);
    expect(rewriter.map(1900)).toBe(950);
    expect(rewriter.map(100)).toBe(-1);
    expect(rewriter.sourceOf(950)).toBe(1900);
    expect(rewriter.sourceOf(50)).toBe(-1);
  });
});

/** Symbols of one status chunk, read as the pictures in §3.1.3 and §3.1.4 of the draft show its bits. */
function chunkSymbols(chunk: number): number[] {
  const bits = chunk.toString(2).padStart(16, '0');
  if (bits.startsWith('0')) {
    return Array.from({ length: Number.parseInt(bits.slice(3), 2) }, () => Number.parseInt(bits.slice(1, 3), 2));
  }
  const symbols = bits.startsWith('10') ? /./g : /../g;
  return [...bits.slice(2).matchAll(symbols)].map(([symbol]) => Number.parseInt(symbol, 2));
}

/** Arrival time of each sequence number in µs, undefined for lost ones. Shares nothing with the code under test. */
function decode(messages: readonly Buffer[]): Map<number, number | undefined> {
  const arrivals = new Map<number, number | undefined>();
  for (const message of messages) {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const base = view.getUint16(12);
    const statusCount = view.getUint16(14);
    const symbols: number[] = [];
    let at = 20;
    for (; symbols.length < statusCount; at += 2) symbols.push(...chunkSymbols(view.getUint16(at)));
    let timeUs = (view.getUint32(16) >>> 8) * 64_000;
    symbols.slice(0, statusCount).forEach((symbol, i) => {
      if (symbol === 1) timeUs += view.getUint8(at) * 250;
      if (symbol === 2) timeUs += view.getInt16(at) * 250;
      at += symbol;
      arrivals.set((base + i) & 0xffff, symbol === 0 ? undefined : timeUs);
    });
  }
  return arrivals;
}

describe('TwccRecorder', () => {
  it('reports every received and every lost packet, across the wrap', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 900 }),
        fc.integer({ min: 1, max: 90_000 }),
        (fates, gapUs) => {
          const recorder = new TwccRecorder(1);
          const expected = new Map<number, boolean>();
          const sent = [true, ...fates, true];
          sent.forEach((arrives, i) => {
            const sequence = (65_300 + i) & 0xffff;
            expected.set(sequence, arrives);
            if (arrives) recorder.received(sequence, 7, 1_000_000 + i * gapUs);
          });
          const decoded = decode(recorder.poll(1_000_000_000));
          expect(new Map([...decoded].map(([sequence, arrival]) => [sequence, arrival !== undefined]))).toEqual(
            expected,
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives arrival times within one tick of 250 µs', () => {
    const recorder = new TwccRecorder(1);
    const arrivalsUs = [1_000_100, 1_000_900, 1_090_000, 1_089_000, 3_000_000];
    arrivalsUs.forEach((arrivalUs, i) => recorder.received(100 + i, 7, arrivalUs));
    const decoded = decode(recorder.poll(4_000_000));
    arrivalsUs.forEach((arrivalUs, i) => {
      expect(Math.abs(decoded.get(100 + i)! - arrivalUs)).toBeLessThanOrEqual(250);
    });
  });

  it('reports every 40 ms while packets come, each packet once', () => {
    const recorder = new TwccRecorder(1);
    recorder.received(1, 7, 0);
    expect(decode(recorder.poll(0)).size).toBe(1);
    recorder.received(2, 7, 10_000);
    expect(recorder.poll(39_999)).toEqual([]);
    expect([...decode(recorder.poll(40_000)).keys()]).toEqual([2]);
    expect(recorder.poll(200_000)).toEqual([]);
  });

  it('reports a late packet again with what followed it', () => {
    const recorder = new TwccRecorder(1);
    for (const sequence of [1, 3]) recorder.received(sequence, 7, 0);
    expect(decode(recorder.poll(0)).get(2)).toBeUndefined();
    recorder.received(2, 7, 30_000);
    const decoded = decode(recorder.poll(40_000));
    expect([...decoded.keys()]).toEqual([2, 3]);
    expect(decoded.get(2)).toBeDefined();
  });

  it('is bounded when the sequence jumps, and keeps its messages below 1,200 bytes', () => {
    const recorder = new TwccRecorder(1);
    recorder.received(1, 7, 0);
    recorder.received(30_000, 7, 1000);
    for (let i = 0; i < 3000; i++) recorder.received((30_001 + i * 2) & 0xffff, 7, (i % 2) * 100_000);
    const messages = recorder.poll(50_000);
    expect(messages.length).toBeLessThan(10);
    expect(Math.max(...messages.map((message) => message.length))).toBeLessThan(1200);
  });
});
