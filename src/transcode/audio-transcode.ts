import type { Closable } from '../domain/life-cycle.ts';
import type { AudioTrack, AudioUnit } from '../domain/media.ts';
import { classifyFfmpegEnd } from '../supervisor/ffmpeg-exit.ts';
import { AudioEncoderRun } from './audio-encoder-run.ts';
import { audioInputFor, type FlvSound, type TimedAudio } from './audio-input.ts';
import { AUDIO_OUTPUTS, type AudioOutput, type AudioOutputCodec } from './audio-output.ts';
import { FrameGrid, TRANSCODED_SAMPLE_RATE_HZ } from './frame-grid.ts';
import { RestartBackoff } from './restart-backoff.ts';
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
  readonly counters = { units: 0, silentUnits: 0, droppedUnits: 0, restarts: 0 };
  readonly #options: AudioTranscodeOptions;
  readonly #output: AudioOutput;
  readonly #backoff = new RestartBackoff();
  readonly #dying = new Set<Promise<void>>();
  #grid: FrameGrid | undefined;
  #nextIndex = 0;
  #run: AudioEncoderRun | undefined;
  #hasDiedBefore = false;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor(options: AudioTranscodeOptions) {
    // Each run gets an input of its own; whether there can be one is known now.
    audioInputFor(options.from);
    this.#options = options;
    this.#output = AUDIO_OUTPUTS[options.to];
    this.track = { codec: options.to, sampleRateHz: TRANSCODED_SAMPLE_RATE_HZ, channels: 2 };
  }

  feed(unit: TimedAudio): void {
    if (this.#isOver) return;
    const nowUs = this.#options.host.clock.monotonicUs();
    this.#grid ??= new FrameGrid(unit.ptsUs, this.#output.frameSamples);
    if (this.#run && this.#run.waitedUs(nowUs) > STALL_US) this.#abandonRun('does not answer', nowUs);
    this.#write(unit, nowUs);
    this.#coverWithSilence(unit, nowUs);
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

  #write(unit: TimedAudio, nowUs: number): void {
    if (!this.#run && this.#backoff.mayStart(nowUs)) this.#run = this.#startRun(unit.ptsUs, nowUs);
    let result = this.#run?.feed(unit);
    if (result === 'hole') {
      this.#retireRun();
      this.#run = this.#startRun(unit.ptsUs, nowUs);
      result = this.#run.feed(unit);
    }
    if (result === 'clogged') this.#abandonRun('takes no more input', nowUs);
    if (result !== 'fed') this.counters.droppedUnits++;
  }

  #startRun(startPtsUs: number, nowUs: number): AudioEncoderRun {
    const grid = this.#grid!;
    const { index: startIndex, offsetSamples } = grid.locate(startPtsUs);
    this.#fillTo(startIndex);
    this.#backoff.started(nowUs);
    const run = new AudioEncoderRun({
      host: this.#options.host,
      input: audioInputFor(this.#options.from),
      to: this.#options.to,
      bitrateBps: this.#options.bitrateBps,
      startPtsUs,
      offsetSamples,
      onFrame: (frameIndex, frame) => this.#giveEncoded(startIndex + frameIndex, frame),
      onEnd: (end, stderrLines) => {
        this.#run = undefined;
        const { exitClass, detail } = classifyFfmpegEnd(end, stderrLines, false);
        this.#died(`${exitClass}: ${detail}`, this.#options.host.clock.monotonicUs());
      },
    });
    return run;
  }

  #coverWithSilence(unit: TimedAudio, nowUs: number): void {
    const endUs = unit.ptsUs + unit.durationUs;
    if (!this.#run) {
      this.#fillTo(this.#grid!.locate(endUs).index);
      return;
    }
    const isRestarting = this.#hasDiedBefore && !this.#run.hasProducedFrames;
    if (this.#run.waitedUs(nowUs) < (isRestarting ? RESTART_PATIENCE_US : PATIENCE_US)) return;
    this.#fillTo(this.#grid!.locate(endUs - SILENCE_LAG_US).index);
  }

  #fillTo(endIndex: number): void {
    if (endIndex - this.#nextIndex > MAX_SILENT_FRAMES) this.#nextIndex = endIndex;
    while (this.#nextIndex < endIndex) {
      this.counters.silentUnits++;
      this.#give(this.#output.silence);
    }
  }

  #giveEncoded(index: number, frame: Buffer): void {
    if (this.#isOver || index < this.#nextIndex) return;
    this.#fillTo(index);
    this.#give(frame);
  }

  #give(data: Buffer): void {
    const index = this.#nextIndex++;
    const grid = this.#grid!;
    this.counters.units++;
    this.#options.onUnit({
      kind: 'audio',
      codec: this.#options.to,
      ptsUs: grid.timeUs(index),
      durationUs: grid.durationUs(index),
      data,
    });
  }

  #retireRun(): void {
    this.#track(this.#run?.close());
    this.#run = undefined;
  }

  #abandonRun(reason: string, nowUs: number): void {
    this.#track(this.#run?.abandon());
    this.#run = undefined;
    this.#died(reason, nowUs);
  }

  /** Remembers an encoder that is on its way out, so that `close` can wait for it. */
  #track(dying: Promise<void> | undefined): void {
    if (!dying) return;
    const gone = dying.then(() => void this.#dying.delete(gone));
    this.#dying.add(gone);
  }

  #died(reason: string, nowUs: number): void {
    if (this.#isOver) return;
    this.#hasDiedBefore = true;
    this.counters.restarts++;
    this.#backoff.died(nowUs);
    this.#options.host.logger.warn({ reason, restarts: this.counters.restarts }, 'audio encoder died');
    if (!this.#backoff.isExhausted) return;
    this.#isOver = true;
    this.#options.onEnd(`the audio encoder keeps dying: ${reason}`);
  }
}
