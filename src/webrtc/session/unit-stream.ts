import type { Clock } from '../../domain/clock.ts';
import { CoalescedRequests } from '../../domain/coalesced-requests.ts';
import type { MediaUnit } from '../../domain/media.ts';
import { RTP_HEADER_BYTES } from '../../protocol/rtp/packet.ts';
import type { PlaySource } from '../../protocol/sdp/plan.ts';
import type { UnitStreamRequest } from '../media-worker.ts';
import { Audience } from './audience.ts';
import type { ForwardTurn } from './forward-turn.ts';
import type { MediaSource, SourcePlayer } from './media-source.ts';
import { NtpAnchor, UnitTrack } from './unit-track.ts';

const VIDEO_CLOCK_HZ = 90_000;
const OPUS_CLOCK_HZ = 48_000;
const G711_CLOCK_HZ = 8000;

export interface UnitStreamEvents {
  /** A player needs a keyframe; at most once per 500 ms. */
  onKeyframeNeeded(): void;
  onSize(width: number, height: number): void;
}

export interface UnitStreamOptions {
  readonly request: UnitStreamRequest;
  readonly turn: ForwardTurn;
  readonly clock: Clock;
  readonly randomBelow: (bound: number) => number;
  readonly events: UnitStreamEvents;
}

/** A stream whose source is media units on one timeline: a rendition, or what came by another protocol than RTP. */
export class UnitStream implements MediaSource {
  readonly playSource: PlaySource;
  readonly video: UnitTrack | undefined;
  readonly audio: UnitTrack | undefined;
  size = { width: 0, height: 0 };
  readonly #options: UnitStreamOptions;
  readonly #audience: Audience;
  readonly #keyframes: CoalescedRequests;
  #anchor: NtpAnchor | undefined;

  constructor(options: UnitStreamOptions) {
    const { video, audio } = options.request;
    this.#options = options;
    this.playSource = { video, audio };
    this.#audience = new Audience(options.turn);
    this.#keyframes = new CoalescedRequests(options.clock, () => options.events.onKeyframeNeeded());
    this.video = video && this.#track('video', VIDEO_CLOCK_HZ);
    this.audio = audio && this.#track('audio', audio.codec === 'opus' ? OPUS_CLOCK_HZ : G711_CLOCK_HZ);
  }

  /** A unit of another codec than the stream's is ignored. */
  write(unit: MediaUnit): void {
    const { clock, events } = this.#options;
    if (unit.codec !== this.playSource[unit.kind]?.codec) return;
    this.#anchor ??= new NtpAnchor(clock, unit.ptsUs);
    if (unit.kind === 'audio') {
      this.audio?.write(unit, clock.monotonicUs());
      return;
    }
    const { isKeyframe, width, height } = unit;
    if (isKeyframe) this.#keyframes.satisfied();
    if (isKeyframe && (width !== this.size.width || height !== this.size.height)) {
      this.size = { width, height };
      events.onSize(width, height);
    }
    this.video?.write(unit, clock.monotonicUs());
  }

  /** Once a second: sender reports, from the timeline of the units. */
  secondTick(nowUs: number): void {
    if (!this.#anchor) return;
    for (const kind of ['audio', 'video'] as const) {
      const timed = this[kind]?.report(this.#anchor, nowUs);
      if (timed) this.#audience.relaySenderReport(kind, timed.report);
    }
  }

  requestKeyframe(): void {
    if (this.video) this.#keyframes.ask();
  }

  attach(player: SourcePlayer): void {
    this.#audience.attach(player);
  }

  join(player: SourcePlayer): void {
    this.#audience.join(player);
  }

  detach(player: SourcePlayer): void {
    this.#audience.detach(player);
  }

  /** Ends the players. */
  close(): void {
    this.#keyframes.close();
    this.#audience.end();
  }

  #track(kind: 'video' | 'audio', clockRateHz: number): UnitTrack {
    return new UnitTrack({
      kind,
      clockRateHz,
      baseTimestamp: this.#options.randomBelow(0x1_0000_0000),
      onPacket: (packet, index, startsKeyframe) =>
        this.#audience.forward(kind, packet, RTP_HEADER_BYTES, packet.length, index, startsKeyframe),
    });
  }
}
