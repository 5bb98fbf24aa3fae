import type { Closable } from '../domain/life-cycle.ts';
import type { AudioTrack, AudioUnit } from '../domain/media.ts';
import { AudioEncoderRun } from './audio-encoder-run.ts';
import { audioInputFor, type FlvSound, type TimedAudio } from './audio-input.ts';
import { AUDIO_OUTPUTS, type AudioOutput, type AudioOutputCodec } from './audio-output.ts';
import { EncoderSuccession } from './encoder-succession.ts';
import { FrameGrid, TRANSCODED_SAMPLE_RATE_HZ } from './frame-grid.ts';
import type { TranscoderHost } from './transcoder-host.ts';

export interface AudioTranscodeOptions {
  readonly host: TranscoderHost;
  /** Of every unit that will be fed. */
  readonly from: AudioTrack | FlvSound;
  readonly to: AudioOutputCodec;
  readonly bitrateBps: number;
  /** AAC-LC frames of 1024 samples or Opus frames of 20 ms, 48 kHz stereo, without holes, on the timeline of the input. */
  readonly onUnit: (unit: AudioUnit) => void;
  /** Once, when it has died too often to try again. Not called after `close`. */
  readonly onEnd: (reason: string) => void;
}

export interface AudioTranscode extends Closable {
  readonly track: AudioTrack;
  /** Takes the next unit. Input has no holes and does not go back (UnitSource); what does go back is dropped. */
  feed(unit: TimedAudio): void;
  readonly counters: {
    readonly units: number;
    readonly silentUnits: number;
    readonly droppedUnits: number;
    readonly restarts: number;
  };
}

/** Input for so long without output means that the encoder hangs. */
const STALL_US = 3_000_000;
/** The very first start is given time; a running encoder too, as the machine may be busy. */
const PATIENCE_US = 1_000_000;
/** After a death listeners are already there: silence comes in after this. */
const RESTART_PATIENCE_US = 60_000;
/** Silence stays this far behind the input, so that the encoder's own frames can still take the place. */
const SILENCE_LAG_US = 80_000;
/** A longer jump of the input's time is passed on as a jump. */
const MAX_SILENT_FRAMES = 500;

/**
 * Any audio → AAC or Opus by one ffmpeg. While there is none that delivers, constant silent frames keep the output going, at the
 * pace of the input; a frame of the grid is given once, so time never goes back. Throws AAC_CONFIG_RESERVED for AAC that cannot be announced. Close it with `close`.
 */
export function startAudioTranscode(options: AudioTranscodeOptions): AudioTranscode {
  return new AudioTranscoder(options);
}

class AudioTranscoder implements AudioTranscode {
  readonly track: AudioTrack;
  readonly #options: AudioTranscodeOptions;
  readonly #output: AudioOutput;
  readonly #encoders: EncoderSuccession<AudioEncoderRun>;
  readonly #counters = { units: 0, silentUnits: 0, droppedUnits: 0 };
  #grid: FrameGrid | undefined;
  #nextIndex = 0;

  constructor(options: AudioTranscodeOptions) {
    // Each run gets an input of its own; whether there can be one is known now.
    audioInputFor(options.from);
    this.#options = options;
    this.#encoders = new EncoderSuccession({ host: options.host, kind: 'audio', onEnd: options.onEnd });
    this.#output = AUDIO_OUTPUTS[options.to];
    this.track = { codec: options.to, sampleRateHz: TRANSCODED_SAMPLE_RATE_HZ, channels: 2 };
  }

  get counters(): AudioTranscode['counters'] {
    return { ...this.#counters, restarts: this.#encoders.deaths };
  }

  feed(unit: TimedAudio): void {
    if (this.#encoders.isOver) return;
    const nowUs = this.#options.host.clock.monotonicUs();
    this.#grid ??= new FrameGrid(unit.ptsUs, this.#output.frameSamples);
    this.#encoders.abandonStalled(STALL_US, nowUs);
    this.#write(unit, nowUs);
    this.#coverWithSilence(unit, nowUs);
  }

  close(): Promise<void> {
    return this.#encoders.close();
  }

  #write(unit: TimedAudio, nowUs: number): void {
    if (this.#encoders.mayStart(nowUs)) this.#startRun(unit.ptsUs, nowUs);
    let result = this.#encoders.run?.feed(unit);
    if (result === 'hole') {
      this.#encoders.retire();
      result = this.#startRun(unit.ptsUs, nowUs).feed(unit);
    }
    if (result === 'clogged') this.#encoders.abandon('takes no more input', nowUs);
    if (result !== 'fed') this.#counters.droppedUnits++;
  }

  #startRun(startPtsUs: number, nowUs: number): AudioEncoderRun {
    const { index: startIndex, offsetSamples } = this.#grid!.locate(startPtsUs);
    const { host, from, to, bitrateBps } = this.#options;
    this.#fillTo(startIndex);
    const input = audioInputFor(from);
    const onFrame = (frameIndex: number, frame: Buffer) => this.#giveEncoded(startIndex + frameIndex, frame);
    return this.#encoders.start(
      nowUs,
      (onEnd) => new AudioEncoderRun({ host, input, to, bitrateBps, startPtsUs, offsetSamples, onFrame, onEnd }),
    );
  }

  #coverWithSilence(unit: TimedAudio, nowUs: number): void {
    const endUs = unit.ptsUs + unit.durationUs;
    const { run, deaths } = this.#encoders;
    if (!run) {
      this.#fillTo(this.#grid!.locate(endUs).index);
      return;
    }
    const isRestarting = deaths > 0 && !run.hasProducedFrames;
    if (run.process.waitedUs(nowUs) < (isRestarting ? RESTART_PATIENCE_US : PATIENCE_US)) return;
    this.#fillTo(this.#grid!.locate(endUs - SILENCE_LAG_US).index);
  }

  #fillTo(endIndex: number): void {
    if (endIndex - this.#nextIndex > MAX_SILENT_FRAMES) this.#nextIndex = endIndex;
    while (this.#nextIndex < endIndex) {
      this.#counters.silentUnits++;
      this.#give(this.#output.silence);
    }
  }

  #giveEncoded(index: number, frame: Buffer): void {
    if (this.#encoders.isOver || index < this.#nextIndex) return;
    this.#fillTo(index);
    this.#give(frame);
  }

  #give(data: Buffer): void {
    const index = this.#nextIndex++;
    const grid = this.#grid!;
    this.#counters.units++;
    this.#options.onUnit({
      kind: 'audio',
      codec: this.#options.to,
      ptsUs: grid.timeUs(index),
      durationUs: grid.durationUs(index),
      data,
    });
  }
}
