import type { SourceFrame } from './source-frame.ts';
import { WindowMinimum } from './window-minimum.ts';

/** 5 ms for each 20 ms of media: a correction nobody sees or hears. */
const MAX_SLEW_RATIO = 5 / 20;
/** After the delay has grown, time comes back only so fast: on a mobile network it will soon grow again. */
const SETTLING_SLEW_RATIO = 1 / 100;
const SETTLING_US = 30_000_000;
/** A frame this far from where its media clock says has a new media clock. */
const DISCONTINUITY_US = 1_000_000;
/** Frames that stay late for so long are not a burst after a network stall: the clock was stopped meanwhile. */
const LATE_CONFIRM_US = 500_000;
/** Audio that keeps coming this late (its places are about to become silence) has a longer way now. */
const DELAYED_US = 100_000;
const DELAYED_CONFIRM_US = 200_000;
const MAX_REPORT_OFFSET_US = 10_000_000;
/** A sender's NTP clock that moves further than this between two reports was stepped. */
const NTP_STEP_US = 500_000;
/** Without audio for so long, video follows its own arrival again. */
const AUDIO_MASTER_LAPSE_US = 10_000_000;
const FLOOR_WINDOW_US = 2_000_000;
/** One Matroska or FLV tick, so that increasing times stay increasing in milliseconds. */
const MIN_STEP_US = 1_000;

interface TrackClock {
  anchored: boolean;
  usPerTick: number;
  /** timeline = media time + offset */
  offsetUs: number;
  lastMediaUs: number;
  lastArrivalUs: number;
  lastUs: number;
  lateSinceUs: number | undefined;
  delayedSinceUs: number | undefined;
  /** NTP time minus media time by the last sender report. */
  ntpOffsetUs: number | undefined;
  readonly floor: WindowMinimum;
}

/**
 * Puts the frames of one stream on one monotonic timeline in microseconds whose zero is the first frame.
 *
 * The timeline keeps the pace of our own monotonic clock. A track starts at once where its first frame arrived. From then
 * on its media clock (RTP timestamps) gives the distances, and the quickest arrivals of the last seconds say where it
 * belongs, which takes out jitter and the skew of the sender's clock. When both tracks have sender reports (RFC 3550
 * §6.4.1) video moves to where its NTP time puts it beside audio. All moves are slewed, but two: a jump of the media clock by
 * more than a second puts the track anew at its arrival; and when the network's delay has grown so far that audio would be
 * too late for its places for seconds, audio goes on at its arrival, and video with it.
 */
export class Timeline {
  readonly #video = newTrackClock();
  readonly #audio = newTrackClock();
  #zeroUs: number | undefined;
  /** Where sender reports put video, relative to its arrival; kept while reports are missing. */
  #videoBiasUs = 0;
  #settlesUntilUs = -Infinity;

  /** The timeline's time of a monotonic clock reading; undefined before the first frame. */
  nowUs(monotonicUs: number): number | undefined {
    return this.#zeroUs === undefined ? undefined : monotonicUs - this.#zeroUs;
  }

