import type { CancelTimer, Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import type { MediaUnit, Tracks } from '../domain/media.ts';
import type { AudioGridCounters } from './audio-grid.ts';
import { RtpIntake, UnitIntake } from './intake.ts';
import { KeyframeRequests } from './keyframe-requests.ts';
import { SILENT_TRACK } from './silence.ts';
import type { SourceFrame } from './source-frame.ts';
import { UnitBroadcast } from './unit-broadcast.ts';
import type { Reader, ReaderOptions, UnitSource } from './unit-source.ts';

const UNWANTED_LINGER_MS = 2_000;

/** What a stream may ask of whoever publishes it. */
export interface LiveStreamSource {
  /** The media worker's stream where it is one of its own: WebRTC players get its packets as they are. */
  readonly webrtcStreamId?: string | undefined;
  /** All of its sound is silence that it makes for those who cannot do without: nobody needs to hear it. */
  readonly isSilent?: boolean | undefined;
  /** Absent where no live encoder listens. Called at most once per 500 ms. */
  requestKeyframe?(): void;
  /** Frames need not be sent while they are not wanted. When wanted again, the cached GOP is best sent first. */
  setFramesWanted(wanted: boolean): void;
}

export interface LiveStreamOptions {
  readonly name: string;
  /** The publisher's mediaSessionId. */
  readonly id: string;
  readonly source: LiveStreamSource;
  /** Without audio, the stream gets silent Opus. */
  readonly tracks: Tracks;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One published stream: takes frames or units of one source and gives units to any number of readers. The source is asked
 * for frames only while there are readers; when frames come anew after that, the timeline begins anew with them.
 * Closed by `end`, which belongs to whoever published it.
 */
export class LiveStream implements UnitSource {
  readonly name: string;
  readonly id: string;
  readonly #options: LiveStreamOptions;
  readonly #broadcast: UnitBroadcast;
  readonly #keyframes: KeyframeRequests;
  readonly #audioTrack;
  readonly #onUnit: (unit: MediaUnit) => void;
  #rtp: RtpIntake | undefined;
  #units: UnitIntake | undefined;
  #isWanted = false;
  #cancelLinger: CancelTimer | undefined;
  #cancelTick: CancelTimer | undefined;
  #framesLost = 0;

  constructor(options: LiveStreamOptions) {
    this.name = options.name;
    this.id = options.id;
    this.#options = options;
    this.#audioTrack = options.tracks.audio ?? SILENT_TRACK;
    this.#keyframes = new KeyframeRequests({
      clock: options.clock,
      send: () => this.#askSource(() => options.source.requestKeyframe?.()),
    });
    this.#broadcast = new UnitBroadcast({
      tracks: { video: options.tracks.video, audio: this.#audioTrack },
      logger: options.logger.child({ mediaSessionId: options.id }),
      requestKeyframe: () => this.#keyframes.request(),
      onReaders: () => this.#readersChanged(),
    });
    this.#onUnit = (unit) => this.#broadcast.write(unit);
  }

  get tracks(): Tracks {
    return this.#broadcast.tracks;
  }

  get webrtcStreamId(): string | undefined {
    return this.#options.source.webrtcStreamId;
  }

  /** False where the sound is silence of our own making. */
  get hasPublishedAudio(): boolean {
    const { tracks, source } = this.#options;
    return tracks.audio !== undefined && source.isSilent !== true;
  }

  /** Time of the newest sound that is kept; minus infinity where there is none. */
  get newestAudioUs(): number {
    const newest = this.#broadcast.cache.units.findLast(({ kind }) => kind === 'audio');
    return newest?.ptsUs ?? Number.NEGATIVE_INFINITY;
  }

  /** Pictures with which nobody can begin before their next keyframe. Grows only. */
  get headlessPictures(): number {
    return this.#broadcast.cache.headlessPictures;
  }

  get hasEnded(): boolean {
    return this.#broadcast.hasEnded;
  }

  get counters(): { readonly framesLost: number; readonly audio: AudioGridCounters | undefined } {
    return { framesLost: this.#framesLost, audio: (this.#rtp ?? this.#units)?.audioCounters };
  }

  addReader(options: ReaderOptions): Reader {
    return this.#broadcast.addReader(options);
  }

  requestKeyframe(): void {
    this.#broadcast.requestKeyframe();
  }

  /** A frame of an RTP source. Ignored while no frames are wanted. */
  writeFrame(frame: SourceFrame): void {
    if (!this.#isWanted) return;
    if (frame.kind === 'video' && frame.isKeyframe) this.#keyframes.keyframeSeen(frame.arrivalUs);
    if (this.#rtp === undefined) {
      this.#rtp = new RtpIntake(this.#audioTrack, this.#onUnit);
      this.#startTicking();
    }
    this.#rtp.write(frame);
  }

  /** NTP time (µs since 1900, sender's clock) of an unwrapped RTP time. */
  writeSenderReport(kind: 'video' | 'audio', ntpUs: number, rtpTime: number): void {
    this.#rtp?.writeSenderReport(kind, ntpUs, rtpTime);
  }

  /** A hole in the video was given up: frames come again with the next keyframe, which is asked for. */
  framesLost(): void {
    this.#framesLost += 1;
    this.requestKeyframe();
  }

  /** A unit of a source that has a timeline. Taken whether wanted or not, so that the GOP cache is warm. */
  writeUnit(unit: MediaUnit): void {
    if (this.hasEnded) return;
    const nowUs = this.#options.clock.monotonicUs();
    if (unit.kind === 'video' && unit.isKeyframe) this.#keyframes.keyframeSeen(nowUs);
    if (this.#units === undefined) {
      this.#units = new UnitIntake(this.#audioTrack, this.#onUnit);
      this.#startTicking();
    }
    this.#units.write(unit, nowUs);
  }

  /** The source is gone: readers end once, with the first reason. */
  end(reason: string): void {
    this.#broadcast.end(reason);
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
    this.#stopFrames();
    this.#keyframes.close();
  }

  #readersChanged(): void {
    if (this.hasEnded) return;
    const { readers } = this.#broadcast;
    this.#keyframes.keepRegular(this.#needsRegularKeyframes());
    if (readers.length === 0) {
      this.#cancelLinger ??= this.#options.clock.after(UNWANTED_LINGER_MS, () => {
        this.#cancelLinger = undefined;
        this.#stopFrames();
      });
      return;
    }
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
    this.#startFrames();
  }

  #needsRegularKeyframes(): boolean {
    if (this.tracks.video?.codec !== 'h264' || this.#options.source.requestKeyframe === undefined) return false;
    return this.#broadcast.readers.some((reader) => reader.copiesVideo);
  }

  #startFrames(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#startTicking();
    // A source may send its cached GOP from within the call; the reader must be in its owner's hands by then.
    queueMicrotask(() => {
      if (this.#isWanted) this.#askSource(() => this.#options.source.setFramesWanted(true));
    });
  }

  #stopFrames(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    this.#askSource(() => this.#options.source.setFramesWanted(false));
    if (this.#rtp === undefined) return;
    this.#rtp = undefined;
    this.#broadcast.cache.clear();
  }

  /** Missing sound is looked for once something has come and while somebody reads. */
  #startTicking(): void {
    const { clock } = this.#options;
    const intake = this.#rtp ?? this.#units;
    if (!this.#isWanted || intake === undefined) return;
    this.#cancelTick = clock.every(intake.tickPeriodMs, () => intake.tick(clock.monotonicUs()));
  }

  #askSource(ask: () => void): void {
    try {
      ask();
    } catch (error) {
      this.#options.logger.error({ err: error, mediaSessionId: this.id }, 'the source failed to take a request');
    }
  }
}
