import { videoTranscodeArguments, type VideoTranscodePipeline } from '../../pipelines/video-transcode.ts';
import type { VideoUnit } from '../domain/media.ts';
import { FlvTagReader } from '../protocol/flv/tag-reader.ts';
import { parseFlvVideo } from '../protocol/flv/video-tag.ts';
import { avccToAnnexB, joinAnnexB } from '../protocol/h264/nal.ts';
import { MatroskaWriter } from '../protocol/matroska/writer.ts';
import { startChild, type Child, type ChildEnd } from '../supervisor/child-process.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface VideoEncoderRunOptions {
  readonly host: TranscoderHost;
  readonly pipeline: VideoTranscodePipeline;
  /** The keyframe with which the input will begin; its time becomes zero for the encoder. */
  readonly first: VideoUnit;
  readonly onUnit: (unit: VideoUnit) => void;
  /** Once, unless it was abandoned first. */
  readonly onEnd: (end: ChildEnd, stderrLines: readonly string[]) => void;
}

const TRACK = 1;
const MAX_TAG_BYTES = 8 << 20;

/** One life of one video encoder. It takes what it is given; the caller watches `queuedBytes`. */
export class VideoEncoderRun {
  readonly #options: VideoEncoderRunOptions;
  readonly #child: Child;
  readonly #writer: MatroskaWriter;
  readonly #reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  #nalLengthBytes = 4;
  #parameterSets: Buffer | undefined;
  #waitingSinceUs: number | undefined;
  #isOver = false;

  constructor(options: VideoEncoderRunOptions) {
    const { host, first, pipeline } = options;
    this.#options = options;
    this.#writer = new MatroskaWriter({
      baseUs: first.ptsUs,
      tracks: [{ kind: 'video', number: TRACK, codec: first.codec, width: first.width, height: first.height }],
    });
    this.#child = startChild({
      program: host.ffmpegPath,
      args: videoTranscodeArguments(pipeline),
      name: 'video-transcode',
      nonce: host.nonce,
      inputFd: 0,
      outputFds: [1],
      logger: host.logger,
      clock: host.clock,
    });
    this.#child.input?.write(this.#writer.header);
    this.#child.outputs.get(1)?.on('data', (chunk: Buffer) => this.#read(chunk));
    void this.#child.ended.then((end) => {
      if (this.#isOver) return;
      this.#isOver = true;
      options.onEnd(end, this.#child.stderrLines());
    });
  }

  /** What waits in user space for the pipe. */
  get queuedBytes(): number {
    return this.#child.input?.writableLength ?? 0;
  }

  /** For how long there has been input but no output. */
  waitedUs(nowUs: number): number {
    return this.#waitingSinceUs === undefined ? 0 : nowUs - this.#waitingSinceUs;
  }

  feed(unit: VideoUnit): void {
    const { input } = this.#child;
    if (!input) return;
    this.#waitingSinceUs ??= this.#options.host.clock.monotonicUs();
    input.cork();
    input.write(this.#writer.blockHead(TRACK, unit.ptsUs, unit.isKeyframe, unit.data.length));
    input.write(unit.data);
    input.uncork();
  }

  /** Kills it; it says nothing any more. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await this.#child.kill();
  }

  /** Ends it in order; it says nothing any more. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#child.stop();
  }

  #read(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      for (const tag of this.#reader.push(chunk)) {
        if (tag.type === 'video') this.#readVideo(tag.timestampMs, tag.data);
      }
    } catch (error) {
      this.#options.host.logger.warn({ error: String(error) }, 'video encoder wrote what cannot be read');
      void this.#child.kill();
    }
  }

  #readVideo(timestampMs: number, body: Buffer): void {
    const video = parseFlvVideo(body);
    if (video.kind === 'avc-config') {
      const { spss, ppss, nalLengthBytes } = video.configuration;
      this.#nalLengthBytes = nalLengthBytes;
      this.#parameterSets = joinAnnexB([...spss, ...ppss]);
      return;
    }
    if (video.kind !== 'avc-frame') return;
    this.#waitingSinceUs = undefined;
    const { first, pipeline, onUnit } = this.#options;
    const dtsUs = first.ptsUs + timestampMs * 1000;
    onUnit({
      kind: 'video',
      codec: 'h264',
      ptsUs: dtsUs + video.compositionTimeMs * 1000,
      dtsUs,
      isKeyframe: video.isKeyframe,
      width: pipeline.widthPx,
      height: pipeline.heightPx,
      data: avccToAnnexB(video.avcc, this.#nalLengthBytes, video.isKeyframe ? this.#parameterSets : undefined),
    });
  }
}
