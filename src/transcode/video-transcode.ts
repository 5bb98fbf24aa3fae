import type { VideoTranscodePipeline } from '../../pipelines/video-transcode.ts';
import type { Closable } from '../domain/life-cycle.ts';
import type { VideoUnit } from '../domain/media.ts';
import { GopCache } from '../hub/gop-cache.ts';
import type { RenditionNeed } from '../hub/unit-source.ts';
import { renditionCanvas } from './canvas.ts';
import { EncoderSuccession } from './encoder-succession.ts';
import type { TranscoderHost } from './transcoder-host.ts';
import { VideoEncoderRun } from './video-encoder-run.ts';

export interface VideoTranscodeOptions {
  readonly host: TranscoderHost;
  readonly need: Pick<RenditionNeed, 'widthPx' | 'heightPx' | 'fps' | 'keyFrameIntervalFrames'>;
  /** Bound of the input that waits for ffmpeg; beyond it units are dropped up to the next keyframe. */
  readonly maxQueueBytes: number;
  /** H.264 in Annex-B with parameter sets in front of every IDR, of one size for good, on the timeline of the input. */
  readonly onUnit: (unit: VideoUnit) => void;
  /** Input can go on only with a keyframe: ask the source for one. At most one call a second. */
  readonly onKeyframeNeeded: () => void;
  /** Once, when it has died too often to try again. Not called after `close`. */
  readonly onEnd: (reason: string) => void;
}

export interface VideoTranscode extends Closable {
  /** Takes the next unit, H.264 or VP8. Everything before the first keyframe is dropped. The size may change on any keyframe. */
  feed(unit: VideoUnit): void;
  readonly counters: { readonly units: number; readonly droppedUnits: number; readonly restarts: number };
}

const STALL_US = 5_000_000;
const KEYFRAME_REQUEST_INTERVAL_US = 1_000_000;
/** Decoding a longer group of pictures again takes more time than a live encoder takes to make a keyframe. */
const MAX_REPLAY_US = 4_000_000;
/** Less than any step between two pictures, more than what milliseconds do to a time. */
const RESUME_MARGIN_MS = 5;

/**
 * H.264 or VP8 → H.264 of one size by one ffmpeg. When that dies, the next one gets the group of pictures again and goes on
 * where the dead one stopped; where the group is too long for that, with the next keyframe. Close it with `close`.
 */
export function startVideoTranscode(options: VideoTranscodeOptions): VideoTranscode {
  return new VideoTranscoder(options);
}

class VideoTranscoder implements VideoTranscode {
  readonly #options: VideoTranscodeOptions;
  readonly #encoders: EncoderSuccession<VideoEncoderRun>;
  readonly #counters = { units: 0, droppedUnits: 0 };
  readonly #gop: GopCache;
  #pipeline: VideoTranscodePipeline | undefined;
  #codec: VideoUnit['codec'] | undefined;
  #isDropping = false;
  #lastDtsUs = Number.NEGATIVE_INFINITY;
  #lastRequestUs = Number.NEGATIVE_INFINITY;

  constructor(options: VideoTranscodeOptions) {
    this.#options = options;
    this.#encoders = new EncoderSuccession({ host: options.host, kind: 'video', onEnd: options.onEnd });
    this.#gop = new GopCache({ maxBytes: options.maxQueueBytes / 2, maxDurationUs: MAX_REPLAY_US });
  }

  get counters(): VideoTranscode['counters'] {
    return { ...this.#counters, restarts: this.#encoders.deaths };
  }

  feed(unit: VideoUnit): void {
    if (this.#encoders.isOver) return;
    const nowUs = this.#options.host.clock.monotonicUs();
    this.#encoders.abandonStalled(STALL_US, nowUs);
    if (this.#codec !== undefined && unit.codec !== this.#codec) this.#retireRun();
    this.#gop.push(unit);
    if (this.#encoders.mayStart(nowUs)) {
      if (this.#startRun(nowUs)) return;
      this.#requestKeyframe(nowUs);
    }
    const { run } = this.#encoders;
    if (run && this.#hasRoom(run, unit, nowUs)) run.feed(unit);
    else this.#counters.droppedUnits++;
  }

  close(): Promise<void> {
    return this.#encoders.close();
  }

  /** Starts with all there is since the last keyframe; false where that is not known. */
  #startRun(nowUs: number): boolean {
    const units = this.#gop.units.filter((unit) => unit.kind === 'video');
    const [first] = units;
    if (!first?.isKeyframe || first.width <= 0 || first.height <= 0) return false;
    const { need, host } = this.#options;
    this.#pipeline ??= {
      ...renditionCanvas(need, { widthPx: first.width, heightPx: first.height }),
      fps: need.fps,
      keyFrameIntervalFrames: need.keyFrameIntervalFrames,
    };
    const givenMs = (this.#lastDtsUs - first.ptsUs) / 1000;
    const resumeAtMs = givenMs < 0 ? undefined : givenMs + RESUME_MARGIN_MS;
    const pipeline = { ...this.#pipeline, resumeAtMs };
    this.#isDropping = false;
    this.#codec = first.codec;
    const run = this.#encoders.start(
      nowUs,
      (onEnd) => new VideoEncoderRun({ host, pipeline, first, onUnit: (encoded) => this.#give(encoded), onEnd }),
    );
    for (const unit of units) run.feed(unit);
    return true;
  }

  /** Once the queue was full, a keyframe is taken again as soon as half of it is free. */
  #hasRoom(run: VideoEncoderRun, unit: VideoUnit, nowUs: number): boolean {
    const { maxQueueBytes } = this.#options;
    if (!this.#isDropping) {
      this.#isDropping = run.queuedBytes > 0 && run.queuedBytes + unit.data.length > maxQueueBytes;
      return !this.#isDropping;
    }
    if (run.queuedBytes > maxQueueBytes / 2) return false;
    if (unit.isKeyframe) this.#isDropping = false;
    else this.#requestKeyframe(nowUs);
    return unit.isKeyframe;
  }

  #give(unit: VideoUnit): void {
    if (this.#encoders.isOver || unit.dtsUs <= this.#lastDtsUs) return;
    this.#lastDtsUs = unit.dtsUs;
    this.#counters.units++;
    this.#options.onUnit(unit);
  }

  #requestKeyframe(nowUs: number): void {
    if (nowUs - this.#lastRequestUs < KEYFRAME_REQUEST_INTERVAL_US) return;
    this.#lastRequestUs = nowUs;
    this.#options.onKeyframeNeeded();
  }

  /** What is still in it, or was only for it, is of another format than what comes. */
  #retireRun(): void {
    this.#gop.clear();
    this.#codec = undefined;
    this.#encoders.retire();
  }
}
