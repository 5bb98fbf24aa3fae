import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, it, expect } from 'vitest';
import { createSrtpReceiver } from '../../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../../src/webrtc/srtp/sender.ts';
import type { SrtpMaster, SrtpProfile, SrtpReceiver, SrtpSender } from '../../../src/webrtc/srtp/srtp.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const CYCLE = 65_536;

interface Pair {
  readonly sender: SrtpSender;
  readonly receiver: SrtpReceiver;
  /** A protected packet of an index. */
  readonly seal: (index: number, ssrc?: number) => Buffer;
  /** Whether the receiver takes the packet of an index and finds in it what was sent. */
  readonly passes: (index: number, ssrc?: number) => boolean;
}

function rtpPacket(index: number, ssrc = 0x11223344, payload = Buffer.from(`payload ${index}`)): Buffer {
  const header = Buffer.from('806000000000000000000000', 'hex');
  header.writeUInt16BE(index % CYCLE, 2);
  header.writeUInt32BE(ssrc, 8);
  return Buffer.concat([header, payload]);
}

function rtcpPacket(text: string, ssrc = 0x11223344): Buffer {
  const header = Buffer.from('80c8000600000000', 'hex');
  header.writeUInt32BE(ssrc, 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

function createPair(profile: SrtpProfile): Pair {
  const master: SrtpMaster = { key: randomBytes(16), salt: randomBytes(profile === 'AEAD_AES_128_GCM' ? 12 : 14) };
  const sender = createSrtpSender(profile, master);
  const receiver = createSrtpReceiver(profile, master);
  const seal = (index: number, ssrc?: number): Buffer => Buffer.from(sender.protectRtp(rtpPacket(index, ssrc), index));
  const passes = (index: number, ssrc?: number): boolean =>
    receiver.unprotectRtp(seal(index, ssrc))?.equals(rtpPacket(index, ssrc)) ?? false;
  return { sender, receiver, seal, passes };
}

function indexes(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => from + at);
}

describe.each(PROFILES)('%s over RTP', (profile) => {
  it('opens what it protected, with CSRCs, header extension and any payload', () => {
    fc.assert(
      fc.property(
        fc.nat(15),
        fc.option(fc.nat(20)),
        fc.uint8Array({ maxLength: 1400 }),
        fc.nat(0x7fff),
        (csrcs, extensionWords, payload, sequenceNumber) => {
          const fixed = rtpPacket(sequenceNumber, 7, Buffer.alloc(0));
          fixed[0] = 0x80 | (extensionWords === null ? 0 : 0x10) | csrcs;
          const extension =
            extensionWords === null
              ? Buffer.alloc(0)
              : Buffer.concat([Buffer.from([0xbe, 0xde, 0, extensionWords]), randomBytes(4 * extensionWords)]);
          const header = Buffer.concat([fixed, randomBytes(4 * csrcs), extension]);
          const plain = Buffer.concat([header, payload]);
          const { sender, receiver } = createPair(profile);
          const sealed = Buffer.from(sender.protectRtp(plain, sequenceNumber));
          expect(sealed.subarray(0, header.length)).toEqual(header);
          expect(payload.length >= 8 && sealed.includes(Buffer.from(payload))).toBe(false);
          expect(receiver.unprotectRtp(sealed)).toEqual(plain);
        },
      ),
    );
  });

  it('follows the roll-over counter through several wraps', () => {
    const { passes } = createPair(profile);
    for (let index = 60_000; index < 5 * CYCLE; index += 997) expect(passes(index)).toBe(true);
  });

  it.each([1, 300, 20_000, 32_767, 32_768, 32_769, 40_000, 65_000])(
    'goes on after %i packets were lost across the wrap',
    (lost) => {
      const { passes, receiver } = createPair(profile);
      expect(indexes(65_500, 20).every((index) => passes(index))).toBe(true);
      expect(indexes(65_520 + lost, 50).every((index) => passes(index))).toBe(true);
      expect(passes(65_520 + lost + 40_000)).toBe(true);
      expect(receiver.counters).toEqual({ authFailures: 0, replays: 0, malformed: 0 });
    },
  );

  it('takes late packets of before the wrap', () => {
    const { passes } = createPair(profile);
    expect([CYCLE - 10, CYCLE + 3, CYCLE - 9, CYCLE + 2, CYCLE - 1, CYCLE + 4].every((index) => passes(index))).toBe(
      true,
    );
  });

  it('starts on a stream whose first packets, before the wrap, were lost', () => {
    const { passes } = createPair(profile);
    expect(passes(CYCLE + 1)).toBe(true);
    expect(passes(CYCLE + 2)).toBe(true);
  });

  it('drops a packet that comes again, at once or late, and one that is too old', () => {
    const { passes, receiver, seal } = createPair(profile);
    expect(passes(100)).toBe(true);
    expect(passes(100)).toBe(false);
    expect(passes(99)).toBe(true);
    for (const index of indexes(101, 500)) passes(index);
    expect(passes(100)).toBe(false);
    expect(receiver.counters.replays).toBe(2);

    const old = seal(98);
    for (const index of indexes(601, 1200)) passes(index);
    expect(receiver.unprotectRtp(old)).toBeUndefined();
    expect(receiver.counters).toEqual({ authFailures: 0, replays: 3, malformed: 0 });
  });

  it('remembers at least 128 packets behind the newest one, each by itself', () => {
    const { passes } = createPair(profile);
    for (const index of indexes(1000, 129).filter((each) => each % 2 === 0)) expect(passes(index)).toBe(true);
    for (const index of indexes(1000, 129)) expect(passes(index)).toBe(index % 2 === 1);
    for (const index of indexes(1000, 129)) expect(passes(index)).toBe(false);
  });

  it('drops a packet with any bit changed, and then still takes the true one', () => {
    const { receiver, seal } = createPair(profile);
    const sealed = seal(1234);
    fc.assert(
      fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
        const forged = Buffer.from(sealed);
        forged[bit >>> 3]! ^= 1 << (bit & 7);
        expect(receiver.unprotectRtp(forged)).toBeUndefined();
      }),
    );
    expect(receiver.counters.replays).toBe(0);
    expect(receiver.unprotectRtp(sealed)).toEqual(rtpPacket(1234));
  });

  it('is not led astray by forged sequence numbers', () => {
    const { passes, receiver, seal } = createPair(profile);
    expect(passes(10)).toBe(true);
    for (const sequenceNumber of [40_000, 65_535, 1500]) {
      const forged = seal(11);
      forged.writeUInt16BE(sequenceNumber, 2);
      expect(receiver.unprotectRtp(forged)).toBeUndefined();
    }
    expect(receiver.counters.authFailures).toBe(3);
    expect(indexes(11, 20).every((index) => passes(index))).toBe(true);
  });

  it('keeps a window for each of 64 SSRCs, and none for what did not authenticate', () => {
    const { passes, receiver, seal } = createPair(profile);
    for (let ssrc = 1000; ssrc < 1100; ssrc++) {
      const forged = seal(1, ssrc);
      forged[forged.length - 1]! ^= 1;
      receiver.unprotectRtp(forged);
    }
    for (let ssrc = 1; ssrc <= 64; ssrc++) expect(passes(ssrc * 300, ssrc)).toBe(true);
    expect(passes(5, 65)).toBe(false);
    expect(passes(301, 1)).toBe(true);
    expect(receiver.counters).toEqual({ authFailures: 100, replays: 0, malformed: 1 });
  });

  it('refuses to protect what is not an RTP packet of at most 2048 bytes', () => {
    const { sender } = createPair(profile);
    for (const plain of [Buffer.alloc(0), Buffer.alloc(12), rtpPacket(1, 1, Buffer.alloc(2037))])
      expect(() => sender.protectRtp(plain, 1)).toThrow(expect.objectContaining({ code: 'SRTP_PLAIN_PACKET' }));
    expect(() => sender.protectRtp(rtpPacket(1, 1, Buffer.alloc(2036)), 1)).not.toThrow();
  });
});

