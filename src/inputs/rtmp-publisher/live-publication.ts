import type { CancelTimer, Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import { ProtocolError } from '../../domain/errors.ts';
import { isSameAudio, type MediaUnit, type Tracks, type VideoTrack } from '../../domain/media.ts';
import { GopCache } from '../../hub/gop-cache.ts';
import type { Hub } from '../../hub/hub.ts';
import type { LiveStream } from '../../hub/live-stream.ts';
import type { AmfValue } from '../../protocol/amf0/values.ts';
import { readMetadata } from '../../protocol/flv/metadata.ts';
import { decodeMessage } from '../../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../protocol/rtmp/raw-message.ts';
import type { FlvAudioTranscoders } from '../../transcode/flv-audio.ts';
import { AudioInput } from './audio-input.ts';
import { PublisherTimeline } from './publisher-timeline.ts';
import type { RtmpPublication, RtmpPublicationOptions } from './rtmp-publication.ts';
import { SILENT_SOUND, SilentSound } from './silent-sound.ts';
import { VideoInput } from './video-input.ts';

/** How long a track that may still come is waited for. */
const PROBE_MS = 2_000;
const PROBE_AUDIO_US = 3_000_000;
const REPLACED = 'the tracks of the stream have changed';

export interface LivePublicationOptions extends RtmpPublicationOptions {
  readonly hub: Hub;
  readonly legacyAudio: FlvAudioTranscoders;
  readonly clock: Clock;
  /** Carries the media session. */
  readonly logger: Logger;
  readonly idleTimeoutMs: number;
}

/**
 * `probing` → it is not yet known which tracks come: units wait, within the bounds of a GOP cache.
 * `live`    → the stream is in the hub. Sound that appears takes the place of its silence. A track that changes in any way that cannot
 *             be hidden replaces that stream under the same name, at once and with the pictures since the last keyframe.
 * `ended`   → `onEnd` was called, or `close`: messages are ignored.
 */
export class LivePublication implements RtmpPublication {
  readonly #options: LivePublicationOptions;
  readonly #video: VideoInput;
  readonly #audio: AudioInput;
  readonly #recent = new GopCache({ looseAudioUs: PROBE_AUDIO_US });
  readonly #silence = new SilentSound();
  #state: 'probing' | 'live' | 'ended' = 'probing';
  /** What the encoder says it will send; undefined where it does not say. */
  #announced: { readonly video?: boolean; readonly audio?: boolean } = {};
  #stream: LiveStream | undefined;
  /** What the stream in the hub was made of. */
  #tracks: Tracks = {};
  #format: VideoTrack | undefined;
  #hasMessages = false;
  #lastMediaUs: number;
  #cancelIdle: CancelTimer | undefined;
  #cancelProbe: CancelTimer | undefined;

  constructor(options: LivePublicationOptions) {
    const { clock, logger, legacyAudio } = options;
    const timeline = new PublisherTimeline();
    this.#options = options;
    this.#video = new VideoInput(timeline, logger);
    this.#audio = new AudioInput({ timeline, logger, legacyAudio, clock, onUnit: (unit) => this.#take(unit) });
    this.#lastMediaUs = clock.monotonicUs();
    this.#watchIdle(options.idleTimeoutMs);
  }

  write(message: RawMessage): void {
    if (message.typeId !== MESSAGE_TYPE.aggregate) {
      this.#write(message);
      return;
    }
    const decoded = decodeMessage(message);
    if (decoded.kind !== 'aggregate') return;
    for (const part of decoded.parts) this.#write(part);
  }

  close(reason: string): void {
    this.#state = 'ended';
    this.#cancelIdle?.();
    this.#cancelProbe?.();
    this.#audio.close();
    this.#recent.clear();
    if (this.#stream) this.#options.hub.remove(this.#stream, reason);
    this.#stream = undefined;
  }

  /** One message that is no aggregate: within an aggregate none is looked for. */
  #write(message: RawMessage): void {
    if (this.#state === 'ended') return;
    const { typeId, payload, timestampMs } = message;
    if (typeId === MESSAGE_TYPE.dataAmf0 || typeId === MESSAGE_TYPE.dataAmf3) {
      this.#readMetadata(message);
      return;
    }
    if ((typeId !== MESSAGE_TYPE.audio && typeId !== MESSAGE_TYPE.video) || payload.length === 0) return;
    const nowUs = this.#options.clock.monotonicUs();
    this.#hasMessages = true;
    // Also what a transcoder takes and gives nothing for.
    if (this.#state === 'live') this.#lastMediaUs = nowUs;
    if (typeId === MESSAGE_TYPE.audio) {
      this.#audio.write(payload, timestampMs, nowUs);
    } else {
      const unit = this.#video.write(payload, timestampMs, nowUs);
      if (unit) this.#take(unit);
    }
    if (this.#state === 'probing') this.#probe();
  }

  /** Data is no more than a hint: what is in it that nobody here can read harms nothing. */
  #readMetadata(message: RawMessage): void {
    const metadata = readMetadata(this.#valuesOf(message));
    if (!metadata || (!metadata.videoCodec && !metadata.audioCodec)) return;
    this.#video.announce(metadata.frameRateFps);
    this.#announced = { video: metadata.videoCodec !== undefined, audio: metadata.audioCodec !== undefined };
  }

  #valuesOf(message: RawMessage): readonly AmfValue[] {
    try {
      const decoded = decodeMessage(message);
      return decoded.kind === 'data' ? decoded.values : [];
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#options.logger.debug({ code: error.code }, 'a data message of a publisher cannot be read; it is ignored');
      return [];
    }
  }

  #take(unit: MediaUnit): void {
    if (this.#state === 'ended') return;
    this.#lastMediaUs = this.#options.clock.monotonicUs();
    if (this.#state === 'live') this.#followTracks();
    if (this.#state === 'probing' || unit.kind === 'video') this.#recent.push(unit);
    if (this.#state === 'live') this.#give(unit);
  }

  #give(unit: MediaUnit): void {
    if (unit.kind === 'video') {
      if (unit.isKeyframe) this.#noteFormat();
      if (this.#audio.track === undefined) {
        for (const silence of this.#silence.upTo(unit.dtsUs)) this.#stream?.writeUnit(silence);
      }
    }
    this.#stream?.writeUnit(unit);
  }

  #probe(): void {
    const video = this.#video.track;
    const audio = this.#audio.track;
    if (!video && !audio) return;
    const isVideoDecided = video !== undefined || this.#announced.video === false || this.#video.hasUnsupported;
    const isAudioDecided = audio !== undefined || this.#announced.audio === false || this.#audio.hasUnsupported;
    if (isVideoDecided && isAudioDecided) this.#goLive();
    else this.#cancelProbe ??= this.#options.clock.after(PROBE_MS, () => this.#goLive());
  }

  #goLive(): void {
    this.#cancelProbe?.();
    this.#state = 'live';
    const { units } = this.#recent;
    this.#publish();
    const { video, audio } = this.#tracks;
    this.#options.onLive({
      video: video && { codec: video.codec },
      audio: this.#audio.track && audio && { codec: audio.codec },
    });
    this.#noteFormat();
    for (const unit of units) this.#give(unit);
  }

  /** Replaces the stream where it has become another one: readers find the new one under the same name. */
  #followTracks(): void {
    const audio = this.#audio.track ?? SILENT_SOUND;
    const isSameVideo = (this.#video.track === undefined) === (this.#tracks.video === undefined);
    if (isSameVideo && isSameAudio(audio, this.#tracks.audio)) return;
    this.#options.logger.info({ before: this.#tracks, audio }, 'a publisher has changed its tracks');
    this.#publish();
    // The encoder's next keyframe may be far.
    for (const unit of this.#recent.units) if (unit.kind === 'video') this.#give(unit);
  }

  #publish(): void {
    const { hub, name, mediaSessionId, clock, logger } = this.#options;
    const sound = this.#audio;
    const tracks = { video: this.#video.track, audio: sound.track ?? SILENT_SOUND };
    const options = {
      id: mediaSessionId,
      source: {
        setFramesWanted: () => {},
        get isSilent() {
          return sound.track === undefined;
        },
      },
      tracks,
      clock,
      logger,
    };
    this.#tracks = tracks;
    this.#stream = this.#stream ? hub.replace(this.#stream, REPLACED, options) : hub.publish(name, options);
    sound.keep(tracks.audio);
  }

  #noteFormat(): void {
    const format = this.#video.track;
    if (format === undefined || format === this.#format) return;
    this.#format = format;
    this.#options.onFormat(format.width, format.height);
  }

  #watchIdle(delayMs: number): void {
    const { clock, idleTimeoutMs, onEnd } = this.#options;
    this.#cancelIdle = clock.after(delayMs, () => {
      const leftMs = idleTimeoutMs - (clock.monotonicUs() - this.#lastMediaUs) / 1000;
      if (leftMs > 0) {
        this.#watchIdle(Math.ceil(leftMs));
        return;
      }
      const isUnusable = this.#hasMessages && this.#state === 'probing';
      this.#state = 'ended';
      this.#cancelProbe?.();
      onEnd(isUnusable ? 'no_media' : 'idle');
    });
  }
}
