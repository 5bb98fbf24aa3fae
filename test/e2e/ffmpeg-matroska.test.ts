import { describe, expect, it } from 'vitest';
import { buildAacLcConfig } from '../../src/protocol/aac/audio-specific-config.ts';
import { SILENT_AAC_STEREO } from '../../src/protocol/aac/silence.ts';
import { MatroskaWriter, type MatroskaTrack } from '../../src/protocol/matroska/writer.ts';
import { ffmpeg, h264Units, opusUnits, vp8Units } from './ffmpeg-support.ts';

const BASE_US = 987_654_321;

interface Block {
  readonly ptsUs: number;
  readonly isKeyframe?: boolean;
  readonly data: Buffer;
}

async function probedTimesMs(track: MatroskaTrack, blocks: readonly Block[]): Promise<number[]> {
  const writer = new MatroskaWriter({ baseUs: BASE_US, tracks: [track] });
  const parts = blocks.flatMap(({ ptsUs, isKeyframe = false, data }) => [
    writer.blockHead(track.number, ptsUs, isKeyframe && track.kind === 'video', data.length),
    data,
  ]);
  const fields = ['-show_entries', 'packet=pts', '-of', 'json'];
  const text = await ffmpeg(
    ['-f', 'matroska', ...fields, 'pipe:0'],
    Buffer.concat([writer.header, ...parts]),
    'ffprobe',
  );
  return (JSON.parse(text.toString()) as { packets: Array<{ pts: number }> }).packets.map(({ pts }) => pts);
}

describe('Matroska as the real ffmpeg reads it', () => {
  it.each([
    ['H.264', 'h264', h264Units],
    ['VP8', 'vp8', vp8Units],
  ] as const)('gives every %s unit back at its millisecond', async (_, codec, make) => {
    const units = await make({ width: 320, height: 180, frames: 100 }, BASE_US + 123_000);
    const times = await probedTimesMs({ kind: 'video', number: 1, codec, width: 320, height: 180 }, units);
    expect(times).toEqual(units.map((unit) => Math.round((unit.ptsUs - BASE_US) / 1000)));
  });

  it('gives every Opus packet back at its millisecond', async () => {
    const units = await opusUnits(3, BASE_US);
    const times = await probedTimesMs({ kind: 'audio', number: 2, codec: 'opus' }, units);
    expect(times).toEqual(units.map((_, index) => index * 20));
  });

  it('gives every AAC frame back at its millisecond, across clusters', async () => {
    const blocks = Array.from({ length: 300 }, (_, index) => ({
      ptsUs: BASE_US + Math.round((index * 1024e6) / 48_000),
      data: SILENT_AAC_STEREO,
    }));
    const audioSpecificConfig = buildAacLcConfig(48_000, 2);
    const track = {
      kind: 'audio',
      number: 2,
      codec: 'aac',
      sampleRateHz: 48_000,
      channels: 2,
      audioSpecificConfig,
    } as const;
    expect(await probedTimesMs(track, blocks)).toEqual(blocks.map(({ ptsUs }) => Math.round((ptsUs - BASE_US) / 1000)));
  });
});