describe.each(PROFILES)('%s over RTCP', (profile) => {
  it('opens what it protected and hides all behind the first 8 bytes', () => {
    const { sender, receiver } = createPair(profile);
    for (const text of ['', 'report', 'x'.repeat(1000)]) {
      const plain = rtcpPacket(text);
      const sealed = Buffer.from(sender.protectRtcp(plain));
      expect(sealed.subarray(0, 8)).toEqual(plain.subarray(0, 8));
      expect(text !== '' && sealed.includes(text)).toBe(false);
      expect(receiver.unprotectRtcp(sealed)).toEqual(plain);
    }
  });

  it('drops a report that comes again or has any bit changed', () => {
    const { sender, receiver } = createPair(profile);
    const sealed = Buffer.from(sender.protectRtcp(rtcpPacket('report')));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const forged = Buffer.from(sealed);
      forged[bit >>> 3]! ^= 1 << (bit & 7);
      expect(receiver.unprotectRtcp(forged)).toBeUndefined();
    }
    expect(receiver.unprotectRtcp(sealed)).toEqual(rtcpPacket('report'));
    expect(receiver.unprotectRtcp(sealed)).toBeUndefined();
    expect(receiver.counters.replays).toBe(1);
  });

  it('takes reports of two SSRCs of one sender, in another order', () => {
    const { sender, receiver } = createPair(profile);
    const sealed = [1, 2, 1, 2].map((ssrc, at) => Buffer.from(sender.protectRtcp(rtcpPacket(`report ${at}`, ssrc))));
    for (const at of [3, 0, 2, 1])
      expect(receiver.unprotectRtcp(sealed[at]!)).toEqual(rtcpPacket(`report ${at}`, at % 2 === 0 ? 1 : 2));
  });

  it('refuses to protect what is too short or too long', () => {
    const { sender } = createPair(profile);
    for (const bytes of [0, 7, 2049])
      expect(() => sender.protectRtcp(Buffer.alloc(bytes))).toThrow(
        expect.objectContaining({ code: 'SRTP_PLAIN_PACKET' }),
      );
  });
});

