import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/domain/errors.ts';
import { negotiatePlay, negotiatePublish } from '../../../src/protocol/sdp/negotiate.ts';
import { parseOffer } from '../../../src/protocol/sdp/parse-offer.ts';
import type { LocalTransport } from '../../../src/protocol/sdp/transport.ts';
import { writePlayAnswer, writePublishAnswer } from '../../../src/protocol/sdp/write-answer.ts';

function vector(name: string): string {
  return readFileSync(new URL(`../../vectors/sdp/${name}.sdp`, import.meta.url), 'utf8');
}

const local: LocalTransport = {
  iceUfrag: 'localufrag',
  icePwd: 'localpasswordlocalpassword',
  fingerprint: { algorithm: 'sha-256', value: 'AA:BB' },
  setup: 'passive',
  candidates: [{ foundation: '1', protocol: 'udp', priority: 2_130_706_431, address: '192.0.2.1', port: 31_000 }],
};
const second: LocalTransport = { ...local, iceUfrag: 'secondufrag' };
const options = { mediaSessionId: 'U1', createdMs: 1_700_000_000_000, maxBitrateKbps: 0 };

function publishPlan(sdp: string, maxBitrateKbps = 0) {
  return negotiatePublish(parseOffer(sdp), { ...options, maxBitrateKbps });
}

function publishAnswer(sdp: string, maxBitrateKbps = 0): string {
  return writePublishAnswer(publishPlan(sdp, maxBitrateKbps), [local, second]);
}

function playPlan(sdp: string, source: Parameters<typeof negotiatePlay>[1]) {
  return negotiatePlay(parseOffer(sdp), source, options);
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return 'none';
}

function section(answer: string, media: string): string {
  return answer.split('m=').find((one) => one.startsWith(media)) ?? '';
}

