import type { Clock } from '../domain/clock.ts';
import type { AudioTrack, MediaUnit, VideoUnit } from '../domain/media.ts';
import type { Hub } from '../hub/hub.ts';
import { Interleaver } from '../hub/interleaver.ts';
import type { LiveStream } from '../hub/live-stream.ts';
import { planVideo } from '../hub/plan-video.ts';
import type { RenditionLease, Renditions } from '../hub/renditions.ts';
import { SharedByKey, type Shareable } from '../hub/shared.ts';
import type { VideoNeed } from '../hub/transcoder.ts';
import type { ReaderOptions } from '../hub/unit-source.ts';
import type { MediaEvent, MediaWorker } from '../webrtc/media-worker.ts';

/** The cached GOP and what comes while it is given. */
const QUEUE_BYTES = 32 * 1024 * 1024;

/** So far sound may be behind the stream when it comes out of a transcoder that keeps up. */
const TRANSCODER_DELAY_US = 80_000;

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
 * Streams for WebRTC players that the media worker does not have: in other picture sizes, or of sources that do not speak
 * WebRTC. One packetised stream for all players that ask for the same of the same source. Picture and sound are copied where
 * browsers play them, else transcoded (`hub/renditions.ts`), where the transcoder lingers for a moment after the last
 * player, so that the next one need not wait for it.
 */
export class WebrtcRenditions {
  readonly #options: WebrtcRenditionsOptions;
  readonly #shared: SharedByKey<UnitBridge>;
  readonly #byStreamId = new Map<string, UnitBridge>();

  constructor(options: WebrtcRenditionsOptions) {
    this.#options = options;
    this.#shared = new SharedByKey(options.clock, 0);
  }

  /** `undefined` where the worker's own stream is what is asked for, or nothing is live under that name and id. */
  lease(
    source: { name: string; mediaSessionId: string } & PictureSize,
    wish: PictureSize,
  ): PlayableRendition | undefined {
    const stream = this.#options.hub.find(source.name);
    if (stream?.id !== source.mediaSessionId) return undefined;
    const need = this.#resizingNeed(stream, source, wish);
    if (!need && stream.webrtcStreamId !== undefined) return undefined;
    const key = need ? `${need.widthPx ?? 0}x${need.heightPx}` : 'as published';
    const { value, release } = this.#shared.lease(`${stream.id} ${key}`, () => this.#open(stream, need ?? {}));
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

  #resizingNeed(stream: LiveStream, source: PictureSize, wish: PictureSize): VideoNeed | undefined {
    const { video } = stream.tracks;
    if (!video || wish.height <= 0) return undefined;
    const { preserveAspectRatio } = this.#options;
    const isWidthSame = preserveAspectRatio || wish.width <= 0 || wish.width === source.width;
    if (isWidthSame && wish.height === source.height) return undefined;
    const plan = planVideo({ ...wish, preserveAspectRatio, sourceCodec: video.codec });
    return plan.mode === 'transcode' ? plan.need : undefined;
  }

  #open(stream: LiveStream, need: VideoNeed): UnitBridge {
    const { worker, renditions, clock, newId } = this.#options;
    const streamId = newId();
    const onStop = () => this.#byStreamId.delete(streamId);
    const bridge = new UnitBridge({ streamId, stream, need, renditions, worker, clock, onStop });
    this.#byStreamId.set(streamId, bridge);
    return bridge;
  }
}

interface UnitBridgeOptions {
  readonly streamId: string;
  readonly stream: LiveStream;
  readonly need: VideoNeed;
  readonly renditions: Renditions;
  readonly worker: MediaWorker;
  readonly clock: Clock;
  readonly onStop: () => void;
}

/**
 * Picture and sound of a stream as browsers take them, on its one timeline, as one stream of the worker. Transcoders have
 * different delays: what is quicker waits here for the other, because browsers take ten seconds and more to do that.
 */
class UnitBridge implements Shareable {
  readonly streamId: string;
  size: PictureSize = { width: 0, height: 0 };
  hasEnded = false;
  readonly #options: UnitBridgeOptions;
  readonly #interleaver: Interleaver | undefined;
  #picture: ReadRendition | undefined;
  readonly #sound: ReadRendition | undefined;

