import type { Clock } from '../../domain/clock.ts';
import { ProtocolError } from '../../domain/errors.ts';
import type { Logger } from '../../domain/logger.ts';
import { type AudioTrack, type AudioUnit, isSameAudio } from '../../domain/media.ts';
import { RateLimit } from '../../domain/rate-limit.ts';
import { isAacLcAnnounceable, parseAudioSpecificConfig } from '../../protocol/aac/audio-specific-config.ts';
import { AAC_FRAME_SAMPLES, silentAacOf } from '../../protocol/aac/silence.ts';
import { parseFlvAudio } from '../../protocol/flv/audio-tag.ts';
import { mp3DurationUs } from '../../protocol/mp3/duration.ts';
import { opusDurationUs } from '../../protocol/opus/duration.ts';
import { SPEEX_FRAME_US, speexFrames } from '../../protocol/speex/frames.ts';
import type { FlvAudioTranscode, FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import type { PublisherTimeline } from './publisher-timeline.ts';
import { SILENT_SOUND } from './silent-sound.ts';

const G711_RATE_HZ = 8000;
/** 20 ms. */
const G711_PIECE_SAMPLES = 160;
/** Encoders put a quarter of a second into a message. */
const MAX_G711_SAMPLES = 4 * G711_RATE_HZ;
/** Each may cost a process: no encoder does it more often. */
const CHANGES = { perSecond: 0.1, burst: 10 };
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
} as const;
/** By the number of channels; the hub knows no stereo. */
const G711 = {
  pcma: {
    1: { track: PCMA, tagHead: Buffer.from('72', 'hex') },
    2: { track: undefined, tagHead: Buffer.from('73', 'hex') },
  },
  pcmu: {
    1: { track: PCMU, tagHead: Buffer.from('82', 'hex') },
    2: { track: undefined, tagHead: Buffer.from('83', 'hex') },
  },
} as const;

export interface AudioInputOptions {
  readonly timeline: PublisherTimeline;
  readonly logger: Logger;
  readonly legacyAudio: FlvAudioTranscoders;
  readonly clock: Clock;
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
 * AAC of 48 kHz stereo; so does everything that FLV has a tag for when the stream has that sound already (`keep`). A message with the timestamp of the one before it is placed behind that one, as some encoders send
 * the same timestamp for ever. Closed by whoever made it.
 */
export class AudioInput {
  readonly #options: AudioInputOptions;
  readonly #changes: RateLimit;
  #track: AudioTrack | undefined;
  /** The sound of the stream is what transcoders give. */
  #keepsTranscoded = false;
  #aac: AacFormat | undefined;
  #legacy: { readonly key: string; readonly input: FlvAudioTranscode } | undefined;
  #lastTimestampMs = -1;
  #endUs = 0;
  #hasUnsupported = false;

  constructor(options: AudioInputOptions) {
    this.#options = options;
    this.#changes = new RateLimit(options.clock, CHANGES);
  }

  /** What comes, as soon as it is known. Replaced by another object only when it has changed. */
  get track(): AudioTrack | undefined {
    return this.#track;
  }

  /** Sound of a codec that nobody here can use came. */
  get hasUnsupported(): boolean {
    return this.#hasUnsupported;
  }

  /** The stream has this sound from now on, and goes on having it where a transcoder can see to that. */
  keep(track: AudioTrack): void {
    this.#keepsTranscoded = isSameAudio(track, SILENT_SOUND);
  }

  /** Throws ProtocolError for a body that is malformed, and RTMP_SOUND_CHANGES when its codec or format changes all the time. */
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
        this.#changeTo(OPUS);
        return;
      case 'opus-frame':
        this.#direct(OPUS, sound(audio.frame, opusDurationUs(audio.frame)));
        return;
      case 'g711': {
        const { codec, samples, channels } = audio;
        const { track, tagHead } = G711[codec][channels];
        if (samples.length > channels * MAX_G711_SAMPLES) {
          throw new ProtocolError('G711_LENGTH', `a message holds more than ${MAX_G711_SAMPLES} samples`);
        }
        // A packet of WebRTC could not hold what encoders put into a message.
        for (const piece of piecesOf(samples, channels * G711_PIECE_SAMPLES)) {
          const part = sound(piece, (piece.length * 1_000_000) / channels / G711_RATE_HZ);
          if (track && !this.#mustTranscode(track)) this.#direct(track, part);
          else this.#transcode(tagHead, part);
        }
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
    const { track } = this.#aac;
    if (track && !this.#mustTranscode(track)) this.#changeTo(track);
  }

  #aacFrame({ track, header }: AacFormat, sound: Sound): void {
    if (track && !this.#mustTranscode(track)) this.#direct(track, sound);
    else this.#transcode(TAG_HEAD.aacFrame, sound, header);
  }

  #direct(track: AudioTrack, sound: Sound): void {
    if (sound.data.length === 0 || sound.durationUs === 0) return;
    this.#changeTo(track);
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
      if (this.#track) this.#requireRare();
      this.close();
      this.#legacy = { key, input: legacyAudio.flvAudio({ header, logger, onUnit }) };
      const { track } = this.#legacy.input;
      if (!isSameAudio(track, this.#track)) this.#track = track;
    }
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

  #mustTranscode(track: AudioTrack): boolean {
    return this.#keepsTranscoded && !isSameAudio(track, SILENT_SOUND);
  }

  #changeTo(track: AudioTrack): void {
    if (isSameAudio(track, this.#track)) return;
    if (this.#track) this.#requireRare();
    this.#track = track;
  }

  #requireRare(): void {
    if (!this.#changes.take())
      throw new ProtocolError('RTMP_SOUND_CHANGES', 'the format of the sound changes all the time');
  }

  #noteUnsupported(codec: string): void {
    if (this.#hasUnsupported) return;
    this.#hasUnsupported = true;
    this.#options.logger.warn({ codec }, 'a publisher sends sound of a codec that is not supported; it is ignored');
  }
}

function piecesOf(bytes: Buffer, pieceBytes: number): Buffer[] {
  const count = Math.ceil(bytes.length / pieceBytes);
  return Array.from({ length: count }, (_, n) => bytes.subarray(n * pieceBytes, (n + 1) * pieceBytes));
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
