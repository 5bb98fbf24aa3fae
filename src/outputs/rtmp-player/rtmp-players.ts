import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../domain/logger.ts';
import type { Hub } from '../../hub/hub.ts';
import type { LiveStream } from '../../hub/live-stream.ts';
import type { Renditions } from '../../hub/renditions.ts';
import { SharedByKey } from '../../hub/shared.ts';
import type { RenditionNeed } from '../../hub/unit-source.ts';
import type { RtmpPlayback, RtmpPlaybackOptions } from './rtmp-playback.ts';
import { StreamFeed } from './stream-feed.ts';
import { StreamViewer, type ViewerTotals } from './stream-viewer.ts';
import { LARGE_VIEWER_BOUNDS, USUAL_VIEWER_BOUNDS } from './viewer-limits.ts';

/** A feed is kept for the next viewer for so long. */
const LINGER_MS = 10_000;

export interface RtmpPlayersOptions {
  readonly hub: Hub;
  readonly renditions: Renditions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `rtmp_send_video_first`: sound waits for the first keyframe. */
  readonly sendVideoFirst: boolean;
  /** `rtmp.server_buffer_enabled`: more may wait for a slow viewer. */
  readonly largeBuffers: boolean;
}

/** Live streams for RTMP players, always as H.264 and AAC. Every playback is closed by whoever opened it. */
export class RtmpPlayers {
  readonly #options: RtmpPlayersOptions;
  readonly #feeds: SharedByKey<StreamFeed>;
  readonly #totals: ViewerTotals = { bytes: 0, droppedVideoMessages: 0, endedTooSlow: 0 };
  #viewers = 0;

  constructor(options: RtmpPlayersOptions) {
    this.#options = options;
    this.#feeds = new SharedByKey(options.clock, LINGER_MS);
  }

  /** Since the start, and the viewers there are. */
  get totals(): Readonly<ViewerTotals> & { readonly viewers: number } {
    return { ...this.#totals, viewers: this.#viewers };
  }

  /** Undefined where no stream of that name is live. */
  open(options: RtmpPlaybackOptions): RtmpPlayback | undefined {
    const { hub, sendVideoFirst, clock } = this.#options;
    const { name, suppressSound } = options;
    const stream = hub.find(name);
    if (!stream) return undefined;
    const key = `${suppressSound ? 'silent' : 'with sound'} ${stream.id} ${name}`;
    const lease = this.#feeds.lease(key, () => this.#openFeed(stream, suppressSound));
    this.#viewers += 1;
    return new StreamViewer({
      ...options,
      lease,
      sendVideoFirst,
      clock,
      totals: this.#totals,
      onClosed: () => void (this.#viewers -= 1),
    });
  }

  #openFeed(stream: LiveStream, isSilent: boolean): StreamFeed {
    const { renditions, clock, logger, largeBuffers } = this.#options;
    return new StreamFeed({
      lease: renditions.renditionOf(stream, { video: 'h264', audio: isSilent ? cheapestAudio(stream) : 'aac' }),
      isLive: () => !stream.hasEnded,
      isSilent,
      bounds: largeBuffers ? LARGE_VIEWER_BOUNDS : USUAL_VIEWER_BOUNDS,
      clock,
      logger: logger.child({ mediaSessionId: stream.id }),
    });
  }
}

/** Sound of which only the times are used, so that silence goes on where the picture stands still. */
function cheapestAudio(stream: LiveStream): RenditionNeed['audio'] {
  return stream.tracks.audio?.codec === 'opus' ? 'opus' : 'aac';
}
