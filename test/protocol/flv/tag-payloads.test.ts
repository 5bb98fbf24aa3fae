import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFlvAudio } from '../../../src/protocol/flv/audio-tag.ts';
import { parseFlvVideo } from '../../../src/protocol/flv/video-tag.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const CONFIG_TAG = Buffer.from('17000000000142c01effe100046742c01e01000268ce', 'hex');

describe('the body of a video tag', () => {
  it('with an AVC configuration gives the parameter sets', () => {
    const video = parseFlvVideo(CONFIG_TAG);
    if (video.kind !== 'avc-config') throw new Error(video.kind);
    expect(video.configuration).toEqual({
      profileIdc: 0x42,
      constraintFlags: 0xc0,
      levelIdc: 0x1e,
      nalLengthBytes: 4,
      spss: [Buffer.from('6742c01e', 'hex')],
      ppss: [Buffer.from('68ce', 'hex')],
    });
  });

  it('with a frame gives keyframe flag, signed composition time and NAL units', () => {
    const video = parseFlvVideo(Buffer.from('2701fffff60000000141', 'hex'));
    expect(video).toEqual({
      kind: 'avc-frame',
      isKeyframe: false,
      compositionTimeMs: -10,
      avcc: Buffer.from('0000000141', 'hex'),
    });
    expect(parseFlvVideo(Buffer.from('1701000000', 'hex'))).toMatchObject({ isKeyframe: true });
    expect(parseFlvVideo(Buffer.from('1702000000', 'hex'))).toEqual({ kind: 'avc-end' });
    expect(parseFlvVideo(Buffer.from('22', 'hex'))).toEqual({ kind: 'other', codec: 'Sorenson H.263' });
    expect(parseFlvVideo(Buffer.from('1c0000000001', 'hex'))).toEqual({ kind: 'other', codec: 'HEVC' });
  });

  it('with an empty configuration carries nothing', () => {
    expect(parseFlvVideo(Buffer.from('1700000000', 'hex'))).toEqual({ kind: 'nothing' });
    expect(parseFlvVideo(Buffer.from('9061766331', 'hex'))).toEqual({ kind: 'nothing' });
  });

  it('with a command of the sender carries no video, however short it is', () => {
    for (const command of ['57', '5700', '5701', 'd0', 'd161766331']) {
      expect(parseFlvVideo(Buffer.from(command, 'hex'))).toEqual({ kind: 'nothing' });
    }
  });

  it('throws nothing but ProtocolError for any bytes or truncation', () => {
    const anyBody = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.nat(CONFIG_TAG.length).map((length) => CONFIG_TAG.subarray(0, length)),
    );
    fc.assert(
      fc.property(anyBody, (body) => {
        for (const parse of [parseFlvVideo, parseFlvAudio]) {
          expect(protocolErrorCode(() => parse(body))).toMatch(/^FLV_|^H264_AVC_CONFIGURATION$|^none$/);
        }
      }),
    );
  });
});

describe('the body of an audio tag', () => {
  it('is an AAC configuration, an AAC frame, or something else', () => {
    const config = { kind: 'aac-config', audioSpecificConfig: Buffer.from('1190', 'hex') };
    expect(parseFlvAudio(Buffer.from('af001190', 'hex'))).toEqual(config);
    const frame = { kind: 'aac-frame', frame: Buffer.from('2110', 'hex') };
    expect(parseFlvAudio(Buffer.from('af012110', 'hex'))).toEqual(frame);
    expect(parseFlvAudio(Buffer.from('52ff', 'hex'))).toEqual({ kind: 'other', codec: 'Nellymoser 8 kHz' });
  });

  it('is G.711 with the channels of its flag, MP3 or Speex', () => {
    const data = Buffer.from('ff', 'hex');
    const g711 = (codec: string, channels: number) => ({ kind: 'g711', codec, samples: data, channels });
    expect(parseFlvAudio(Buffer.from('72ff', 'hex'))).toEqual(g711('pcma', 1));
    expect(parseFlvAudio(Buffer.from('83ff', 'hex'))).toEqual(g711('pcmu', 2));
    expect(parseFlvAudio(Buffer.from('2fff', 'hex'))).toEqual({ kind: 'mp3', frames: data });
    expect(parseFlvAudio(Buffer.from('e2ff', 'hex'))).toEqual({ kind: 'mp3', frames: data });
    expect(parseFlvAudio(Buffer.from('b6ff', 'hex'))).toEqual({ kind: 'speex', frames: data });
  });

  it('that is empty carries no sound', () => {
    for (const body of [Buffer.alloc(0), Buffer.from([0xaf])]) expect(parseFlvAudio(body)).toEqual({ kind: 'nothing' });
  });
});
