import type { Logger } from '../../domain/logger.ts';
import type { AudioTrack, AudioUnit } from '../../domain/media.ts';
import { isAacLcAnnounceable, parseAudioSpecificConfig } from '../../protocol/aac/audio-specific-config.ts';
import { AAC_FRAME_SAMPLES, silentAacOf } from '../../protocol/aac/silence.ts';
import { parseFlvAudio } from '../../protocol/flv/audio-tag.ts';
import { mp3DurationUs } from '../../protocol/mp3/duration.ts';
import { opusDurationUs } from '../../protocol/opus/duration.ts';
import { SPEEX_FRAME_US, speexFrames } from '../../protocol/speex/frames.ts';
import type { FlvAudioTranscode, FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import type { PublisherTimeline } from './publisher-timeline.ts';

const G711_RATE_HZ = 8000;
const PCMA: AudioTrack = { codec: 'pcma', sampleRateHz: G711_RATE_HZ, channels: 1 };
const PCMU: AudioTrack = { codec: 'pcmu', sampleRateHz: G711_RATE_HZ, channels: 1 };
/** As over RTP, whatever the packets hold (RFC 7587 §4.1). */
const OPUS: AudioTrack = { codec: 'opus', sampleRateHz: 48_000, channels: 2 };
/** AAC-LC, and LC with SBR or PS, whose frames are LC frames of the core rate (ISO/IEC 14496-3 table 1.17). */
const LC_OBJECT_TYPES = new Set([2, 5, 29]);
/** What precedes the data in a tag (Adobe FLV v10.1 §E.4.2.1); decoders know better than its rate and channels. */
const TAG_HEAD = {
  aacConfig: Buffer.from('af00', 'hex'),
  aacFrame: Buffer.from('af01', 'hex'),
  mp3: Buffer.from('2f', 'hex'),
  speex: Buffer.from('b6', 'hex'),
  stereoPcma: Buffer.from('73', 'hex'),
  stereoPcmu: Buffer.from('83', 'hex'),
} as const;

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
  /** Undefined: the hub has no words for it, so it is transcoded. */
  readonly track: AudioTrack | undefined;
  /** The tag that announces it. */
  readonly header: Buffer;
}

/** One piece of sound as it came. */
interface Sound {
  readonly data: Buffer;
  readonly durationUs: number;
  readonly timestampMs: number;
  readonly arrivalUs: number;
}

/**
 * Audio messages of one publisher → units. AAC, G.711 and Opus stay as they are; MP3, Speex, unusual AAC and G.711 in stereo become
 * AAC of 48 kHz stereo. A message with the timestamp of the one before it is placed behind that one, as some encoders send
 * the same timestamp for ever. Closed by whoever made it.
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
    const audio = parseFlvAudio(body);
    const sound = (data: Buffer, durationUs: number): Sound => ({ data, durationUs, timestampMs, arrivalUs });
    switch (audio.kind) {
      case 'aac-config':
        this.#configureAac(audio.audioSpecificConfig);
        return;
      case 'aac-frame':
        if (this.#aac) this.#aacFrame(this.#aac, sound(audio.frame, this.#aac.frameUs));
        return;
      case 'opus-config':
        this.#use(OPUS);
        return;
      case 'opus-frame':
        this.#direct(OPUS, sound(audio.frame, opusDurationUs(audio.frame)));
        return;
      case 'g711': {
        const { codec, samples, channels } = audio;
        const isA = codec === 'pcma';
        const piece = sound(samples, (samples.length * 1_000_000) / channels / G711_RATE_HZ);
        if (channels === 1) this.#direct(isA ? PCMA : PCMU, piece);
        else this.#transcode(isA ? TAG_HEAD.stereoPcma : TAG_HEAD.stereoPcmu, piece);
        return;
      }
      case 'mp3':
        this.#transcode(TAG_HEAD.mp3, sound(audio.frames, mp3DurationUs(audio.frames)));
        return;
      case 'speex':
        for (const frame of speexFrames(audio.frames)) this.#transcode(TAG_HEAD.speex, sound(frame, SPEEX_FRAME_US));
        return;
      case 'other':
        this.#noteUnsupported(audio.codec);
        return;
      case 'nothing':
    }
  }

  close(): void {
    this.#legacy?.input.close();
    this.#legacy = undefined;
  }

  #configureAac(audioSpecificConfig: Buffer): void {
    // Some encoders announce nothing before they announce their sound.
    if (audioSpecificConfig.length === 0) return;
    this.#aac = aacFormat(audioSpecificConfig);
    if (this.#aac.track) this.#use(this.#aac.track);
  }

  #aacFrame({ track, header }: AacFormat, sound: Sound): void {
    if (track) this.#direct(track, sound);
    else this.#transcode(TAG_HEAD.aacFrame, sound, header);
  }

  #direct(track: AudioTrack, sound: Sound): void {
    if (sound.data.length === 0 || sound.durationUs === 0) return;
    this.#use(track);
    this.close();
    const ptsUs = this.#place(sound);
    const durationUs = Math.round(sound.durationUs);
    this.#options.onUnit({ kind: 'audio', codec: track.codec, ptsUs, durationUs, data: Buffer.from(sound.data) });
  }

  #transcode(tagHead: Buffer, sound: Sound, header?: Buffer): void {
    if (sound.data.length === 0 || sound.durationUs === 0) return;
    const { legacyAudio, logger, onUnit } = this.#options;
    const key = (header ?? tagHead).toString('hex');
    if (this.#legacy?.key !== key) {
      this.close();
      this.#legacy = { key, input: legacyAudio.flvAudio({ header, logger, onUnit }) };
    }
    this.#use(this.#legacy.input.track);
    const ptsUs = this.#place(sound);
    const durationUs = Math.round(sound.durationUs);
    this.#legacy.input.feed({ ptsUs, durationUs, data: Buffer.concat([tagHead, sound.data]) });
  }

  #place({ timestampMs, durationUs, arrivalUs }: Sound): number {
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

  #noteUnsupported(codec: string): void {
    if (this.#hasUnsupported) return;
    this.#hasUnsupported = true;
    this.#options.logger.warn({ codec }, 'a publisher sends sound of a codec that is not supported; it is ignored');
  }
}

/** Throws AAC_CONFIG_TRUNCATED and AAC_CONFIG_RESERVED. */
function aacFormat(audioSpecificConfig: Buffer): AacFormat {
  const { objectType, sampleRateHz, channels } = parseAudioSpecificConfig(audioSpecificConfig);
  const isAnnounceable = isAacLcAnnounceable(sampleRateHz, channels) && silentAacOf(channels) !== undefined;
  const isPlain = LC_OBJECT_TYPES.has(objectType) && isAnnounceable;
  return {
    frameUs: (AAC_FRAME_SAMPLES * 1_000_000) / sampleRateHz,
    track: isPlain ? { codec: 'aac', sampleRateHz, channels } : undefined,
    header: Buffer.concat([TAG_HEAD.aacConfig, audioSpecificConfig]),
  };
}
