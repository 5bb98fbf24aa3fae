import type { Logger } from '../../domain/logger.ts';
import type { AudioTrack, AudioUnit } from '../../domain/media.ts';
import { isAacLcAnnounceable, parseAudioSpecificConfig } from '../../protocol/aac/audio-specific-config.ts';
import { AAC_FRAME_SAMPLES } from '../../protocol/aac/silence.ts';
import { parseFlvAudio } from '../../protocol/flv/audio-tag.ts';
import { mp3DurationUs } from '../../protocol/mp3/duration.ts';
import { speexDurationUs } from '../../protocol/speex/duration.ts';
import type { FlvAudioTranscode, FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import type { PublisherTimeline } from './publisher-timeline.ts';

const G711_RATE_HZ = 8000;
const PCMA: AudioTrack = { codec: 'pcma', sampleRateHz: G711_RATE_HZ, channels: 1 };
const PCMU: AudioTrack = { codec: 'pcmu', sampleRateHz: G711_RATE_HZ, channels: 1 };
const SOUND_FORMAT_AAC = 10;
const AAC_HEADER_BYTES = 2;
/** AAC-LC, and LC with SBR or PS, whose frames are LC frames of the core rate (ISO/IEC 14496-3 table 1.17). */
const LC_OBJECT_TYPES = new Set([2, 5, 29]);

export interface AudioInputOptions {
  readonly timeline: PublisherTimeline;
  readonly logger: Logger;
  readonly legacyAudio: FlvAudioTranscoders;
  /** Copies, on the timeline, of the codec of `track` at the time of the call. */
  readonly onUnit: (unit: AudioUnit) => void;
}

/** What one AAC configuration means for the frames that follow. */
interface AacFormat {
  readonly frameUs: number;
  /** Undefined: hub and outputs have no words for it, so it is transcoded. */
  readonly track: AudioTrack | undefined;
  /** The whole message, for the transcoder. */
  readonly header: Buffer;
}

/**
 * Audio messages of one publisher → units. AAC, G.711 and Opus stay as they are; MP3, Speex and unusual AAC become
 * AAC of 48 kHz stereo. A message with the timestamp of the one before it follows that one: some encoders send the same timestamp for ever. Closed by whoever made it.
 */
export class AudioInput {
  readonly #options: AudioInputOptions;
  #track: AudioTrack | undefined;
  #aac: AacFormat | undefined;
  #legacy: { readonly key: string; readonly input: FlvAudioTranscode } | undefined;
  #lastTimestampMs = -1;
  #endUs = 0;
  #hasUnsupported = false;

  constructor(options: AudioInputOptions) {
    this.#options = options;
  }

  /** What comes, as soon as it is known. Replaced by another object only when it has changed. */
  get track(): AudioTrack | undefined {
    return this.#track;
  }

  /** Sound of a codec that nobody here can use came. */
  get hasUnsupported(): boolean {
    return this.#hasUnsupported;
  }

  /** Throws ProtocolError for a body that is malformed. */
  write(body: Buffer, timestampMs: number, arrivalUs: number): void {
    // An encoder that is mute may send messages without content, and a configuration without one.
    if (body.length === 0 || (body.length <= AAC_HEADER_BYTES && body[0]! >> 4 === SOUND_FORMAT_AAC)) return;
    const audio = parseFlvAudio(body);
    switch (audio.kind) {
      case 'aac-config':
        this.#aac = aacFormat(audio.audioSpecificConfig, body);
        if (this.#aac.track) this.#use(this.#aac.track);
        return;
      case 'aac-frame':
        this.#aacFrame(audio.frame, body, timestampMs, arrivalUs);
        return;
      case 'other':
        this.#other(audio.soundFormat, body, timestampMs, arrivalUs);
    }
  }

  close(): void {
    this.#legacy?.input.close();
    this.#legacy = undefined;
  }

  #aacFrame(frame: Buffer, body: Buffer, timestampMs: number, arrivalUs: number): void {
    if (this.#aac === undefined) return;
    const { track, frameUs, header } = this.#aac;
    if (track) this.#direct(track, frame, frameUs, timestampMs, arrivalUs);
    else this.#transcode(`aac ${header.toString('hex')}`, header, body, frameUs, timestampMs, arrivalUs);
  }

  #other(soundFormat: number, body: Buffer, timestampMs: number, arrivalUs: number): void {
    const data = body.subarray(1);
    const g711Us = (data.length * 1_000_000) / G711_RATE_HZ;
    switch (soundFormat) {
      case 2:
      case 14:
        this.#transcode('mp3', undefined, body, mp3DurationUs(data), timestampMs, arrivalUs);
        return;
      case 7:
        this.#direct(PCMA, data, g711Us, timestampMs, arrivalUs);
        return;
      case 8:
        this.#direct(PCMU, data, g711Us, timestampMs, arrivalUs);
        return;
      case 11:
        this.#transcode('speex', undefined, body, speexDurationUs(data), timestampMs, arrivalUs);
        return;
      default:
        this.#noteUnsupported(soundFormat);
    }
  }

  #direct(track: AudioTrack, data: Buffer, durationUs: number, timestampMs: number, arrivalUs: number): void {
    this.#use(track);
    this.close();
    const ptsUs = this.#place(timestampMs, durationUs, arrivalUs);
    this.#options.onUnit({
      kind: 'audio',
      codec: track.codec,
      ptsUs,
      durationUs: Math.round(durationUs),
      data: Buffer.from(data),
    });
  }

  #transcode(
    key: string,
    header: Buffer | undefined,
    body: Buffer,
    durationUs: number,
    timestampMs: number,
    arrivalUs: number,
  ): void {
    if (durationUs === 0) return;
    const { legacyAudio, logger, onUnit } = this.#options;
    if (this.#legacy?.key !== key) {
      this.close();
      this.#legacy = { key, input: legacyAudio.flvAudio({ header, logger, onUnit }) };
    }
    this.#use(this.#legacy.input.track);
    const ptsUs = this.#place(timestampMs, durationUs, arrivalUs);
    this.#legacy.input.feed({ ptsUs, durationUs: Math.round(durationUs), data: Buffer.from(body) });
  }

  #place(timestampMs: number, durationUs: number, arrivalUs: number): number {
    const isStuck = timestampMs === this.#lastTimestampMs;
    const ptsUs = isStuck ? this.#endUs : this.#options.timeline.place('audio', timestampMs, arrivalUs);
    this.#lastTimestampMs = timestampMs;
    this.#endUs = ptsUs + Math.round(durationUs);
    return ptsUs;
  }

  #use(track: AudioTrack): void {
    const known = this.#track;
    const isKnown =
      known?.codec === track.codec && known.sampleRateHz === track.sampleRateHz && known.channels === track.channels;
    if (!isKnown) this.#track = track;
  }

  #noteUnsupported(soundFormat: number): void {
    if (this.#hasUnsupported) return;
    this.#hasUnsupported = true;
    const codec = CODEC_NAMES.get(soundFormat) ?? `sound format ${soundFormat}`;
    this.#options.logger.warn({ codec }, 'a publisher sends sound of a codec that is not supported; it is ignored');
  }
}

/** Throws AAC_CONFIG_TRUNCATED and AAC_CONFIG_RESERVED. */
function aacFormat(audioSpecificConfig: Buffer, body: Buffer): AacFormat {
  const { objectType, sampleRateHz, channels } = parseAudioSpecificConfig(audioSpecificConfig);
  const isPlain = LC_OBJECT_TYPES.has(objectType) && isAacLcAnnounceable(sampleRateHz, channels);
  return {
    frameUs: (AAC_FRAME_SAMPLES * 1_000_000) / sampleRateHz,
    track: isPlain ? { codec: 'aac', sampleRateHz, channels } : undefined,
    header: Buffer.from(body),
  };
}

/** Adobe FLV v10.1 §E.4.2.1. */
const CODEC_NAMES = new Map([
  [0, 'PCM'],
  [1, 'ADPCM'],
  [3, 'PCM'],
  [4, 'Nellymoser 16 kHz'],
  [5, 'Nellymoser 8 kHz'],
  [6, 'Nellymoser'],
  [9, 'Enhanced RTMP'],
]);
