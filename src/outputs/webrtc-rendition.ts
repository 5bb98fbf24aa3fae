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
import type { MediaEvent, MediaWorker, UnitStreamRequest } from '../webrtc/media-worker.ts';

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
    const { hub, worker, renditions, clock, newId } = this.#options;
    const streamId = newId();
    const onStop = () => this.#byStreamId.delete(streamId);
    const bridge = new UnitBridge({ streamId, stream, need, hub, renditions, worker, clock, onStop });
    this.#byStreamId.set(streamId, bridge);
    return bridge;
  }
}

interface UnitBridgeOptions {
  readonly streamId: string;
  readonly stream: LiveStream;
  readonly need: VideoNeed;
  readonly hub: Hub;
  readonly renditions: Renditions;
  readonly worker: MediaWorker;
  readonly clock: Clock;
  readonly onStop: () => void;
}

/**
 * Picture and sound of a stream as browsers take them, on its one timeline, as one stream of the worker. Transcoders have
 * different delays: what is quicker waits here for the other, because browsers take ten seconds and more to do that. Where the
 * publisher's stream is replaced because its tracks have changed, players go on with the new one if their tracks allow it.
 */
class UnitBridge implements Shareable {
  readonly streamId: string;
  size: PictureSize = { width: 0, height: 0 };
  hasEnded = false;
  readonly #options: UnitBridgeOptions;
  readonly #tracks: RtpTracks;
  readonly #interleaver: Interleaver | undefined;
  #stream: LiveStream;
  #picture: ReadRendition | undefined;
  #sound: ReadRendition | undefined;
  /** Of what was read last. */
  #newestDtsUs = Number.NEGATIVE_INFINITY;
  #newestSoundUs = Number.NEGATIVE_INFINITY;
  #isMoving = false;

  constructor(options: UnitBridgeOptions) {
    this.#options = options;
    this.streamId = options.streamId;
    this.#stream = options.stream;
    const { streamId, stream, worker, clock } = options;
    this.#tracks = rtpTracks(stream);
    const { video, audio } = this.#tracks;
    worker.openUnitStream({ streamId, video, audio });
    if (video && audio) this.#interleaver = new Interleaver({ clock, onUnit: (unit) => this.#write(unit) });
    this.#readTracks();
  }

  requestKeyframe(): void {
    this.#picture?.lease.source.requestKeyframe();
  }

  stop(): void {
    this.#end();
    this.#options.onStop();
  }

  #readTracks(): void {
    const { video, audio } = this.#stream.tracks;
    if (video) this.#picture = this.#readPicture();
    if (audio && this.#stream.hasPublishedAudio) this.#sound = this.#readSound(audio);
  }

  /** What is a copy becomes a transcode with the first keyframe that browsers do not take, and stays one. */
  #readPicture(): ReadRendition {
    const { need, renditions } = this.#options;
    const mayBeCopy = this.#stream.tracks.video?.isWebrtcReady !== false;
    const lease = renditions.renditionOf(this.#stream, { ...need, video: 'h264', audio: 'none', webrtcReady: true });
    // A copy goes on with any picture after those that were read before; another encoder's pictures do so with a keyframe.
    let hasBegun = mayBeCopy && need.heightPx === undefined;
    return this.#read(lease, { label: 'picture for WebRTC players', fromCachedGop: true, audio: false }, (unit) => {
      if (unit.kind !== 'video' || unit.dtsUs <= this.#newestDtsUs) return;
      hasBegun ||= unit.isKeyframe;
      if (!hasBegun) return;
      if (mayBeCopy && unit.isKeyframe && lease.source.tracks.video?.isWebrtcReady === false) {
        this.#picture?.close();
        this.#picture = this.#readPicture();
      } else {
        this.#newestDtsUs = unit.dtsUs;
        this.#take(unit);
      }
    });
  }

  /** A transcoder begins with the cached GOP. Given in one burst, it would be kept by players as a delay. */
  #readSound(track: AudioTrack): ReadRendition {
    const { renditions } = this.#options;
    const stream = this.#stream;
    const lease =
      track.codec === 'aac'
        ? renditions.renditionOf(stream, { video: 'none', audio: 'opus' })
        : { source: stream, release: () => {} };
    const options = { label: 'sound for WebRTC players', fromCachedGop: false, video: 'none' } as const;
    let beginUs: number | undefined;
    return this.#read(lease, options, (unit) => {
      beginUs ??= stream.newestAudioUs - TRANSCODER_DELAY_US;
      if (unit.ptsUs < beginUs || unit.ptsUs <= this.#newestSoundUs) return;
      this.#newestSoundUs = unit.ptsUs;
      this.#take(unit);
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
      onEnd: () => this.#sourceEnded(),
    });
    return {
      lease,
      close: () => {
        reader.close();
        lease.release();
      },
    };
  }

  /** Sound that appears is none that these players have agreed to: they end, and get it when they come again. */
  #take(unit: MediaUnit): void {
    if (!this.#tracks.audio && this.#stream.hasPublishedAudio) this.#end();
    else if (this.#interleaver) this.#interleaver.push(unit);
    else this.#write(unit);
  }

  #write(unit: MediaUnit): void {
    if (isKeyframe(unit)) this.size = { width: unit.width, height: unit.height };
    this.#options.worker.writeUnit(this.streamId, unit);
  }

  /** A stream that is replaced is so at once. */
  #sourceEnded(): void {
    if (this.#isMoving) return;
    if (!this.#stream.hasEnded) {
      this.#end();
      return;
    }
    this.#isMoving = true;
    queueMicrotask(() => {
      this.#isMoving = false;
      this.#follow(this.#options.hub.find(this.#stream.name));
    });
  }

  #follow(next: LiveStream | undefined): void {
    if (this.hasEnded) return;
    if (next?.id !== this.#stream.id || !isSame(rtpTracks(next), this.#tracks)) {
      this.#end();
      return;
    }
    this.#closeTracks();
    this.#stream = next;
    this.#readTracks();
  }

  #closeTracks(): void {
    this.#picture?.close();
    this.#sound?.close();
  }

  /** Ends the players; the last of them lets go of the bridge. */
  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#closeTracks();
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

type RtpTracks = Pick<UnitStreamRequest, 'video' | 'audio'>;

/** As browsers get them: RTP carries no AAC to them, and silence of our own making is left out. */
function rtpTracks({ tracks: { video, audio }, hasPublishedAudio }: LiveStream): RtpTracks {
  const codec = audio?.codec === 'aac' ? 'opus' : audio?.codec;
  return { video: video && { codec: 'h264' }, audio: hasPublishedAudio && codec ? { codec } : undefined };
}

function isSame(left: RtpTracks, right: RtpTracks): boolean {
  return left.video?.codec === right.video?.codec && left.audio?.codec === right.audio?.codec;
}
