import type { AudioUnit } from '../domain/media.ts';
import { PCMA_SILENCE, PCMU_SILENCE } from '../protocol/g711/silence.ts';
import { OggOpusWriter } from '../protocol/ogg/opus-writer.ts';
import { OPUS_SILENCE } from '../protocol/opus/silence.ts';

export type TranscodableAudio = 'opus' | 'pcma' | 'pcmu';

/** How one audio codec is written to the encoder's stdin. Sample counts are at 48 kHz. */
export interface AudioInput {
  readonly header: Buffer | undefined;
  samplesOf(unit: AudioUnit): number;
  bytes(data: Buffer, samples: number): Buffer;
  /** Bytes for 20 ms of silence (960 samples). */
  silence20Ms(): Buffer;
}

export const SILENCE_SAMPLES = 960;
const G711_SILENCE = { pcma: PCMA_SILENCE, pcmu: PCMU_SILENCE } as const;
const SAMPLES_PER_G711_BYTE = 6;

export function audioInputFor(codec: TranscodableAudio): AudioInput {
  if (codec === 'opus') {
    const writer = new OggOpusWriter();
    return {
      header: writer.header(),
      samplesOf: (unit) => Math.round((unit.durationUs * 48) / 1000),
      bytes: (data, samples) => writer.packet(data, samples),
      silence20Ms: () => writer.packet(OPUS_SILENCE, SILENCE_SAMPLES),
    };
  }
  return {
    header: undefined,
    samplesOf: (unit) => unit.data.length * SAMPLES_PER_G711_BYTE,
    bytes: (data) => data,
    silence20Ms: () => G711_SILENCE[codec],
  };
}