describe('the answer to a publisher', () => {
  it('takes Opus and constrained-baseline H.264 from Chromium, in one bundle', () => {
    const answer = publishAnswer(vector('publish'));
    expect(answer).toBe(
      [
        'v=0',
        'o=Transponder 0 1700000000000 IN IP4 192.0.2.1',
        's=Transponder/1.0',
        't=0 0',
        'a=group:BUNDLE 0 1',
        'a=ice-lite',
        'm=audio 31000 UDP/TLS/RTP/SAVPF 111',
        'c=IN IP4 192.0.2.1',
        'a=ice-ufrag:localufrag',
        'a=ice-pwd:localpasswordlocalpassword',
        'a=fingerprint:sha-256 AA:BB',
        'a=setup:passive',
        'a=candidate:1 1 udp 2130706431 192.0.2.1 31000 typ host',
        'a=end-of-candidates',
        'a=mid:0',
        'a=recvonly',
        'a=rtcp-mux',
        'a=rtcp-rsize',
        'a=rtpmap:111 opus/48000/2',
        'a=fmtp:111 minptime=10;useinbandfec=1',
        'a=rtcp-fb:111 transport-cc',
        'a=ptime:20',
        'a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
        'm=video 31000 UDP/TLS/RTP/SAVPF 108 109',
        'c=IN IP4 192.0.2.1',
        'a=ice-ufrag:localufrag',
        'a=ice-pwd:localpasswordlocalpassword',
        'a=fingerprint:sha-256 AA:BB',
        'a=setup:passive',
        'a=mid:1',
        'a=recvonly',
        'a=rtcp-mux',
        'a=rtcp-rsize',
        'a=rtpmap:108 H264/90000',
        'a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
        'a=rtcp-fb:108 transport-cc',
        'a=rtcp-fb:108 ccm fir',
        'a=rtcp-fb:108 nack',
        'a=rtcp-fb:108 nack pli',
        'a=rtpmap:109 rtx/90000',
        'a=fmtp:109 apt=108',
        'a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
        '',
      ].join('\r\n'),
    );
  });

  it('tells the media path payload types, SSRCs and extension', () => {
    const offer = parseOffer(vector('publish'));
    const plan = publishPlan(vector('publish'));
    expect(plan.transports).toEqual([offer.sections[0]?.transport]);
    expect(plan.video).toEqual({
      codec: 'h264',
      payloadType: 108,
      clockRateHz: 90_000,
      channels: 1,
      rtxPayloadType: 109,
      h264ProfileLevelId: '42e01f',
      feedback: { nack: true, nackPli: true, ccmFir: true, googRemb: false, transportCc: true },
      transportIndex: 0,
      ssrc: offer.sections[1]?.fid?.ssrc,
      rtxSsrc: offer.sections[1]?.fid?.rtxSsrc,
      transportCcExtensionId: 3,
    });
    expect(plan.audio?.ssrc).toBe(offer.sections[0]?.ssrcs[0]);
  });

  it('never accepts the orientation extension, so that the browser turns the picture itself', () => {
    expect(vector('publish')).toContain('urn:3gpp:video-orientation');
    expect(publishAnswer(vector('publish'))).not.toContain('video-orientation');
  });

  it('falls back to goog-remb where transport-cc is not offered', () => {
    const answer = publishAnswer(vector('publish').replaceAll(/a=extmap:3 .*\r\n/g, ''));
    expect(answer).toContain('a=rtcp-fb:108 goog-remb');
    expect(answer).not.toContain('transport-cc');
    expect(answer).not.toContain('a=extmap');
  });

  it('takes VP8 when no H.264 is offered', () => {
    const plan = publishPlan(vector('publish').replaceAll('H264', 'H265'));
    expect(plan.video).toMatchObject({ codec: 'vp8', payloadType: 96, rtxPayloadType: 97 });
  });

  it('prefers packetization-mode=1 and baseline to what comes first', () => {
    const sdp = vector('publish').replaceAll('42e01f', '640c1f');
    expect(publishPlan(sdp).video?.h264ProfileLevelId).toBe('42001f');
  });

  it('keeps the feedback of a payload type whose lines codec stripping has taken', () => {
    const sdp = vector('publish').replaceAll(/a=rtcp-fb:108.*\r\n/g, '');
    expect(publishPlan(sdp).video?.feedback.nackPli).toBe(true);
  });

  it('takes G.711 where Opus is missing', () => {
    const plan = publishPlan(vector('publish').replaceAll('opus', 'speex'));
    expect(plan.audio).toMatchObject({ codec: 'pcmu', payloadType: 0, clockRateHz: 8000, channels: 1 });
  });

  it('keeps stereo', () => {
    const answer = publishAnswer(vector('publish').replace('minptime=10', 'minptime=10;stereo=1'));
    expect(answer).toContain(
      'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1\r\n',
    );
  });

  it('puts the upper bound of the bitrate into the video section only', () => {
    const answer = publishAnswer(vector('publish'), 800);
    expect(section(answer, 'video')).toContain('\r\nb=AS:800\r\nb=TIAS:800000\r\n');
    expect(section(answer, 'audio')).not.toContain('b=');
  });

  it('refuses a section without a common codec with port 0 and keeps its place and mid', () => {
    const answer = publishAnswer(vector('publish').replaceAll(/(H264|VP8)\//g, 'X/'));
    expect(section(answer, 'video')).toMatch(
      /^video 0 UDP\/TLS\/RTP\/SAVPF 96 97 .*\r\nc=IN IP4 0\.0\.0\.0\r\na=mid:1\r\na=inactive\r\n$/,
    );
    expect(answer).toContain('a=group:BUNDLE 0\r\n');
  });

  it('gives each section its own transport when there is no BUNDLE group', () => {
    const [session, audio, video] = vector('publish').split('m=');
    const sdp = [
      session?.replace(/a=group.*\r\n/, ''),
      audio,
      video?.replace(/a=ice-ufrag:.*/, 'a=ice-ufrag:other\r'),
    ].join('m=');
    const plan = publishPlan(sdp);
    expect(plan.transports.map((one) => one.iceUfrag)).toEqual([expect.not.stringMatching('other'), 'other']);
    expect(plan.video?.transportIndex).toBe(1);
    const answer = publishAnswer(sdp);
    expect(answer).not.toContain('BUNDLE');
    expect(section(answer, 'audio')).toContain('localufrag');
    expect(section(answer, 'video')).toContain('secondufrag');
    expect(section(answer, 'video')).toContain('a=candidate:');
  });

  it('answers bundle-only sections over the transport of their group', () => {
    const [session, audio, video] = vector('publish-max-bundle').split('m=');
    const bare = video
      ?.replace('video 9', 'video 0')
      .replaceAll(/a=(ice-ufrag|ice-pwd|fingerprint|setup):.*\r\n/g, '')
      .concat('a=bundle-only\r\n');
    const plan = publishPlan([session, audio, bare].join('m='));
    expect(plan.transports).toHaveLength(1);
    expect(plan.video?.transportIndex).toBe(0);
  });

  it('writes TCP and IPv6 candidates', () => {
    const tcp = { foundation: '2', protocol: 'tcp', priority: 5, address: '2001:db8::1', port: 443 } as const;
    const answer = writePublishAnswer(publishPlan(vector('publish')), [{ ...local, candidates: [tcp] }]);
    expect(answer).toContain('a=candidate:2 1 tcp 5 2001:db8::1 443 typ host tcptype passive\r\n');
    expect(answer).toContain('m=audio 9 ');
  });

  it.each([
    ['NO_COMMON_CODECS', 'v=0\nm=video 0 RTP/AVP 112\na=rtpmap:112 H264/90000'],
    ['NO_COMMON_CODECS', vector('play')],
    ['NO_COMMON_CODECS', vector('publish').replaceAll(/a=ice-ufrag.*\r\n/g, '')],
    ['NO_COMMON_CODECS', vector('publish').replaceAll(/a=rtcp-mux\r\n/g, '')],
    ['BAD_SDP', 'v=0\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel'],
  ])('throws %s when nothing can be agreed', (code, sdp) => {
    expect(codeOf(() => publishPlan(sdp))).toBe(code);
  });

  it('serves audio-only and video-only offers', () => {
    expect(publishPlan(vector('publish-audio-only'))).toMatchObject({ video: undefined, audio: { codec: 'opus' } });
    expect(publishPlan(vector('publish-video-only'))).toMatchObject({ video: { codec: 'h264' }, audio: undefined });
  });
});

describe('the answer to a player', () => {
  const source = { video: { codec: 'h264', h264ProfileLevelId: '42e01f' }, audio: { codec: 'opus' } } as const;
  const ssrcs = { audio: { ssrc: 1111 }, video: { ssrc: 2222, rtxSsrc: 3333 } };

  it('has one stream id for both tracks and the media SSRC before that of the retransmissions', () => {
    const plan = playPlan(vector('play'), source);
    const answer = writePlayAnswer(plan, [local], ssrcs);
    expect(section(answer, 'audio')).toContain(
      'a=msid:U1 audio-U1\r\na=ssrc:1111 cname:rtp/audio/U1\r\na=ssrc:1111 msid:U1 audio-U1\r\n',
    );
    expect(section(answer, 'video')).toContain(
      'a=msid:U1 video-U1\r\na=ssrc:2222 cname:rtp/video/U1\r\na=ssrc:2222 msid:U1 video-U1\r\n' +
        'a=ssrc:3333 cname:rtp/video/U1\r\na=ssrc:3333 msid:U1 video-U1\r\na=ssrc-group:FID 2222 3333\r\n',
    );
    expect(answer.match(/a=sendonly/g)).toHaveLength(2);
  });

  it('offers exactly the source codec with retransmissions and goog-remb, and no extension', () => {
    const plan = playPlan(vector('play'), source);
    expect(plan.video).toMatchObject({
      codec: 'h264',
      h264ProfileLevelId: '42e01f',
      feedback: { nack: true, nackPli: true, ccmFir: true, googRemb: true, transportCc: false },
    });
    const answer = writePlayAnswer(plan, [local], ssrcs);
    const { payloadType, rtxPayloadType } = plan.video!;
    expect(answer).toContain(`m=video 31000 UDP/TLS/RTP/SAVPF ${payloadType} ${rtxPayloadType}\r\n`);
    expect(answer).not.toContain('transport-cc');
    expect(answer).not.toContain('extmap');
  });

  it('takes the nearest profile with packetization-mode=1', () => {
    const profileFor = (h264ProfileLevelId?: string) =>
      playPlan(vector('play'), { video: { codec: 'h264', h264ProfileLevelId } }).video?.h264ProfileLevelId;
    expect(profileFor('4d0028')).toBe('4d001f');
    expect(profileFor('42C01F')).toMatch(/^42/);
    expect(profileFor()).toBe('42e01f');
  });

  it('takes H.264 that says nothing of fragments where there is no better, but none that rules them out', () => {
    const modes = (fmtp: string) => vector('play-gstreamer').replace('a=rtpmap:96', `${fmtp}a=rtpmap:96`);
    const video = { codec: 'h264', h264ProfileLevelId: '42e01f' } as const;
    expect(playPlan(modes(''), { video }).video).toMatchObject({ codec: 'h264', payloadType: 96 });
    expect(playPlan(modes('a=fmtp:96 packetization-mode=1\r\n'), { video }).video).toMatchObject({ payloadType: 96 });
    const singleOnly = modes('a=fmtp:96 packetization-mode=0\r\n');
    expect(codeOf(() => playPlan(singleOnly, { video }))).toBe('NO_COMMON_CODECS');
  });

  it('refuses the sections that the source has no track for', () => {
    const answer = writePlayAnswer(playPlan(vector('play'), { audio: { codec: 'pcma' } }), [local], ssrcs);
    expect(section(answer, 'audio')).toContain('a=rtpmap:8 PCMA/8000\r\n');
    expect(section(answer, 'video')).toMatch(/^video 0 /);
  });

  it('plays what is left when the offer has audio only', () => {
    expect(playPlan(vector('play-audio-only'), source)).toMatchObject({ video: undefined, audio: { codec: 'opus' } });
  });

  it('throws NO_COMMON_CODECS when the player cannot take the source', () => {
    const sdp = vector('play-audio-only');
    expect(codeOf(() => playPlan(sdp, { video: { codec: 'h264' } }))).toBe('NO_COMMON_CODECS');
    expect(codeOf(() => playPlan(vector('publish'), source))).toBe('NO_COMMON_CODECS');
  });
});
