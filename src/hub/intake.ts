import type { AudioTrack, MediaUnit } from '../domain/media.ts';
import { AudioGrid, type AudioGridCounters } from './audio-grid.ts';
import { silenceOf } from './silence.ts';
import type { SourceFrame } from './source-frame.ts';
import { Timeline } from './timeline.ts';
import { opusDurationUs } from '../protocol/opus/duration.ts';
import { WindowMinimum } from './window-minimum.ts';

const RTP_LATE_US = 120_000;
/** Sources with a timeline of their own interleave loosely: audio may lag behind video by some hundred milliseconds. */
const UNIT_LATE_US = 500_000;
/**
 * Where nothing comes at all for no longer, sound is held up with the pictures and comes with them. After that silence keeps
 * pushes and players going: given all at once when the source has come back, it would be a delay to them for good.
 */
const HELD_UP_US = 2_000_000;
const FLOOR_WINDOW_US = 2_000_000;
/** Without sound for so long, what is missing of it goes by the pace of the pictures again. */
const SOUND_LAPSE_US = 10_000_000;
/** One Matroska or FLV tick. */
const MIN_STEP_US = 1_000;

/** Turns what a source sends into units on one monotonic timeline with continuous audio. */
export interface Intake {
  readonly audioCounters: AudioGridCounters | undefined;
  /** How often `tick` is to be called. */
  readonly tickPeriodMs: number;
  /** Lets silence take the place of audio that is missing at this monotonic time. */
  tick(monotonicUs: number): void;
}

/** For sources that send RTP: times come from `Timeline`, audio always exists. */
export class RtpIntake implements Intake {
  readonly tickPeriodMs = 20;
  readonly #timeline = new Timeline();
  readonly #grid: AudioGrid;
  readonly #audio: AudioTrack;
  readonly #onUnit: (unit: MediaUnit) => void;

  constructor(audio: AudioTrack, onUnit: (unit: MediaUnit) => void) {
    this.#audio = audio;
    this.#onUnit = onUnit;
    this.#grid = newGrid(audio, RTP_LATE_US, 0, onUnit);
  }

  get audioCounters(): AudioGridCounters {
    return this.#grid.counters;
  }

  /** Audio of another codec than the stream's is ignored. */
  write(frame: SourceFrame): void {
    const { codec, data } = frame;
    if (codec === 'h264' || codec === 'vp8') {
      const timeUs = this.#timeline.place(frame);
      const { isKeyframe, width, height } = frame;
      this.#onUnit({ kind: 'video', codec, ptsUs: timeUs, dtsUs: timeUs, isKeyframe, width, height, data });
      return;
    }
    if (codec !== this.#audio.codec || data.length === 0) return;
    const durationUs = codec === 'opus' ? opusDurationUs(data) : (data.length * 1_000_000) / this.#audio.sampleRateHz;
    if (durationUs > 0) this.#grid.write(this.#timeline.place(frame), durationUs, data);
  }

  writeSenderReport(kind: 'video' | 'audio', ntpUs: number, rtpTime: number): void {
    this.#timeline.senderReport(kind, ntpUs, rtpTime);
  }

  tick(monotonicUs: number): void {
    const nowUs = this.#timeline.nowUs(monotonicUs);
    if (nowUs !== undefined) this.#grid.tick(nowUs);
  }
}

/** For sources that come with a timeline: times are kept, made increasing, and audio is put on its grid. */
export class UnitIntake implements Intake {
  readonly tickPeriodMs = 100;
  readonly #audio: AudioTrack;
  readonly #onUnit: (unit: MediaUnit) => void;
  /** `monotonic − pts` of what came with the least delay. */
  readonly #floor = { video: new WindowMinimum(FLOOR_WINDOW_US), audio: new WindowMinimum(FLOOR_WINDOW_US) };
  #grid: AudioGrid | undefined;
  #firstPtsUs: number | undefined;
  #newestPtsUs = -Infinity;
  #newestAtUs = 0;
  #lastSoundAtUs = -Infinity;
  #lastDtsUs = -Infinity;

  constructor(audio: AudioTrack, onUnit: (unit: MediaUnit) => void) {
    this.#audio = audio;
    this.#onUnit = onUnit;
  }

  get audioCounters(): AudioGridCounters | undefined {
    return this.#grid?.counters;
  }

  write(unit: MediaUnit, monotonicUs: number): void {
    this.#floor[unit.kind].add(monotonicUs - unit.ptsUs, monotonicUs);
    this.#firstPtsUs ??= unit.ptsUs;
    this.#newestPtsUs = Math.max(this.#newestPtsUs, unit.ptsUs);
    this.#newestAtUs = monotonicUs;
    if (unit.kind === 'audio') {
      if (unit.codec !== this.#audio.codec) return;
      this.#lastSoundAtUs = monotonicUs;
      this.#grid ??= this.#newGrid(unit.ptsUs);
      this.#grid.write(unit.ptsUs, unit.durationUs, unit.data);
      return;
    }
    const isIncreasing = unit.dtsUs > this.#lastDtsUs;
    const dtsUs = isIncreasing ? unit.dtsUs : this.#lastDtsUs + MIN_STEP_US;
    this.#lastDtsUs = dtsUs;
    this.#onUnit(isIncreasing ? unit : { ...unit, dtsUs, ptsUs: Math.max(unit.ptsUs, dtsUs) });
  }

  tick(monotonicUs: number): void {
    if (this.#firstPtsUs === undefined) return;
    // Clocks of sound and pictures may drift apart for hours: sound that comes as it always does is not late.
    const { video, audio } = this.#floor;
    const goesBySound = monotonicUs - this.#lastSoundAtUs < SOUND_LAPSE_US || video.value === Infinity;
    const floorUs = goesBySound ? audio.value : video.value;
    const mayBeHeldUp = monotonicUs - this.#newestAtUs < HELD_UP_US;
    const nowUs = Math.min(monotonicUs - floorUs, mayBeHeldUp ? this.#newestPtsUs : Infinity);
    if (nowUs - this.#firstPtsUs > UNIT_LATE_US) this.#grid ??= this.#newGrid(this.#firstPtsUs);
    this.#grid?.tick(nowUs);
  }

  /** Begins with the stream, and so that a slot begins at `slotUs`: the first frame keeps its time exactly. */
  #newGrid(slotUs: number): AudioGrid {
    const { frameSamples } = silenceOf(this.#audio);
    const slotLengthUs = (frameSamples * 1_000_000) / this.#audio.sampleRateHz;
    const slotsBefore = Math.max(0, Math.floor((slotUs - (this.#firstPtsUs ?? slotUs)) / slotLengthUs));
    return newGrid(this.#audio, UNIT_LATE_US, slotUs - slotsBefore * slotLengthUs, this.#onUnit);
  }
}

function newGrid(track: AudioTrack, lateUs: number, originUs: number, onUnit: (unit: MediaUnit) => void): AudioGrid {
  const { frameSamples, data: silence } = silenceOf(track);
  const { codec, sampleRateHz } = track;
  return new AudioGrid({ codec, sampleRateHz, frameSamples, silence, lateUs, onUnit }, originUs);
}
