import { audioTranscodeArguments } from '../../pipelines/audio-transcode.ts';
import type { AudioUnit } from '../domain/media.ts';
import { parseFlvAudio } from '../protocol/flv/audio-tag.ts';
import { FlvTagReader } from '../protocol/flv/tag-reader.ts';
import { startChild, type Child, type ChildEnd } from '../supervisor/child-process.ts';
import { audioInputFor, SILENCE_SAMPLES, type AudioInput, type TranscodableAudio } from './audio-input.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface AudioEncoderRunOptions {
  readonly host: TranscoderHost;
  readonly codec: TranscodableAudio;
  readonly bitrateBps: number;
  /** Time of the first sample that will be fed. */
  readonly startPtsUs: number;
  /** Samples of silence that the encoder puts in front of it. */
  readonly leadSamples: number;
  /** Frames in order, from 0; frame 0 begins `leadSamples` before `startPtsUs`. Not called after `end` or `abandon`. */
  readonly onFrame: (frameIndex: number, frame: Buffer) => void;
  /** Once, unless it was abandoned first. */
  readonly onEnd: (end: ChildEnd, stderrLines: readonly string[]) => void;
}

export type FeedResult = 'fed' | 'dropped' | 'hole' | 'clogged';

const MAX_TAG_BYTES = 64 << 10;
const MAX_INPUT_QUEUE_BYTES = 256 << 10;
/** Holes up to this long are filled with silence on the way in; a longer one is for the caller. */
const MAX_FILLED_HOLE_US = 1_000_000;
const SILENCE_US = 20_000;
/** The native encoder's first frame holds only its priming (1024 samples) and no input. */
const PRIMING_FRAMES = 1;

/** One life of one audio encoder: an ffmpeg whose input has no holes, so that its frames can be counted instead of timed. */
export class AudioEncoderRun {
  readonly #child: Child;
  readonly #input: AudioInput;
  readonly #options: AudioEncoderRunOptions;
  readonly #reader = new FlvTagReader({ maxTagBytes: MAX_TAG_BYTES });
  #samplesFed = 0;
  #framesRead = 0;
  #waitingSinceUs: number | undefined;
  #isOver = false;

  constructor(options: AudioEncoderRunOptions) {
    const { host, codec, bitrateBps, leadSamples } = options;
    this.#options = options;
    this.#input = audioInputFor(codec);
    this.#child = startChild({
      program: host.ffmpegPath,
      args: audioTranscodeArguments({ codec, bitrateBps, leadSamples }),
      name: 'audio-transcode',
      nonce: host.nonce,
      inputFd: 0,
      outputFds: [1],
      logger: host.logger,
      clock: host.clock,
    });
    if (this.#input.header) this.#child.input?.write(this.#input.header);
    this.#child.outputs.get(1)?.on('data', (chunk: Buffer) => this.#read(chunk));
    void this.#child.ended.then((end) => {
      if (this.#isOver) return;
      this.#isOver = true;
      options.onEnd(end, this.#child.stderrLines());
    });
  }

  get hasProducedFrames(): boolean {
    return this.#framesRead > PRIMING_FRAMES;
  }

  /** For how long there has been input but no output. */
  waitedUs(nowUs: number): number {
    return this.#waitingSinceUs === undefined ? 0 : nowUs - this.#waitingSinceUs;
  }

  /** Puts one unit at its time: fills a short hole before it, drops it where its time is already written. */
  feed(unit: AudioUnit): FeedResult {
    const { input } = this.#child;
    if (!input || input.writableLength > MAX_INPUT_QUEUE_BYTES) return 'clogged';
    const expectedUs = this.#options.startPtsUs + (this.#samplesFed * 1000) / 48;
    const aheadUs = unit.ptsUs - expectedUs;
    if (aheadUs > MAX_FILLED_HOLE_US) return 'hole';
    if (aheadUs <= -unit.durationUs) return 'dropped';
    this.#waitingSinceUs ??= this.#options.host.clock.monotonicUs();
    for (let left = aheadUs; left >= SILENCE_US; left -= SILENCE_US) {
      this.#samplesFed += SILENCE_SAMPLES;
      input.write(this.#input.silence20Ms());
    }
    const samples = this.#input.samplesOf(unit);
    this.#samplesFed += samples;
    input.write(this.#input.bytes(unit.data, samples));
    return 'fed';
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
        if (tag.type !== 'audio') continue;
        const audio = parseFlvAudio(tag.data);
        if (audio.kind !== 'aac-frame' || audio.frame.length === 0) continue;
        this.#waitingSinceUs = undefined;
        const index = this.#framesRead++ - PRIMING_FRAMES;
        if (index >= 0) this.#options.onFrame(index, audio.frame);
      }
    } catch (error) {
      this.#options.host.logger.warn({ error: String(error) }, 'audio encoder wrote what cannot be read');
      void this.#child.kill();
    }
  }
}
