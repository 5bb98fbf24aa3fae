import type { SenderReport } from '../../protocol/rtp/rtcp-types.ts';
import type { PlaySource } from '../../protocol/sdp/plan.ts';
import type { MediaEndReason } from '../media-worker.ts';
import type { SequenceRewriter } from '../receive/sequence-rewriter.ts';
import type { BurstReceiver } from './forward-turn.ts';

/** One track of a stream as its players need it, whatever it is fed by. */
export interface SourceTrack {
  readonly clockRateHz: number;
  /** The newest packets under their source indexes. */
  readonly store: StoredPackets;
  /** Source indexes to the indexes that viewers see: what is not forwarded leaves no hole in those. */
  readonly rewriter: SequenceRewriter;
  /** Of the first packet of the newest keyframe; -1 before the first one, and of audio. */
  readonly keyframe: { readonly index: number; readonly arrivalUs: number };
  readonly lastSenderReport: TimedSenderReport | undefined;
  /**
   * Video whose encoder makes no keyframes for players: players that join or ask for one get what is stored since the last one,
   * which is all of it or nothing.
   */
  readonly isReplayedOnRequest: boolean;
}

export interface StoredPackets {
  /** Highest index stored, -1 when empty. */
  readonly highest: number;
  has(index: number): boolean;
  /** Not to be kept. */
  get(index: number): Buffer | undefined;
}

export interface TimedSenderReport {
  readonly report: Pick<SenderReport, 'ntp' | 'rtpTimestamp'>;
  readonly arrivalUs: number;
}

/** A stream that players can attach to. It ends its players with `source_ended`. */
export interface MediaSource {
  readonly playSource: PlaySource;
  readonly video: SourceTrack | undefined;
  readonly audio: SourceTrack | undefined;
  /** In pixels, 0 until known. */
  readonly size: { readonly width: number; readonly height: number };
  /** The player is told of the end and gets sender reports. It leaves with `detach`. */
  attach(player: SourcePlayer): void;
  /** From now on the player gets packets: exactly those that are not in the stores yet. */
  join(player: SourcePlayer): void;
  detach(player: SourcePlayer): void;
  requestKeyframe(): void;
}

/** A player as its source sees it. */
export interface SourcePlayer extends BurstReceiver {
  relaySenderReport(kind: 'video' | 'audio', report: TimedSenderReport['report']): void;
  close(reason: MediaEndReason): void;
}
