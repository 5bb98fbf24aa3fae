import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAmf0 } from '../../../src/protocol/amf0/decode.ts';
import { encodeAmf0 } from '../../../src/protocol/amf0/encode.ts';
import { AmfEcmaArray, amfObject } from '../../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../../src/protocol/amf0/values.ts';
import { metadataValues, readMetadata } from '../../../src/protocol/flv/metadata.ts';

const read = (properties: Readonly<Record<string, AmfValue>>) => readMetadata(['onMetaData', amfObject(properties)]);

describe('onMetaData', () => {
  it('of ours comes back as it was written, through its bytes', () => {
    const values = metadataValues({
      video: { codec: 'h264', width: 1280, height: 720 },
      audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
    });
    expect(values[1]).toBeInstanceOf(AmfEcmaArray);
    expect(readMetadata(decodeAmf0(encodeAmf0(values)))).toEqual({
      width: 1280,
      height: 720,
      frameRateFps: undefined,
      videoCodec: 'H.264',
      audioCodec: 'AAC',
      sampleRateHz: 48_000,
      isStereo: true,
    });
  });

  it('of ours names only tracks that exist, and a size that is known', () => {
    const keys = (tracks: Parameters<typeof metadataValues>[0]) =>
      Object.keys((metadataValues(tracks)[1] as AmfEcmaArray).properties);
    expect(keys({ video: { codec: 'h264', width: 0, height: 0 } })).toEqual(['videocodecid']);
    expect(keys({ audio: { codec: 'aac', sampleRateHz: 8000, channels: 1 } })).toEqual([
      'audiocodecid',
      'audiosamplerate',
      'audiosamplesize',
      'stereo',
    ]);
  });

  it('is read bare or within @setDataFrame, from an object or an array', () => {
    const properties = amfObject({ width: 640, framerate: 29.97 });
    for (const value of [properties, new AmfEcmaArray(properties)]) {
      for (const values of [
        ['onMetaData', value],
        ['@setDataFrame', 'onMetaData', value],
      ]) {
        expect(readMetadata(values)).toMatchObject({ width: 640, frameRateFps: 29.97 });
      }
    }
  });

  it('names codecs by number, by the number of a FourCC and by FourCC', () => {
    expect(read({ videocodecid: 12, audiocodecid: 14 })).toMatchObject({ videoCodec: 'HEVC', audioCodec: 'MP3' });
    expect(read({ videocodecid: 0x68766331, audiocodecid: 'Opus' })).toMatchObject({
      videoCodec: 'HEVC',
      audioCodec: 'Opus',
    });
    for (const absent of [0, null, undefined, '', false, NaN, -1]) {
      expect(read({ videocodecid: absent, audiocodecid: absent })).toMatchObject({
        videoCodec: undefined,
        audioCodec: undefined,
      });
    }
  });

  it('loses what cannot be', () => {
    for (const value of [NaN, Infinity, -1, 0, 1e9, '640', null, true, amfObject()]) {
      expect(read({ width: value, height: value, framerate: value, audiosamplerate: value })).toMatchObject({
        width: undefined,
        height: undefined,
        frameRateFps: undefined,
        sampleRateHz: undefined,
      });
    }
    expect(read({ stereo: 1 })?.isStereo).toBeUndefined();
  });

  it('is nothing else', () => {
    const others: AmfValue[][] = [
      [],
      ['onCuePoint', amfObject()],
      ['onMetaData'],
      ['onMetaData', 'x'],
      ['@setDataFrame'],
    ];
    for (const values of others) expect(readMetadata(values)).toBeUndefined();
  });

  it('gives short printable names, whatever an encoder says', () => {
    const id = fc.oneof(fc.double(), fc.string({ unit: 'binary' }), fc.integer());
    fc.assert(
      fc.property(id, (codec) => {
        const { videoCodec, audioCodec } = read({ videocodecid: codec, audiocodecid: codec })!;
        for (const name of [videoCodec ?? '', audioCodec ?? '']) expect(name).toMatch(/^[ -~]{0,40}$/);
      }),
    );
  });
});
