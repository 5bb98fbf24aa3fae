import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rtpPayloadType, rtpSequence, rtpSsrc, writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import { SequenceUnwrapper } from '../../../src/protocol/rtp/unwrap.ts';
import { NackGenerator } from '../../../src/webrtc/receive/nack-generator.ts';
import { PacketStore } from '../../../src/webrtc/receive/packet-store.ts';
import { ReorderBuffer } from '../../../src/webrtc/receive/reorder-buffer.ts';
import { unwrapRtx, writeRtx } from '../../../src/webrtc/receive/rtx.ts';

function rtp(sequence: number, payloadBytes = 4): Buffer {
  const packet = Buffer.alloc(12 + payloadBytes, sequence & 0xff);
  writeRtpHeader(packet, { payloadType: 96, marker: true, sequence, timestamp: sequence * 10, ssrc: 7 });
  return packet;
}

describe('NackGenerator', () => {
  it('asks for every one of 60 losses after losing 65535 and 0', () => {
    const unwrapper = new SequenceUnwrapper();
    const nacks = new NackGenerator();
    const lost = new Set([65_535, 65_536, ...Array.from({ length: 60 }, (_, i) => 65_600 + i * 7)]);
    const asked = new Set<number>();
    for (let index = 65_500; index < 66_100; index++) {
      const nowUs = index * 5000;
      if (!lost.has(index)) nacks.received(unwrapper.unwrap(index & 0xffff), nowUs);
      for (const sequence of nacks.poll(nowUs).sequences) asked.add(sequence);
    }
    expect(asked).toEqual(new Set([...lost].map((index) => index & 0xffff)));
  });

  it('waits 10 ms or two later packets before the first request', () => {
    const nacks = new NackGenerator();
    nacks.received(10, 0);
    nacks.received(12, 1000);
    expect(nacks.poll(10_999).sequences).toEqual([]);
    expect(nacks.poll(11_000).sequences).toEqual([11]);
    nacks.received(14, 12_000);
    nacks.received(15, 12_001);
    expect(nacks.poll(12_001).sequences).toEqual([13]);
  });

  it('never asks for a packet that was merely late', () => {
    const nacks = new NackGenerator();
    nacks.received(10, 0);
    nacks.received(12, 1000);
    nacks.received(11, 2000);
    nacks.received(13, 3000);
    expect(nacks.poll(60_000)).toEqual({ sequences: [], givenUpPackets: 0, isHopeless: false });
  });

  it('repeats once per round trip, ten times at most, and gives up after 500 ms', () => {
    const nacks = new NackGenerator();
    nacks.received(1, 0);
    nacks.received(3, 0);
    const askedAtUs: number[] = [];
    let givenUpAtUs = 0;
    for (let nowUs = 0; nowUs <= 600_000; nowUs += 1000) {
      const verdict = nacks.poll(nowUs);
      if (verdict.sequences.length > 0) askedAtUs.push(nowUs);
      if (verdict.givenUpPackets === 1) givenUpAtUs = nowUs;
    }
    expect(askedAtUs).toEqual(Array.from({ length: 10 }, (_, i) => 10_000 + i * 50_000));
    expect(givenUpAtUs).toBe(500_000);
  });

  it('learns the round trip from its repairs but never repeats faster than every 20 ms', () => {
    const fast = new NackGenerator();
    const slow = new NackGenerator();
    for (let i = 0; i < 100; i++) {
      for (const [nacks, rttUs] of [
        [fast, 1000],
        [slow, 300_000],
      ] as const) {
        const startUs = i * 1_000_000;
        nacks.received(i * 2, startUs);
        nacks.received(i * 2 + 2, startUs);
        nacks.poll(startUs + 10_000);
        nacks.received(i * 2 + 1, startUs + 10_000 + rttUs);
      }
    }
    expect(fast.rttUs).toBeCloseTo(1000, -2);
    expect(slow.rttUs).toBeCloseTo(300_000, -3);
    fast.received(1000 - 798, 200_000_000);
    fast.poll(200_010_000);
    expect(fast.poll(200_029_000).sequences).toEqual([]);
    expect(fast.poll(200_030_000).sequences).toEqual([201]);
  });

  it('gives up a jump of more than 1,000 packets at once', () => {
    const nacks = new NackGenerator();
    nacks.received(1, 0);
    nacks.received(1500, 0);
    expect(nacks.poll(20_000)).toEqual({ sequences: [], givenUpPackets: 0, isHopeless: true });
    expect(nacks.poll(30_000).isHopeless).toBe(false);
  });
});

describe('PacketStore', () => {
  it('finds the last packets by sequence number across the wrap and forgets older ones', () => {
    const store = new PacketStore(64);
    for (let index = 65_500; index < 65_600; index++) expect(store.put(rtp(index), index, index)).toBe(true);
    expect(store.find(65_535)).toBeUndefined();
    for (let index = 65_536; index < 65_600; index++) expect(store.find(index & 0xffff)).toEqual(rtp(index));
    expect(store.indexOf(5)).toBe(65_541);
    expect(store.find(64)).toBeUndefined();
  });

  it('refuses duplicates, packets older than its slots and packets beyond 1,500 bytes', () => {
    const store = new PacketStore(64);
    expect(store.put(rtp(70), 70, 0)).toBe(true);
    expect(store.put(rtp(70), 70, 0)).toBe(false);
    expect(store.put(rtp(6), 6, 0)).toBe(false);
    expect(store.put(rtp(7), 7, 0)).toBe(true);
    expect(store.put(rtp(71, 1489), 71, 0)).toBe(false);
    expect(store.put(rtp(72, 1488), 72, 0)).toBe(true);
  });
});

