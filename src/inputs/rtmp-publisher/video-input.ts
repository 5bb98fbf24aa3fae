import type { Logger } from '../../domain/logger.ts';
import type { VideoTrack, VideoUnit } from '../../domain/media.ts';
import { parseFlvVideo } from '../../protocol/flv/video-tag.ts';
import { avccNals } from '../../protocol/h264/nal.ts';
import { parseSps } from '../../protocol/h264/sps.ts';
import { AvcInput } from './avc-input.ts';
import type { PublisherTimeline } from './publisher-timeline.ts';

/** A composition time beyond this is no reordering but garbage. */
const MAX_COMPOSITION_MS = 10_000;
const EMPTY_AVC_CONFIG_BYTES = 5;
const AVC_SEQUENCE_HEADER = 0;

/**
 * Video messages of one publisher → units. B-frames stay: DTS is the time of the message, PTS adds the composition time;
 * where that is negative DTS is moved instead, so that no picture is decoded after it is shown.
 */
export class VideoInput {
  readonly #timeline: PublisherTimeline;
  readonly #logger: Logger;
  readonly #avc = new AvcInput();
  #nalLengthBytes = 4;
  #track: VideoTrack | undefined;
  #frameRateFps: number | undefined;
  #leadUs = 0;
  #hasUnsupported = false;

  constructor(timeline: PublisherTimeline, logger: Logger) {
    this.#timeline = timeline;
    this.#logger = logger;
  }

  /** What comes, as soon as it is known; with the size of the newest keyframe. */
  get track(): VideoTrack | undefined {
    return this.#track;
  }

  /** Pictures of a codec that nobody here can use came. */
  get hasUnsupported(): boolean {
    return this.#hasUnsupported;
  }

  /** What the encoder says of itself before its first picture. */
  announce(frameRateFps: number | undefined): void {
    this.#frameRateFps = frameRateFps;
  }

  /** Throws ProtocolError for a body that is malformed. Undefined for what is no picture, or precedes the first keyframe. */
  write(body: Buffer, timestampMs: number, arrivalUs: number): VideoUnit | undefined {
    // Encoders whose parameter sets are in-band send an empty configuration.
    if (body.length <= EMPTY_AVC_CONFIG_BYTES && body[1] === AVC_SEQUENCE_HEADER) return undefined;
    const video = parseFlvVideo(body);
    switch (video.kind) {
      case 'avc-config': {
        const { spss, ppss, nalLengthBytes } = video.configuration;
        this.#nalLengthBytes = nalLengthBytes;
        this.#avc.configure([...spss, ...ppss]);
        if (this.#track === undefined && spss[0]) this.#noteSize(parseSps(spss[0]));
        return undefined;
      }
      case 'avc-frame': {
        const unit = this.#avc.accessUnit(avccNals(video.avcc, this.#nalLengthBytes), video.isKeyframe);
        if (unit === undefined) return undefined;
        if (unit.isKeyframe) this.#noteSize(unit.sps);
        const { isKeyframe, data } = unit;
        const { width, height } = unit.sps;
        const times = this.#times(timestampMs, video.compositionTimeMs, arrivalUs);
        return { kind: 'video', codec: 'h264', ...times, isKeyframe, width, height, data };
      }
      case 'other':
        this.#noteUnsupported(video.codec);
        return undefined;
      case 'avc-end':
      case 'nothing':
        return undefined;
    }
  }

  #times(timestampMs: number, compositionMs: number, arrivalUs: number): { ptsUs: number; dtsUs: number } {
    const timeUs = this.#timeline.place('video', timestampMs, arrivalUs);
    const offsetUs = Math.abs(compositionMs) > MAX_COMPOSITION_MS ? 0 : compositionMs * 1000;
    this.#leadUs = Math.max(this.#leadUs, -offsetUs);
    return { ptsUs: timeUs + offsetUs, dtsUs: timeUs - this.#leadUs };
  }

  #noteSize({ width, height }: { readonly width: number; readonly height: number }): void {
    if (this.#track?.width === width && this.#track.height === height) return;
    this.#track = { codec: 'h264', width, height, frameRateFps: this.#frameRateFps };
  }

  #noteUnsupported(codec: string): void {
    if (this.#hasUnsupported) return;
    this.#hasUnsupported = true;
    this.#logger.warn({ codec }, 'a publisher sends video of a codec that is not supported; it is ignored');
  }
}
