import { videoTranscodeArguments, type VideoTranscodePipeline } from '../../pipelines/video-transcode.ts';
import type { VideoUnit } from '../domain/media.ts';
import { FlvTagReader } from '../protocol/flv/tag-reader.ts';
import { parseFlvVideo } from '../protocol/flv/video-tag.ts';
import { avccToAnnexB, joinAnnexB } from '../protocol/h264/nal.ts';
import { MatroskaWriter } from '../protocol/matroska/writer.ts';
import { EncoderProcess } from './encoder-process.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface VideoEncoderRunOptions {
  readonly host: TranscoderHost;
  readonly pipeline: VideoTranscodePipeline;
  /** The keyframe with which the input will begin; its time becomes zero for the encoder. */
  readonly first: VideoUnit;
  readonly onUnit: (unit: VideoUnit) => void;
  /** As that of the process. */
  readonly onEnd: (reason: string) => void;
}

const TRACK = 1;
const MAX_TAG_BYTES = 8 << 20;

/** One life of one video encoder. It takes what it is given; the caller watches `queuedBytes`. */
export class VideoEncoderRun {
  readonly process: EncoderProcess;
  readonly #options: VideoEncoderRunOptions;
  readonly #writer: MatroskaWriter;
  readonly #reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  #nalLengthBytes = 4;
  #parameterSets: Buffer | undefined;

  constructor(options: VideoEncoderRunOptions) {
    const { host, first, pipeline, onEnd } = options;
    this.#options = options;
    this.#writer = new MatroskaWriter({
      baseUs: first.ptsUs,
      tracks: [{ kind: 'video', number: TRACK, codec: first.codec, width: first.width, height: first.height }],
    });
    this.process = new EncoderProcess({
      host,
      kind: 'video',
      args: videoTranscodeArguments(pipeline),
      onOutput: (chunk) => this.#read(chunk),
      onEnd,
    });
    this.process.input?.write(this.#writer.header);
  }

  /** What waits in user space for the pipe. */
  get queuedBytes(): number {
    return this.process.input?.writableLength ?? 0;
  }

  feed(unit: VideoUnit): void {
    const { input } = this.process;
    if (!input) return;
    this.process.noteInput();
    input.cork();
    input.write(this.#writer.blockHead(TRACK, unit.ptsUs, unit.isKeyframe, unit.data.length));
    input.write(unit.data);
    input.uncork();
  }

  #read(chunk: Buffer): void {
    for (const tag of this.#reader.push(chunk)) {
      if (tag.type === 'video') this.#readVideo(tag.timestampMs, tag.data);
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
    this.process.noteFrame();
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