describe('RTX', () => {
  it('gives back the original, with extension and padding', () => {
    const original = Buffer.concat([rtp(65_535, 0), Buffer.from([0xbe, 0xde, 0, 1, 0x10, 5, 0, 0, 1, 2, 3, 0, 2])]);
    original[0] = 0xb0;
    const target = Buffer.alloc(1500);
    const length = writeRtx(original, target, { ssrc: 99, payloadType: 97, sequence: 5, originalSequence: 65_535 });
    const rtx = target.subarray(0, length);
    expect([length, rtpSsrc(rtx), rtpPayloadType(rtx), rtpSequence(rtx)]).toEqual([original.length + 2, 99, 97, 5]);
    expect(unwrapRtx(rtx, 7, 96)).toEqual(original);
  });

  it('takes padding probes and malformed packets for no repetition', () => {
    const probe = Buffer.concat([rtp(1, 0), Buffer.from([0, 0, 0, 4])]);
    probe[0] = 0xa0;
    expect(unwrapRtx(probe, 7, 96)).toBeUndefined();
    expect(unwrapRtx(Buffer.alloc(5), 7, 96)).toBeUndefined();
    expect(writeRtx(rtp(1), Buffer.alloc(17), { ssrc: 1, payloadType: 1, sequence: 1, originalSequence: 1 })).toBe(-1);
  });
});

describe('ReorderBuffer', () => {
  function harness(options: { capacity?: number; maxPackets?: number } = {}) {
    const events: (number | string)[] = [];
    const reorder = new ReorderBuffer({
      store: new PacketStore(options.capacity ?? 2048),
      maxPackets: options.maxPackets,
      onPacket: (packet, index) => events.push(rtpSequence(packet) === (index & 0xffff) ? index : 'wrong packet'),
      onLost: (first, count) => events.push(`lost ${first}+${count}`),
    });
    return { events, push: (index: number, nowUs = 0) => reorder.push(rtp(index), index, nowUs), reorder };
  }

  it('orders any shuffle with duplicates across the wrap', () => {
    const order = fc.shuffledSubarray(
      Array.from({ length: 100 }, (_, i) => 65_500 + i),
      { minLength: 100 },
    );
    fc.assert(
      fc.property(order, fc.array(fc.nat(99)), (indexes, duplicates) => {
        const { events, push } = harness();
        push(65_499);
        for (const index of [...indexes, ...duplicates.map((i) => 65_500 + i)]) push(index);
        expect(events).toEqual([65_499, ...indexes.toSorted((a, b) => a - b)]);
      }),
      { numRuns: 30 },
    );
  });

  it('waits 500 ms for a hole, each hole from the time it was known', () => {
    const { events, push, reorder } = harness();
    push(1, 0);
    push(3, 100_000);
    push(6, 300_000);
    reorder.poll(599_999);
    expect(events).toEqual([1]);
    reorder.poll(600_000);
    expect(events).toEqual([1, 'lost 2+1', 3]);
    push(4, 650_000);
    reorder.poll(799_999);
    expect(events).toEqual([1, 'lost 2+1', 3, 4]);
    reorder.poll(800_000);
    expect(events).toEqual([1, 'lost 2+1', 3, 4, 'lost 5+1', 6]);
    expect(push(5, 900_000)).toBe(true);
    expect(events).toHaveLength(6);
  });

  it('is bounded: what is too far ahead gives up the oldest holes', () => {
    const { events, push } = harness({ capacity: 16, maxPackets: 8 });
    push(0);
    for (const index of [2, 4, 9]) push(index);
    expect(events).toEqual([0, 'lost 1+1', 2]);
    push(1_000_000);
    expect(events).toEqual([0, 'lost 1+1', 2, 'lost 3+1', 4, 'lost 5+4', 9, 'lost 10+999990', 1_000_000]);
  });

  it('survives a packet that the store refuses, wherever it lies', () => {
    const { events, push, reorder } = harness({ capacity: 16, maxPackets: 8 });
    push(0);
    expect(reorder.push(rtp(500, 2000), 500, 0)).toBe(false);
    push(501);
    push(1000);
    reorder.poll(1_000_000);
    expect(events.at(-1)).toBe(1000);
  });

  it('gives every packet once, in order, and counts every other one as lost, for any losses', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(30_000)), { maxLength: 200 }), (steps) => {
        const { events, push, reorder } = harness({ capacity: 32 });
        let nowUs = 0;
        const base = 65_530;
        push(base, 0);
        steps.forEach(([ahead, waitUs], i) => {
          nowUs += waitUs;
          push(base + i + ahead, nowUs);
          reorder.poll(nowUs);
        });
        let next = base;
        for (const event of events) {
          const lost = /^lost (\d+)\+(\d+)$/.exec(String(event));
          expect(lost === null ? event : Number(lost[1])).toBe(next);
          next += lost === null ? 1 : Number(lost[2]);
        }
      }),
    );
  });

  it('consumes padding-only packets without delivering them', () => {
    const { events, push, reorder } = harness();
    push(1);
    const padding = Buffer.concat([rtp(2, 0), Buffer.from([0, 2])]);
    padding[0] = 0xa0;
    reorder.push(padding, 2, 0);
    push(3);
    expect(events).toEqual([1, 3]);
  });
});
