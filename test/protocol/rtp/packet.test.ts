import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  findHeaderExtension,
  headerExtensionBytes,
  transportSequence,
} from '../../../src/protocol/rtp/header-extension.ts';
import {
  isRtcp,
  rtpMarker,
  rtpPayloadEnd,
  rtpPayloadOffset,
  rtpPayloadType,
  rtpSequence,
  rtpSsrc,
  rtpTimestamp,
  setRtpPayloadType,
  writeRtpHeader,
} from '../../../src/protocol/rtp/packet.ts';

function header(firstByte = 0x80): Buffer {
  const bytes = Buffer.alloc(12);
  writeRtpHeader(bytes, { payloadType: 96, marker: true, sequence: 0xfffe, timestamp: 0xfedcba98, ssrc: 0xdeadbeef });
  bytes[0] = firstByte;
  return bytes;
}

function withExtension(profile: number, elements: readonly number[], payload: readonly number[] = [1]): Buffer {
  const padded = [...elements, ...Array.from({ length: (4 - (elements.length % 4)) % 4 }, () => 0)];
  const words = padded.length / 4;
  return Buffer.concat([
    header(0x90),
    Buffer.from([profile >> 8, profile & 0xff, words >> 8, words & 0xff, ...padded, ...payload]),
  ]);
}

describe('RTP header', () => {
  it('gives back the fields that were written', () => {
    const packet = header();
    expect([rtpPayloadType(packet), rtpSequence(packet), rtpTimestamp(packet), rtpSsrc(packet)]).toEqual([
      96, 0xfffe, 0xfedcba98, 0xdeadbeef,
    ]);
    setRtpPayloadType(packet, 100);
    expect([rtpMarker(packet), rtpPayloadType(packet)]).toEqual([true, 100]);
  });

  it('ends before CSRCs, extension and padding', () => {
    const csrcs = Buffer.concat([header(0x82), Buffer.alloc(8), Buffer.from([7])]);
    expect([rtpPayloadOffset(csrcs), rtpPayloadEnd(csrcs)]).toEqual([20, 21]);
    expect(rtpPayloadOffset(withExtension(0xbede, [0x10, 5]))).toBe(20);
    const padded = Buffer.concat([header(0xa0), Buffer.from([9, 9, 0, 0, 3])]);
    expect([rtpPayloadOffset(padded), rtpPayloadEnd(padded)]).toEqual([12, 14]);
    const paddingOnly = Buffer.concat([header(0xa0), Buffer.from([0, 2])]);
    expect(rtpPayloadEnd(paddingOnly)).toBe(rtpPayloadOffset(paddingOnly));
  });

  it.each([
    ['short', Buffer.alloc(11, 0x80)],
    ['of another version', header(0x40)],
    ['with CSRCs missing', header(0x81)],
    ['with a cut extension', Buffer.concat([header(0x90), Buffer.from([0xbe, 0xde, 0, 1, 0])])],
    ['with an extension header missing', header(0x90)],
  ])('is malformed when %s', (_name, packet) => {
    expect(rtpPayloadOffset(packet)).toBe(-1);
    expect(rtpPayloadEnd(packet)).toBe(-1);
  });

  it('is malformed with more padding than payload, or padding of 0', () => {
    for (const bytes of [[], [5, 3], [1, 0]]) {
      expect(rtpPayloadEnd(Buffer.concat([header(0xa0), Buffer.from(bytes)]))).toBe(-1);
    }
  });

  it('is told from RTCP by the second byte', () => {
    expect([isRtcp(header()), isRtcp(Buffer.from([0x80, 200])), isRtcp(Buffer.from([0x80]))]).toEqual([
      false,
      true,
      false,
    ]);
  });
});

describe('RTP header extensions', () => {
  it('are found in one-byte form, behind padding and other elements', () => {
    const packet = withExtension(0xbede, [0x12, 1, 2, 3, 0, 0x31, 0xab, 0xcd, 0x50, 9]);
    expect(transportSequence(packet, 3)).toBe(0xabcd);
    expect(headerExtensionBytes(packet, findHeaderExtension(packet, 1))).toBe(3);
    expect(transportSequence(packet, 5)).toBe(-1);
    expect(findHeaderExtension(packet, 4)).toBe(-1);
  });

  it('are found in two-byte form, empty elements too', () => {
    const packet = withExtension(0x1000, [20, 0, 0, 3, 2, 0x12, 0x34]);
    expect(transportSequence(packet, 3)).toBe(0x1234);
    expect(headerExtensionBytes(packet, findHeaderExtension(packet, 20))).toBe(0);
  });

  it('end at the reserved id 15 and at an element that does not fit', () => {
    expect(findHeaderExtension(withExtension(0xbede, [0xf0, 0, 0x31, 1, 2]), 3)).toBe(-1);
    expect(findHeaderExtension(withExtension(0xbede, [0x3f, 1, 2]), 3)).toBe(-1);
    expect(findHeaderExtension(withExtension(0x1000, [3, 9, 2]), 3)).toBe(-1);
  });

  it('of a foreign profile are ignored', () => {
    expect(findHeaderExtension(withExtension(0x1234, [0x31, 1, 2]), 3)).toBe(-1);
  });

  it('never lead out of the packet on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 14 }), fc.boolean(), (bytes, id, one) => {
        const packet = Buffer.from(bytes);
        if (packet.length > 13) packet.set([0x90, 96, 0, 0], 0);
        if (packet.length > 16) packet.set(one ? [0xbe, 0xde, 0, 2] : [0x10, 0, 0, 2], 12);
        const position = findHeaderExtension(packet, id);
        const end = position < 0 ? 0 : position + headerExtensionBytes(packet, position);
        expect(end).toBeLessThanOrEqual(Math.max(0, rtpPayloadOffset(packet)));
        expect(rtpPayloadEnd(packet)).toBeLessThanOrEqual(packet.length);
      }),
    );
  });
});