  /** The frame's time. Strictly increasing per track, never negative. */
  place(frame: SourceFrame): number {
    this.#zeroUs ??= frame.arrivalUs;
    const track = frame.kind === 'video' ? this.#video : this.#audio;
    track.usPerTick = 1_000_000 / frame.clockRateHz;
    const mediaUs = frame.rtpTime * track.usPerTick;
    const arrivalUs = frame.arrivalUs - this.#zeroUs;

    if (!track.anchored || isDiscontinuous(track, mediaUs, arrivalUs)) {
      this.#anchor(track, mediaUs, arrivalUs);
    } else {
      if (track.lateSinceUs === undefined) track.floor.add(arrivalUs - mediaUs, arrivalUs);
      this.#slew(track, mediaUs, arrivalUs);
      if (track === this.#audio && isDelayed(track, mediaUs, arrivalUs)) this.#followDelay(mediaUs, arrivalUs);
    }
    track.lastMediaUs = mediaUs;
    track.lastArrivalUs = arrivalUs;
    track.lastUs = Math.max(Math.round(mediaUs + track.offsetUs), track.lastUs + MIN_STEP_US);
    return track.lastUs;
  }

  /** NTP time (µs) that corresponds to an RTP time of the track. Reports that make no sense, or precede frames, change nothing. */
  senderReport(kind: 'video' | 'audio', ntpUs: number, rtpTime: number): void {
    const track = kind === 'video' ? this.#video : this.#audio;
    const other = kind === 'video' ? this.#audio : this.#video;
    if (!track.anchored) return;
    const before = track.ntpOffsetUs;
    track.ntpOffsetUs = ntpUs - rtpTime * track.usPerTick;
    // Readings of the sender's clock from before and after a step say nothing about each other.
    if (before !== undefined && Math.abs(track.ntpOffsetUs - before) > NTP_STEP_US) other.ntpOffsetUs = undefined;
    const alignedUs = this.#alignedVideoUs();
    if (alignedUs === undefined) return;
    // Which of the two reports is the wrong one cannot be known; a later pair decides.
    if (Math.abs(alignedUs - this.#video.floor.value) > MAX_REPORT_OFFSET_US) other.ntpOffsetUs = undefined;
  }

  #anchor(track: TrackClock, mediaUs: number, arrivalUs: number): void {
    const biasUs = track === this.#video ? this.#videoBiasUs : 0;
    track.anchored = true;
    track.offsetUs = Math.max(arrivalUs + biasUs, track.lastUs + MIN_STEP_US) - mediaUs;
    track.lateSinceUs = undefined;
    track.delayedSinceUs = undefined;
    track.ntpOffsetUs = undefined;
    track.floor.reset();
    track.floor.add(arrivalUs - mediaUs, arrivalUs);
  }

  #slew(track: TrackClock, mediaUs: number, arrivalUs: number): void {
    const elapsedUs = Math.min(Math.max(0, mediaUs - track.lastMediaUs), DISCONTINUITY_US);
    const isAligned = track === this.#video && this.#alignedVideoUs() !== undefined;
    const isSettling = arrivalUs < this.#settlesUntilUs && !isAligned;
    const maxForwardUs = elapsedUs * MAX_SLEW_RATIO;
    const maxBackUs = isSettling ? elapsedUs * SETTLING_SLEW_RATIO : maxForwardUs;
    const errorUs = this.#targetUs(track, arrivalUs) - track.offsetUs;
    track.offsetUs += Math.min(Math.max(errorUs, -maxBackUs), maxForwardUs);
  }

  /** Puts audio at its arrival and moves video with it: as far where reports tie it to audio, else no further than its own arrival. */
  #followDelay(mediaUs: number, arrivalUs: number): void {
    const audio = this.#audio;
    const video = this.#video;
    const isAligned = this.#alignedVideoUs() !== undefined;
    const shiftUs = arrivalUs - mediaUs - audio.offsetUs;
    audio.offsetUs += shiftUs;
    audio.delayedSinceUs = undefined;
    audio.floor.reset();
    audio.floor.add(arrivalUs - mediaUs, arrivalUs);
    this.#settlesUntilUs = arrivalUs + SETTLING_US;
    if (!video.anchored) return;
    const latenessUs = video.lastArrivalUs - video.lastMediaUs - (video.offsetUs - this.#videoBiasUs);
    video.offsetUs += isAligned ? shiftUs : Math.min(Math.max(0, latenessUs), shiftUs);
    video.floor.reset();
    video.floor.add(video.lastArrivalUs - video.lastMediaUs, arrivalUs);
  }

  #targetUs(track: TrackClock, arrivalUs: number): number {
    const floorUs = track.floor.value;
    if (track === this.#audio) return floorUs;
    if (arrivalUs - this.#audio.lastArrivalUs < AUDIO_MASTER_LAPSE_US) {
      const alignedUs = this.#alignedVideoUs();
      if (alignedUs !== undefined && Math.abs(alignedUs - floorUs) <= MAX_REPORT_OFFSET_US) {
        this.#videoBiasUs = alignedUs - floorUs;
      }
    }
    return floorUs + this.#videoBiasUs;
  }

  /** The offset that gives video the same time as audio of the same NTP time. */
  #alignedVideoUs(): number | undefined {
    const video = this.#video;
    const audio = this.#audio;
    if (!video.anchored || !audio.anchored) return undefined;
    if (video.ntpOffsetUs === undefined || audio.ntpOffsetUs === undefined) return undefined;
    return audio.offsetUs + video.ntpOffsetUs - audio.ntpOffsetUs;
  }
}

function newTrackClock(): TrackClock {
  return {
    anchored: false,
    usPerTick: 0,
    offsetUs: 0,
    lastMediaUs: 0,
    lastArrivalUs: 0,
    lastUs: -MIN_STEP_US,
    lateSinceUs: undefined,
    delayedSinceUs: undefined,
    ntpOffsetUs: undefined,
    floor: new WindowMinimum(FLOOR_WINDOW_US),
  };
}

function isDiscontinuous(track: TrackClock, mediaUs: number, arrivalUs: number): boolean {
  if (mediaUs < track.lastMediaUs - DISCONTINUITY_US) return true;
  const latenessUs = arrivalUs - mediaUs - track.floor.value;
  if (latenessUs < -DISCONTINUITY_US) return true;
  if (latenessUs <= DISCONTINUITY_US) {
    track.lateSinceUs = undefined;
    return false;
  }
  track.lateSinceUs ??= arrivalUs;
  return arrivalUs - track.lateSinceUs >= LATE_CONFIRM_US;
}

/** Whether frames have kept coming too late for their place for longer than a burst takes. */
function isDelayed(track: TrackClock, mediaUs: number, arrivalUs: number): boolean {
  if (arrivalUs - mediaUs - track.offsetUs <= DELAYED_US) {
    track.delayedSinceUs = undefined;
    return false;
  }
  track.delayedSinceUs ??= arrivalUs;
  return arrivalUs - track.delayedSinceUs >= DELAYED_CONFIRM_US;
}
