import type { VideoTranscodePipeline } from '../../pipelines/video-transcode.ts';
import type { Closable } from '../domain/life-cycle.ts';
import type { VideoUnit } from '../domain/media.ts';
import type { RenditionNeed } from '../hub/unit-source.ts';
import { classifyFfmpegEnd } from '../supervisor/ffmpeg-exit.ts';
import { renditionCanvas } from './canvas.ts';
import { RestartBackoff } from './restart-backoff.ts';
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

/** H.264 or VP8 → H.264 of one size by one ffmpeg, which may die and come back on the next keyframe. Close it with `close`. */
export function startVideoTranscode(options: VideoTranscodeOptions): VideoTranscode {
  return new VideoTranscoder(options);
}

class VideoTranscoder implements VideoTranscode {
  readonly counters = { units: 0, droppedUnits: 0, restarts: 0 };
  readonly #options: VideoTranscodeOptions;
  readonly #backoff = new RestartBackoff();
  readonly #dying = new Set<Promise<void>>();
  #pipeline: VideoTranscodePipeline | undefined;
  #run: VideoEncoderRun | undefined;
  #codec: VideoUnit['codec'] | undefined;
  #isDropping = false;
  #lastDtsUs = Number.NEGATIVE_INFINITY;
  #lastRequestUs = Number.NEGATIVE_INFINITY;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor(options: VideoTranscodeOptions) {
    this.#options = options;
  }

  feed(unit: VideoUnit): void {
    if (this.#isOver) return;
    const nowUs = this.#options.host.clock.monotonicUs();
    if (this.#run && this.#run.waitedUs(nowUs) > STALL_US) this.#abandonRun(nowUs);
    if (this.#run && unit.codec !== this.#codec) this.#retireRun();
    const run = this.#run ?? this.#startRun(unit, nowUs);
    if (run && this.#hasRoom(run, unit, nowUs)) run.feed(unit);
    else this.counters.droppedUnits++;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.#run?.close(), ...this.#dying]);
    this.#run = undefined;
  }

  #startRun(unit: VideoUnit, nowUs: number): VideoEncoderRun | undefined {
    if (!this.#backoff.mayStart(nowUs)) return undefined;
    if (!unit.isKeyframe || unit.width <= 0 || unit.height <= 0) {
      this.#requestKeyframe(nowUs);
      return undefined;
    }
    const { need, host } = this.#options;
    this.#pipeline ??= {
      ...renditionCanvas(need, { widthPx: unit.width, heightPx: unit.height }),
      fps: need.fps,
      keyFrameIntervalFrames: need.keyFrameIntervalFrames,
    };
    this.#isDropping = false;
    this.#codec = unit.codec;
    this.#backoff.started(nowUs);
    this.#run = new VideoEncoderRun({
      host,
      pipeline: this.#pipeline,
      first: unit,
      onUnit: (encoded) => this.#give(encoded),
      onEnd: (end, stderrLines) => {
        this.#run = undefined;
        const { exitClass, detail } = classifyFfmpegEnd(end, stderrLines, false);
        this.#died(`${exitClass}: ${detail}`, host.clock.monotonicUs());
      },
    });
    return this.#run;
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
    if (this.#isOver || unit.dtsUs <= this.#lastDtsUs) return;
    this.#lastDtsUs = unit.dtsUs;
    this.counters.units++;
    this.#options.onUnit(unit);
  }

  #requestKeyframe(nowUs: number): void {
    if (nowUs - this.#lastRequestUs < KEYFRAME_REQUEST_INTERVAL_US) return;
    this.#lastRequestUs = nowUs;
    this.#options.onKeyframeNeeded();
  }

  #retireRun(): void {
    this.#track(this.#run?.close());
    this.#run = undefined;
  }

  #abandonRun(nowUs: number): void {
    this.#track(this.#run?.abandon());
    this.#run = undefined;
    this.#died('does not answer', nowUs);
  }

  /** Remembers an encoder that is on its way out, so that `close` can wait for it. */
  #track(dying: Promise<void> | undefined): void {
    if (!dying) return;
    const gone = dying.then(() => void this.#dying.delete(gone));
    this.#dying.add(gone);
  }

  #died(reason: string, nowUs: number): void {
    if (this.#isOver) return;
    this.counters.restarts++;
    this.#backoff.died(nowUs);
    this.#options.host.logger.warn({ reason, restarts: this.counters.restarts }, 'video encoder died');
    if (this.#backoff.isExhausted) {
      this.#isOver = true;
      this.#options.onEnd(`the video encoder keeps dying: ${reason}`);
    } else if (this.#backoff.mayStart(nowUs)) {
      this.#requestKeyframe(nowUs);
    }
  }
}
