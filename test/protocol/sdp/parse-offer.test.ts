import { readFileSync } from 'node:fs';
import { assert, nat, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseOffer } from '../../../src/protocol/sdp/parse-offer.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

function vector(name: string): string {
  return readFileSync(new URL(`../../vectors/sdp/${name}.sdp`, import.meta.url), 'utf8');
}

const publish = vector('publish');

describe('parseOffer', () => {
  it('reads what Chromium publishes', () => {
    const offer = parseOffer(publish);
    expect(offer.bundle).toEqual(['0', '1']);
    const [audio, video] = offer.sections;
    expect(audio).toMatchObject({
      kind: 'audio',
      mid: '0',
      port: 9,
      protocol: 'UDP/TLS/RTP/SAVPF',
      direction: 'sendonly',
      rtcpMux: true,
    });
    expect(audio?.payloads[0]).toEqual({
      pt: 111,
      codec: 'opus',
      clockRateHz: 48_000,
      channels: 2,
      fmtp: new Map([
        ['minptime', '10'],
        ['useinbandfec', '1'],
      ]),
      rtcpFb: new Set(['transport-cc']),
      rtxPt: undefined,
    });
    expect(video?.payloads.find((one) => one.codec === 'vp8')).toMatchObject({ pt: 96, rtxPt: 97 });
    expect(video?.payloads.some((one) => one.codec === 'rtx')).toBe(false);
    expect(video?.fid?.ssrc).toBe(video?.ssrcs[0]);
    expect(video?.fid?.rtxSsrc).toBe(video?.ssrcs[1]);
    expect(video?.extensions.get('http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01')).toBe(3);
    expect(video?.transport).toMatchObject({ setup: 'actpass', fingerprints: [{ algorithm: 'sha-256' }] });
    expect(video?.msid).toBe(audio?.msid);
  });

  it('gives the same for LF as for CRLF', () => {
    expect(parseOffer(publish.replaceAll('\r\n', '\n'))).toEqual(parseOffer(publish));
  });

  it('takes sections without a mid, which then are in no group', () => {
    const offer = parseOffer(publish.replaceAll(/a=mid:.*\r\n/g, ''));
    expect(offer.sections.map((one) => one.mid)).toEqual([undefined, undefined]);
    expect(offer.bundle).toEqual([]);
  });

  it('drops retransmissions of payload types that codec stripping has removed', () => {
    const stripped = publish.replaceAll(/a=(rtpmap|fmtp|rtcp-fb):96 .*\r\n/g, '').replace(/(m=video 9 \S+) 96 /, '$1 ');
    const video = parseOffer(stripped).sections[1];
    expect(video?.payloads.some((one) => [96, 97].includes(one.pt))).toBe(false);
    expect(video?.payloads.every((one) => one.rtxPt !== 97)).toBe(true);
  });

  it('keeps payload types whose fmtp and rtcp-fb lines are lost', () => {
    const stripped = publish.replaceAll(/a=(fmtp|rtcp-fb):9.*\r\n/g, '');
    const vp8 = parseOffer(stripped).sections[1]?.payloads.find((one) => one.pt === 96);
    expect(vp8).toMatchObject({ codec: 'vp8', rtxPt: undefined });
    expect(vp8?.rtcpFb.size).toBe(0);
  });

  it('lets sections inherit credentials, fingerprint, setup and direction from the session', () => {
    const offer = parseOffer(
      [
        'v=0',
        'a=ice-ufrag:abcd',
        `a=ice-pwd:${'p'.repeat(24)}`,
        `a=fingerprint:SHA-256 ${Array.from({ length: 32 }, () => 'ab').join(':')}`,
        'a=setup:active',
        'a=recvonly',
        'm=audio 9 RTP/SAVPF 0 8',
      ].join('\n'),
    );
    expect(offer.sections[0]).toMatchObject({ direction: 'recvonly', transport: { setup: 'active' } });
    expect(offer.sections[0]?.transport?.fingerprints[0]).toEqual({
      algorithm: 'sha-256',
      value: Array.from({ length: 32 }, () => 'AB').join(':'),
    });
    expect(offer.sections[0]?.payloads.map((one) => one.codec)).toEqual(['pcmu', 'pcma']);
  });

  it('merges a second fmtp line and applies feedback for all payload types', () => {
    const offer = parseOffer(
      'v=0\nm=audio 9 RTP/SAVPF 111\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10\na=fmtp:111 stereo=1; sprop-stereo=1\na=rtcp-fb:* nack pli',
    );
    expect(offer.sections[0]?.payloads[0]?.fmtp).toEqual(
      new Map([
        ['minptime', '10'],
        ['stereo', '1'],
        ['sprop-stereo', '1'],
      ]),
    );
    expect(offer.sections[0]?.payloads[0]?.rtcpFb).toEqual(new Set(['nack pli']));
  });

  it('has no transport for offers without ICE, as of the MSE provider', () => {
    expect(parseOffer('v=0\nm=video 0 RTP/AVP 112\na=rtpmap:112 H264/90000').sections[0]?.transport).toBeUndefined();
  });

  it.each([
    ['SDP_VERSION', ''],
    ['SDP_VERSION', 'o=- 0 0 IN IP4 0.0.0.0'],
    ['SDP_MEDIA_LINE', 'v=0\nm=audio'],
    ['SDP_MEDIA_LINE', 'v=0\nm=audio 70000 RTP/SAVPF 0'],
    ['SDP_MEDIA_LINE', 'v=0\nm=aud\u0001io 9 RTP/SAVPF 0'],
    ['SDP_MID', 'v=0\nm=audio 9 RTP/SAVPF 0\na=mid:0\nm=video 9 RTP/SAVPF 96\na=mid:0'],
    ['SDP_MID', 'v=0\nm=audio 9 RTP/SAVPF 0\na=mid:0 1'],
    ['SDP_TOO_LARGE', `v=0\n${'a=x\n'.repeat(3001)}`],
    ['SDP_TOO_LARGE', `v=0\na=${'x'.repeat(100_001)}`],
    ['SDP_TOO_LARGE', `v=0\n${'m=audio 9 RTP/SAVPF 0\n'.repeat(17)}`],
  ])('throws %s for an offer that cannot be answered', (code, sdp) => {
    expect(protocolErrorCode(() => parseOffer(sdp))).toBe(code);
  });

  it('throws nothing but ProtocolError, however an offer is cut or damaged', () => {
    const isFine = (sdp: string) => /^(none|SDP_)/.test(protocolErrorCode(() => parseOffer(sdp)));
    const position = nat(publish.length);
    const damaged = property(position, position, string({ unit: 'binary', maxLength: 40 }), (from, to, junk) =>
      isFine(publish.slice(0, from) + junk + publish.slice(to)),
    );
    const random = property(string({ unit: 'binary', maxLength: 500 }), isFine);
    const oneLine = property(string({ maxLength: 300 }), (text) => isFine(`v=0\nm=${text}\na=${text}`));
    expect(() => assert(damaged, { numRuns: 400 })).not.toThrow();
    expect(() => assert(random)).not.toThrow();
    expect(() => assert(oneLine)).not.toThrow();
  });
});
