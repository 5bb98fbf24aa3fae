import { audioTranscodeArguments } from '../../pipelines/audio-transcode.ts';
import type { AudioInput, TimedAudio } from './audio-input.ts';
import { AUDIO_OUTPUTS, type AudioOutputCodec } from './audio-output.ts';
import { EncoderProcess } from './encoder-process.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface AudioEncoderRunOptions {
  readonly host: TranscoderHost;
  /** Fresh: what is written begins with its header. */
  readonly input: AudioInput;
  readonly to: AudioOutputCodec;
  readonly bitrateBps: number;
  /** Time of the first sample that will be fed. */
  readonly startPtsUs: number;
  /** How far into frame 0 that sample shall be heard. */
  readonly offsetSamples: number;
  /** Frames in order, from 0; frame 0 begins `offsetSamples` before `startPtsUs`. */
  readonly onFrame: (frameIndex: number, frame: Buffer) => void;
  /** As that of the process. */
  readonly onEnd: (reason: string) => void;
}

export type FeedResult = 'fed' | 'dropped' | 'hole' | 'clogged';

const MAX_INPUT_QUEUE_BYTES = 256 << 10;
/** Holes up to this long are filled with silence on the way in; a longer one is for the caller. */
const MAX_FILLED_HOLE_US = 1_000_000;

/** One life of one audio encoder: an ffmpeg whose input has no holes, so that its frames can be counted instead of timed. */
export class AudioEncoderRun {
  readonly process: EncoderProcess;
  readonly #input: AudioInput;
  readonly #options: AudioEncoderRunOptions;
  readonly #framesOf: (chunk: Buffer) => Buffer[];
  /** Frames that come before frame 0: they hold only silence. */
  readonly #primingFrames: number;
  #samplesFed = 0;
  #framesRead = 0;

  constructor(options: AudioEncoderRunOptions) {
    const { host, input, to, bitrateBps, offsetSamples, onEnd } = options;
    const { frameSamples, delaySamples, frameReader } = AUDIO_OUTPUTS[to];
    // What the encoder's own delay leaves of the offset is silence in front of the input.
    const leadSamples = (offsetSamples - delaySamples + frameSamples) % frameSamples;
    this.#options = options;
    this.#input = input;
    this.#framesOf = frameReader();
    this.#primingFrames = (leadSamples + delaySamples - offsetSamples) / frameSamples;
    this.process = new EncoderProcess({
      host,
      kind: 'audio',
      args: audioTranscodeArguments({ from: input.format, to, bitrateBps, leadSamples }),
      onOutput: (chunk) => this.#read(chunk),
      onEnd,
    });
    if (input.header) this.process.input?.write(input.header);
  }

  get hasProducedFrames(): boolean {
    return this.#framesRead > this.#primingFrames;
  }

  /** Puts one unit at its time: fills a short hole before it, drops it where its time is already written. */
  feed(unit: TimedAudio): FeedResult {
    const { input } = this.process;
    if (!input || input.writableLength > MAX_INPUT_QUEUE_BYTES) return 'clogged';
    const expectedUs = this.#options.startPtsUs + (this.#samplesFed * 1000) / 48;
    const aheadUs = unit.ptsUs - expectedUs;
    if (aheadUs > MAX_FILLED_HOLE_US) return 'hole';
    if (aheadUs <= -unit.durationUs) return 'dropped';
    this.process.noteInput();
    const { silence, silenceSamples } = this.#input;
    const silenceUs = (silenceSamples * 1000) / 48;
    for (let left = aheadUs; left >= silenceUs; left -= silenceUs) this.#write(silence, silenceSamples);
    this.#write(unit.data, this.#input.samplesOf(unit));
    return 'fed';
  }

  #write(data: Buffer, samples: number): void {
    this.#samplesFed += samples;
    for (const chunk of this.#input.chunks(data, samples)) this.process.input?.write(chunk);
  }

  #read(chunk: Buffer): void {
    for (const frame of this.#framesOf(chunk)) {
      this.process.noteFrame();
      const index = this.#framesRead++ - this.#primingFrames;
      if (index >= 0) this.#options.onFrame(index, frame);
    }
  }
}