describe.each(PROFILES)('%s and bytes from anywhere', (profile) => {
  it('never throws and never accepts', () => {
    const { receiver } = createPair(profile);
    const anyBytes = fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ minLength: 2000, maxLength: 2100 }));
    fc.assert(
      fc.property(anyBytes, fc.boolean(), (bytes, looksLikeRtp) => {
        const packet = Buffer.from(bytes);
        if (looksLikeRtp && packet.length > 0) packet[0] = 0x80 | (packet[0]! & 0x1f);
        expect(receiver.unprotectRtp(packet)).toBeUndefined();
        expect(receiver.unprotectRtcp(packet)).toBeUndefined();
      }),
    );
  });

  it('drops every truncation of a true packet and report', () => {
    const { receiver, seal, sender } = createPair(profile);
    const rtp = seal(1);
    const rtcp = Buffer.from(sender.protectRtcp(rtcpPacket('report')));
    for (let bytes = 0; bytes < rtp.length; bytes++)
      expect(receiver.unprotectRtp(rtp.subarray(0, bytes))).toBeUndefined();
    for (let bytes = 0; bytes < rtcp.length; bytes++)
      expect(receiver.unprotectRtcp(rtcp.subarray(0, bytes))).toBeUndefined();
  });

  it('drops a header extension that is longer than the packet as malformed', () => {
    const { receiver, seal } = createPair(profile);
    const sealed = seal(1);
    sealed[0] = 0x90;
    sealed.writeUInt16BE(0xffff, 14);
    expect(receiver.unprotectRtp(sealed)).toBeUndefined();
    expect(receiver.counters).toEqual({ authFailures: 0, replays: 0, malformed: 1 });
  });

  it('drops a report that says that it is not encrypted', () => {
    const { receiver, sender } = createPair(profile);
    const sealed = Buffer.from(sender.protectRtcp(rtcpPacket('report')));
    const indexAt = sealed.length - (profile === 'AEAD_AES_128_GCM' ? 4 : 14);
    sealed[indexAt]! &= 0x7f;
    expect(receiver.unprotectRtcp(sealed)).toBeUndefined();
    expect(receiver.counters.malformed).toBe(1);
  });
});