  constructor(options: UnitBridgeOptions) {
    this.#options = options;
    this.streamId = options.streamId;
    const { streamId, stream, worker, clock } = options;
    const { video } = stream.tracks;
    const audio = stream.hasPublishedAudio ? stream.tracks.audio : undefined;
    worker.openUnitStream({
      streamId,
      video: video && { codec: 'h264' },
      audio: audio && { codec: rtpAudio(audio) },
    });
    if (video && audio) this.#interleaver = new Interleaver({ clock, onUnit: (unit) => this.#write(unit) });
    if (video) this.#picture = this.#readPicture();
    if (audio) this.#sound = this.#readSound(audio);
  }

  requestKeyframe(): void {
    this.#picture?.lease.source.requestKeyframe();
  }

  stop(): void {
    this.#end();
    this.#options.onStop();
  }

  /** What is a copy becomes a transcode with the first keyframe that browsers do not take, and stays one. */
  #readPicture(): ReadRendition {
    const { stream, need, renditions } = this.#options;
    const mayBeCopy = stream.tracks.video?.isWebrtcReady !== false;
    const lease = renditions.renditionOf(stream, { ...need, video: 'h264', audio: 'none', webrtcReady: true });
    return this.#read(lease, { label: 'picture for WebRTC players', fromCachedGop: true, audio: false }, (unit) => {
      if (mayBeCopy && isKeyframe(unit) && lease.source.tracks.video?.isWebrtcReady === false) {
        this.#picture?.close();
        this.#picture = this.#readPicture();
      } else {
        this.#take(unit);
      }
    });
  }

  /** A transcoder begins with the cached GOP. Given in one burst, it would be kept by players as a delay. */
  #readSound(track: AudioTrack): ReadRendition {
    const { stream, renditions } = this.#options;
    const lease =
      track.codec === 'aac'
        ? renditions.renditionOf(stream, { video: 'none', audio: 'opus' })
        : { source: stream, release: () => {} };
    const options = { label: 'sound for WebRTC players', fromCachedGop: false, video: 'none' } as const;
    let beginUs: number | undefined;
    return this.#read(lease, options, (unit) => {
      beginUs ??= stream.newestAudioUs - TRANSCODER_DELAY_US;
      if (unit.ptsUs >= beginUs) this.#take(unit);
    });
  }

  #read(
    lease: RenditionLease,
    options: Pick<ReaderOptions, 'label' | 'fromCachedGop' | 'video' | 'audio'>,
    take: (unit: MediaUnit) => void,
  ): ReadRendition {
    const reader = lease.source.addReader({
      ...options,
      maxQueueBytes: QUEUE_BYTES,
      onUnit: (unit) => {
        take(unit);
        return true;
      },
      onEnd: () => this.#end(),
    });
    return {
      lease,
      close: () => {
        reader.close();
        lease.release();
      },
    };
  }

  #take(unit: MediaUnit): void {
    if (this.#interleaver) this.#interleaver.push(unit);
    else this.#write(unit);
  }

  #write(unit: MediaUnit): void {
    if (isKeyframe(unit)) this.size = { width: unit.width, height: unit.height };
    this.#options.worker.writeUnit(this.streamId, unit);
  }

  /** Ends the players; the last of them lets go of the bridge. */
  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#picture?.close();
    this.#sound?.close();
    this.#interleaver?.close();
    this.#options.worker.closeUnitStream(this.streamId);
  }
}

/** A rendition while it is read. */
interface ReadRendition {
  readonly lease: RenditionLease;
  /** Idempotent. */
  close(): void;
}

function isKeyframe(unit: MediaUnit): unit is VideoUnit {
  return unit.kind === 'video' && unit.isKeyframe;
}

/** RTP carries no AAC to browsers. */
function rtpAudio({ codec }: AudioTrack): Exclude<AudioTrack['codec'], 'aac'> {
  return codec === 'aac' ? 'opus' : codec;
}
