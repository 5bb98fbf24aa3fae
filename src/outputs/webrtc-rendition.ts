import type { Clock } from '../domain/clock.ts';
import type { AudioTrack } from '../domain/media.ts';
import type { Hub } from '../hub/hub.ts';
import type { LiveStream } from '../hub/live-stream.ts';
import { planVideo } from '../hub/plan-video.ts';
import type { RenditionLease, Renditions } from '../hub/renditions.ts';
import { SharedByKey, type Shareable } from '../hub/shared.ts';
import type { VideoNeed } from '../hub/transcoder.ts';
import type { Reader, ReaderOptions, UnitSource } from '../hub/unit-source.ts';
import type { MediaEvent, MediaWorker } from '../webrtc/media-worker.ts';

/** The cached GOP and what comes while it is given. */
const QUEUE_BYTES = 32 * 1024 * 1024;

export interface WebrtcRenditionsOptions {
  readonly hub: Hub;
  readonly renditions: Renditions;
  readonly worker: MediaWorker;
  /** With it a player's width counts for nothing, as in a push. */
  readonly preserveAspectRatio: boolean;
  readonly clock: Clock;
  /** Ids of the worker's streams, which no client can guess. */
  readonly newId: () => string;
}

export interface PictureSize {
  /** In pixels; 0 = not known, or as published. */
  readonly width: number;
  readonly height: number;
}

/** Held for one player, released by its owner. */
export interface PlayableRendition {
  /** For the media worker. */
  readonly streamId: string;
  /** Of the picture that comes. */
  readonly size: PictureSize;
  /** Idempotent. */
  release(): void;
}

/**
 * Streams in other picture sizes for WebRTC players: one transcoder and one packetised stream for all players that ask for the
 * same of the same publisher. Audio is the publisher's own. The transcoder lingers for a moment after the last player
 * (`hub/renditions.ts`), so that the next one need not wait for it.
 */
export class WebrtcRenditions {
  readonly #options: WebrtcRenditionsOptions;
  readonly #shared: SharedByKey<UnitBridge>;
  readonly #byStreamId = new Map<string, UnitBridge>();

  constructor(options: WebrtcRenditionsOptions) {
    this.#options = options;
    this.#shared = new SharedByKey(options.clock, 0);
  }

  /** `undefined` where what is published is what is asked for, or has no picture, or is not live under that name and id. */
  lease(
    source: { name: string; mediaSessionId: string } & PictureSize,
    wish: PictureSize,
  ): PlayableRendition | undefined {
    const stream = this.#options.hub.find(source.name);
    if (stream?.id !== source.mediaSessionId) return undefined;
    const need = this.#needOf(stream, source, wish);
    if (!need) return undefined;
    const { value, release } = this.#shared.lease(`${stream.id} ${need.widthPx ?? 0}x${need.heightPx}`, () =>
      this.#open(stream, need),
    );
    return {
      streamId: value.streamId,
      get size() {
        return value.size;
      },
      release,
    };
  }

  /** Takes every event of the media worker; those that are not about renditions are left alone. */
  onMediaEvent(event: MediaEvent): void {
    if (event.type === 'keyframeNeeded') this.#byStreamId.get(event.streamId)?.requestKeyframe();
  }

  #needOf(stream: LiveStream, source: PictureSize, wish: PictureSize): VideoNeed | undefined {
    const { video } = stream.tracks;
    if (!video || wish.height <= 0) return undefined;
    const { preserveAspectRatio } = this.#options;
    const isWidthSame = preserveAspectRatio || wish.width <= 0 || wish.width === source.width;
    if (isWidthSame && wish.height === source.height) return undefined;
    const plan = planVideo({ ...wish, preserveAspectRatio, sourceCodec: video.codec });
    return plan.mode === 'transcode' ? plan.need : undefined;
  }

  #open(stream: LiveStream, need: VideoNeed): UnitBridge {
    const { worker, renditions, newId } = this.#options;
    const streamId = newId();
    const lease = renditions.renditionOf(stream, { ...need, video: 'h264', audio: 'none' });
    const bridge = new UnitBridge({ streamId, stream, lease, worker, onStop: () => this.#byStreamId.delete(streamId) });
    this.#byStreamId.set(streamId, bridge);
    return bridge;
  }
}

interface UnitBridgeOptions {
  readonly streamId: string;
  readonly stream: LiveStream;
  readonly lease: RenditionLease;
  readonly worker: MediaWorker;
  readonly onStop: () => void;
}

/** The picture of a rendition and the sound of the stream itself, on their one timeline, as one stream of the worker. */
class UnitBridge implements Shareable {
  readonly streamId: string;
  size: PictureSize = { width: 0, height: 0 };
  hasEnded = false;
  readonly #options: UnitBridgeOptions;
  readonly #readers: readonly Reader[];

  constructor(options: UnitBridgeOptions) {
    this.#options = options;
    this.streamId = options.streamId;
    const { stream, lease, worker, streamId } = options;
    worker.openUnitStream({ streamId, video: { codec: 'h264' }, audio: rtpAudio(stream.tracks.audio) });
    this.#readers = [
      this.#read(lease.source, { label: 'picture for WebRTC players', fromCachedGop: true, audio: false }),
      this.#read(stream, { label: 'sound for WebRTC players', fromCachedGop: false, video: 'none' }),
    ];
  }

  requestKeyframe(): void {
    this.#options.lease.source.requestKeyframe();
  }

  stop(): void {
    this.#end();
    for (const reader of this.#readers) reader.close();
    this.#options.lease.release();
    this.#options.onStop();
  }

  #read(source: UnitSource, options: Pick<ReaderOptions, 'label' | 'fromCachedGop' | 'video' | 'audio'>): Reader {
    const { worker, streamId } = this.#options;
    return source.addReader({
      ...options,
      maxQueueBytes: QUEUE_BYTES,
      onUnit: (unit) => {
        if (unit.kind === 'video' && unit.isKeyframe) this.size = { width: unit.width, height: unit.height };
        worker.writeUnit(streamId, unit);
        return true;
      },
      onEnd: () => this.#end(),
    });
  }

  /** Ends the players; the last of them lets go of the rest. */
  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#options.worker.closeUnitStream(this.streamId);
  }
}

/** RTP carries no AAC to browsers. */
function rtpAudio(track: AudioTrack | undefined) {
  return track && track.codec !== 'aac' ? { codec: track.codec } : undefined;
}
