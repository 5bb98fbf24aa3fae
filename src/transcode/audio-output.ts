import type { AudioTranscodePipeline } from '../../pipelines/audio-transcode.ts';
import { AAC_FRAME_SAMPLES, SILENT_AAC_STEREO } from '../protocol/aac/silence.ts';
import { parseFlvAudio } from '../protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../protocol/flv/tag-reader.ts';
import { OggPacketReader } from '../protocol/ogg/packet-reader.ts';
import { OPUS_SILENCE, OPUS_SILENCE_SAMPLES } from '../protocol/opus/silence.ts';

export type AudioOutputCodec = AudioTranscodePipeline['to'];

/** What one audio encoder gives. Sample counts are at 48 kHz. */
export interface AudioOutput {
  readonly frameSamples: number;
  /** How much later what was fed comes out of a decoder than its place among the frames says. At most one frame. */
  readonly delaySamples: number;
  /** One frame. */
  readonly silence: Buffer;
  /** Frames out of the encoder's stdout, in order, the first one included. Throws ProtocolError. */
  frameReader(): (chunk: Buffer) => Buffer[];
}

const MAX_TAG_BYTES = 64 << 10;
/** 1275 bytes for each of at most six frames, and their lengths (RFC 6716 §3.2). */
const MAX_OPUS_PACKET_BYTES = 8 << 10;
/** Identification and comments (RFC 7845 §3). */
const OGG_OPUS_HEADER_PACKETS = 2;

export const AUDIO_OUTPUTS: Record<AudioOutputCodec, AudioOutput> = {
  aac: {
    frameSamples: AAC_FRAME_SAMPLES,
    // The native encoder's first frame holds only its priming and no input.
    delaySamples: AAC_FRAME_SAMPLES,
    silence: SILENT_AAC_STEREO,
    frameReader: flvAacReader,
  },
  opus: {
    frameSamples: OPUS_SILENCE_SAMPLES,
    // What libopus writes as pre-skip (RFC 7845 §4.2) at 48 kHz with the application `audio`.
    delaySamples: 312,
    silence: OPUS_SILENCE,
    frameReader: oggOpusReader,
  },
};

function flvAacReader(): (chunk: Buffer) => Buffer[] {
  const reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  return (chunk) => {
    const frames: Buffer[] = [];
    for (const tag of reader.push(chunk)) {
      const audio = tag.type === 'audio' ? parseFlvAudio(tag.data) : undefined;
      if (audio?.kind === 'aac-frame' && audio.frame.length > 0) frames.push(audio.frame);
    }
    return frames;
  };
}

function oggOpusReader(): (chunk: Buffer) => Buffer[] {
  const reader = new OggPacketReader({ maxPacketBytes: MAX_OPUS_PACKET_BYTES });
  let headersLeft = OGG_OPUS_HEADER_PACKETS;
  return (chunk) => {
    const frames: Buffer[] = [];
    for (const { data } of reader.push(chunk)) {
      if (headersLeft > 0) headersLeft--;
      else frames.push(data);
    }
    return frames;
  };
}
