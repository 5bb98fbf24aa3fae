import type { AudioTranscodePipeline } from '../../pipelines/audio-transcode.ts';
import type { AudioTrack, AudioUnit } from '../domain/media.ts';
import { buildAacLcConfig } from '../protocol/aac/audio-specific-config.ts';
import { AAC_FRAME_SAMPLES, silentAac } from '../protocol/aac/silence.ts';
import { G711_SILENCE_SAMPLES, PCMA_SILENCE, PCMU_SILENCE } from '../protocol/g711/silence.ts';
import { FLV_AUDIO_FILE_HEADER, flvAudioTag } from '../protocol/flv/tag-writer.ts';
import { MatroskaWriter } from '../protocol/matroska/writer.ts';
import { OggOpusWriter } from '../protocol/ogg/opus-writer.ts';
import { OPUS_SILENCE, OPUS_SILENCE_SAMPLES } from '../protocol/opus/silence.ts';
import { TRANSCODED_SAMPLE_RATE_HZ } from './frame-grid.ts';

/** What a transcoder needs to know of a unit. */
export type TimedAudio = Pick<AudioUnit, 'ptsUs' | 'durationUs' | 'data'>;

/** Sound that is known only as the bodies of FLV audio tags: whatever ffmpeg can read of them. */
export interface FlvSound {
  readonly codec: 'flv';
  /** The tag that announces the configuration, for codecs that have one. */
  readonly header: Buffer | undefined;
}

/** How one audio codec is written to the encoder's stdin. Sample counts are at 48 kHz, whatever the codec's own rate. */
export interface AudioInput {
  readonly format: AudioTranscodePipeline['from'];
  readonly header: Buffer | undefined;
  readonly silence: Buffer;
  readonly silenceSamples: number;
  samplesOf(unit: TimedAudio): number;
  /** What to write, one after the other, for the frame or the silence of so many samples that follows the last one. */
  chunks(data: Buffer, samples: number): readonly Buffer[];
}

const AAC_TRACK = 1;
const SAMPLES_PER_G711_BYTE = 6;
/** 20 ms. */
const FLV_SILENCE_SAMPLES = 960;

/** Throws AAC_CONFIG_RESERVED for AAC of a rate or channel layout that has no index. */
export function audioInputFor(track: AudioTrack | FlvSound): AudioInput {
  switch (track.codec) {
    case 'flv':
      return flvInput(track);
    case 'opus':
      return opusInput();
    case 'aac':
      return aacInput(track);
    case 'pcma':
      return g711Input('pcma', PCMA_SILENCE);
    case 'pcmu':
      return g711Input('pcmu', PCMU_SILENCE);
  }
}

function opusInput(): AudioInput {
  const writer = new OggOpusWriter();
  return {
    format: 'opus',
    header: writer.header(),
    silence: OPUS_SILENCE,
    silenceSamples: OPUS_SILENCE_SAMPLES,
    samplesOf: (unit) => Math.round((unit.durationUs * 48) / 1000),
    chunks: (data, samples) => [writer.packet(data, samples)],
  };
}

function g711Input(format: 'pcma' | 'pcmu', silence: Buffer): AudioInput {
  return {
    format,
    header: undefined,
    silence,
    silenceSamples: G711_SILENCE_SAMPLES * SAMPLES_PER_G711_BYTE,
    samplesOf: (unit) => unit.data.length * SAMPLES_PER_G711_BYTE,
    chunks: (data) => [data],
  };
}

/** AAC as Matroska, whose blocks are read at once; ADTS would be read one frame late. */
function aacInput({ sampleRateHz, channels }: AudioTrack): AudioInput {
  const audioSpecificConfig = buildAacLcConfig(sampleRateHz, channels);
  const track = {
    kind: 'audio',
    number: AAC_TRACK,
    codec: 'aac',
    sampleRateHz,
    channels,
    audioSpecificConfig,
  } as const;
  const writer = new MatroskaWriter({ tracks: [track], baseUs: 0 });
  const frameSamples = (AAC_FRAME_SAMPLES * TRANSCODED_SAMPLE_RATE_HZ) / sampleRateHz;
  let position = 0;
  return {
    format: 'aac',
    header: writer.header,
    silence: silentAac(channels),
    silenceSamples: frameSamples,
    samplesOf: () => frameSamples,
    chunks: (data, samples) => {
      const head = writer.blockHead(AAC_TRACK, (position * 1000) / 48, false, data.length);
      position += samples;
      return [head, data];
    },
  };
}

/** No silence of the codec is needed: the resampler behind the decoder fills what the times of the tags leave out. */
function flvInput({ header }: FlvSound): AudioInput {
  let position = 0;
  return {
    format: 'flv',
    header: Buffer.concat(header ? [FLV_AUDIO_FILE_HEADER, flvAudioTag(0, header)] : [FLV_AUDIO_FILE_HEADER]),
    silence: Buffer.alloc(0),
    silenceSamples: FLV_SILENCE_SAMPLES,
    samplesOf: (unit) => Math.round((unit.durationUs * 48) / 1000),
    chunks: (body, samples) => {
      const timestampMs = Math.round(position / 48);
      position += samples;
      return body.length === 0 ? [] : [flvAudioTag(timestampMs, body)];
    },
  };
}
