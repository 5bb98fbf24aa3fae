import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFlvAudio } from '../../../src/protocol/flv/audio-tag.ts';
import { parseFlvVideo } from '../../../src/protocol/flv/video-tag.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const fourCc = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const video = (text: string) => parseFlvVideo(hex(text));
const audio = (text: string) => parseFlvAudio(hex(text));

const AVC = fourCc('avc1');
const HEVC = fourCc('hvc1');
const OPUS = fourCc('Opus');
const AAC = fourCc('mp4a');
const AVCC = '01 42c01e ff e1 0004 6742c01e 01 0002 68ce';
const NAL = '00000001 65';
const FRAME = { kind: 'avc-frame', isKeyframe: true, avcc: hex(NAL) };
const NOTHING = { kind: 'nothing' };

describe('an extended video tag', () => {
  it('carries H.264 like a plain one', () => {
    expect(video(`90 ${AVC} ${AVCC}`)).toEqual(video(`17 00 000000 ${AVCC}`));
    expect(video(`91 ${AVC} fffff6 ${NAL}`)).toEqual({ ...FRAME, compositionTimeMs: -10 });
    expect(video(`a1 ${AVC} 000028 ${NAL}`)).toEqual({ ...FRAME, isKeyframe: false, compositionTimeMs: 40 });
    expect(video(`93 ${AVC} ${NAL}`)).toEqual({ ...FRAME, compositionTimeMs: 0 });
    expect(video(`92 ${AVC}`)).toEqual({ kind: 'avc-end' });
  });

  it('of another codec is known by its name', () => {
    const codecs = { hvc1: 'HEVC', vvc1: 'VVC', av01: 'AV1', vp08: 'VP8', vp09: 'VP9', xyz1: 'codec xyz1' };
    for (const [code, codec] of Object.entries(codecs)) {
      for (const packetType of [0, 1, 3]) {
        expect(video(`9${packetType} ${fourCc(code)} 00`)).toEqual({ kind: 'other', codec });
      }
    }
    expect(video('91 00ff1b0a 00')).toEqual({ kind: 'other', codec: 'an unknown codec' });
  });

  it('loses its modifiers, of either size and any number', () => {
    const plain = `${AVC} 000028 ${NAL}`;
    const long = `ff 012b ${'ee'.repeat(300)}`;
    for (const modified of [
      `97 02 0f4240 01 ${plain}`,
      `97 ${long} 01 ${plain}`,
      `97 00 ee 07 00 ee 07 ${long} 11 ${plain}`,
    ]) {
      expect(video(modified)).toEqual({ ...FRAME, compositionTimeMs: 40 });
    }
  });

  it('with several tracks gives track 0', () => {
    const one = `000028 ${NAL}`;
    const sized = `000008 ${one}`;
    const expected = { ...FRAME, compositionTimeMs: 40 };
    expect(video(`96 01 ${AVC} 00 ${one}`)).toEqual(expected);
    expect(video(`96 11 ${AVC} 01 000002 eeee 00 ${sized}`)).toEqual(expected);
    expect(video(`96 21 ${HEVC} 01 000002 eeee ${AVC} 00 ${sized}`)).toEqual(expected);
    expect(video(`96 21 ${HEVC} 00 000002 eeee ${AVC} 01 ${sized}`)).toEqual({ kind: 'other', codec: 'HEVC' });
    expect(video(`97 00 ee 06 11 ${AVC} 00 ${sized}`)).toEqual(expected);
  });

  it('that is not understood or has no track 0 carries nothing', () => {
    const tracks = [
      `96 01 ${AVC} 01 ${NAL}`,
      `96 11 ${AVC} 02 000001 ee`,
      `96 31 ${AVC} 00 ${NAL}`,
      `96 16 ${AVC} 00 ${NAL}`,
    ];
    const others = [
      `94 ${AVC} 00`,
      `95 ${AVC} 00`,
      `98 ${AVC} 00`,
      '90',
      '97',
      '97 ff',
      '97 ff ffff',
      '96',
      '90 617663',
    ];
    for (const body of [...tracks, ...others]) expect(video(body)).toEqual(NOTHING);
  });
});

describe('an extended audio tag', () => {
  it('carries AAC, Opus and MP3', () => {
    expect(audio(`90 ${AAC} 1190`)).toEqual({ kind: 'aac-config', audioSpecificConfig: hex('1190') });
    expect(audio(`91 ${AAC} 2110`)).toEqual({ kind: 'aac-frame', frame: hex('2110') });
    expect(audio(`90 ${OPUS} ${fourCc('OpusHead')} 01 01 0000 0000bb80 0000 00`)).toEqual({
      kind: 'opus-config',
      channels: 1,
    });
    expect(audio(`90 ${OPUS}`)).toEqual({ kind: 'opus-config', channels: 2 });
    expect(audio(`91 ${OPUS} fcfffe`)).toEqual({ kind: 'opus-frame', frame: hex('fcfffe') });
    expect(audio(`91 ${fourCc('.mp3')} fffb`)).toEqual({ kind: 'mp3', frames: hex('fffb') });
  });

  it('of another codec is known by its name', () => {
    const codecs = { 'ac-3': 'AC-3', 'ec-3': 'E-AC-3', fLaC: 'FLAC' };
    for (const [code, codec] of Object.entries(codecs)) {
      expect(audio(`91 ${fourCc(code)} 00`)).toEqual({ kind: 'other', codec });
    }
  });

  it('with modifiers or several tracks gives track 0', () => {
    expect(audio(`97 00 ee 01 ${OPUS} fc`)).toEqual({ kind: 'opus-frame', frame: hex('fc') });
    expect(audio(`95 11 ${OPUS} 01 000001 ee 00 000001 fc`)).toEqual({ kind: 'opus-frame', frame: hex('fc') });
  });

  it('that ends a sequence, lays out channels or is not understood carries nothing', () => {
    for (const body of [`92 ${AAC}`, `94 ${AAC} 0002`, `96 ${AAC}`, '90', '95 01', `95 15 ${AAC} 00`]) {
      expect(audio(body)).toEqual(NOTHING);
    }
  });
});

describe('extended tags of any bytes', () => {
  it('throw nothing but ProtocolError', () => {
    const head = fc.constantFrom(0x90, 0x91, 0x93, 0x95, 0x96, 0x97, 0xa1, 0xf7);
    const codec = fc.constantFrom(AVC, HEVC, OPUS, AAC, '').map(hex);
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(head, bytes, codec, bytes, (first, before, code, after) => {
        const body = Buffer.concat([Buffer.from([first]), before, code, after]);
        for (const parse of [parseFlvVideo, parseFlvAudio]) {
          expect(protocolErrorCode(() => parse(body))).toMatch(/^FLV_|^H264_AVC_CONFIGURATION$|^none$/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
