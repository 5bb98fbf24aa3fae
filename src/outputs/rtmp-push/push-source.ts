import type { MediaUnit, Tracks } from '../../domain/media.ts';
import type { ExitClass, RunEnd } from '../../domain/transponder.ts';
import { MAX_GOP_BYTES } from '../../hub/gop-cache.ts';
import type { LiveStream } from '../../hub/live-stream.ts';
import { planVideo } from '../../hub/plan-video.ts';
import type { RenditionLease } from '../../hub/renditions.ts';
import type { Reader } from '../../hub/unit-source.ts';
import type { PushRunOptions } from '../push-run.ts';
import { FirstUnitWait } from './first-unit-wait.ts';
import type { RtmpPushServices } from './push-services.ts';

export interface PushSourceOptions {
  readonly services: Pick<RtmpPushServices, 'hub' | 'renditions' | 'preserveAspectRatio' | 'bounds' | 'clock'>;
  readonly push: Pick<PushRunOptions, 'id' | 'params'>;
  readonly stream: LiveStream;
  /** Remembers, across runs, streams whose declared video has not sent anything. */
  readonly silentVideo: WeakSet<LiveStream>;
  /** False when it can take no more until `resume`. */
  readonly onUnit: (unit: MediaUnit) => boolean;
  /** Maybe more than once. */
  readonly onEnd: (end: RunEnd) => void;
}

const NOTHING = { droppedVideo: 0, droppedAudio: 0 };

/**
 * What a push reads: the rendition of its stream with the tracks that there really are. Tells when those turn out to be others,
 * which only another run can carry. Leases the rendition when it is made; its owner closes it.
 */
export class PushSource {
  readonly hasVideo: boolean;
  readonly #options: PushSourceOptions;
  readonly #lease: RenditionLease;
  #reader: Reader | undefined;
  #pictureWatch: Reader | undefined;
  #firstUnitWait: FirstUnitWait | undefined;
  /** Time of the first unit that was given. */
  #beginUs: number | undefined;

  constructor(options: PushSourceOptions) {
    const { services, push, stream, silentVideo } = options;
    const { renditions, preserveAspectRatio } = services;
    const { video } = stream.tracks;
    this.#options = options;
    this.hasVideo = video !== undefined && !silentVideo.has(stream);
    const plan = video && planVideo({ ...push.params, preserveAspectRatio, sourceCodec: video.codec });
    this.#lease = renditions.renditionOf(stream, {
      video: this.hasVideo ? 'h264' : 'none',
      audio: 'aac',
      ...(plan?.mode === 'transcode' ? plan.need : {}),
    });
  }

  get tracks(): Tracks {
    const { video, audio } = this.#lease.source.tracks;
    return { video: this.hasVideo ? video : undefined, audio };
  }

  get isRead(): boolean {
    return this.#reader !== undefined;
  }

  get queuedBytes(): number {
    return this.#reader?.queuedBytes ?? 0;
  }

  get dropped(): { readonly droppedVideo: number; readonly droppedAudio: number } {
    return this.#reader?.counters ?? NOTHING;
  }

  /**
   * Begins with the cached group of pictures, however large: without it a respawn would wait for the next one. Where none is kept
   * it does, within bounds.
   */
  read(): void {
    const { services, push, stream, onEnd } = this.#options;
    const { bounds, clock } = services;
    this.#firstUnitWait = new FirstUnitWait({
      clock,
      stream,
      onTimeout: (detail) => onEnd({ exitClass: 'start_timeout', detail }),
    });
    this.#reader = this.#lease.source.addReader({
      label: `push ${push.id}`,
      fromCachedGop: true,
      maxCachedBytes: MAX_GOP_BYTES,
      maxQueueBytes: bounds.maxQueueBytes,
      maxQueueUs: bounds.maxQueueMs * 1000,
      onUnit: (unit) => this.#unit(unit),
      onEnd: (reason) => onEnd({ exitClass: this.#endClass(), detail: reason }),
    });
    if (stream.tracks.video && !this.hasVideo) this.#pictureWatch = this.#watchForPicture();
  }

  resume(): void {
    this.#reader?.resume();
  }

  close(): void {
    this.#firstUnitWait?.cancel();
    this.#reader?.close();
    this.#pictureWatch?.close();
    this.#lease.release();
  }

  /** A rendition also ends when its transcoder has given up; that is no end of the stream. One that was replaced goes on. */
  #endClass(): ExitClass {
    const { services, stream } = this.#options;
    if (!stream.hasEnded) return 'crash';
    return services.hub.find(stream.name) ? 'replan' : 'source_gone';
  }

  #unit(unit: MediaUnit): boolean {
    const { silentVideo, stream, onUnit, onEnd } = this.#options;
    if (this.#beginUs === undefined && unit.kind === 'audio' && this.hasVideo) {
      // A rendition has no picture before the stream has a keyframe, and may go on with its sound alone.
      if (this.#firstUnitWait?.isForKeyframe) return true;
      silentVideo.add(stream);
      onEnd({ exitClass: 'replan', detail: 'the stream sends no picture' });
      return true;
    }
    if (this.#beginUs === undefined) {
      this.#firstUnitWait?.cancel();
      this.#beginUs = unit.ptsUs;
    }
    return unit.kind === 'audio' && unit.ptsUs < this.#beginUs ? true : onUnit(unit);
  }

  /** A rendition without video does not tell of any, so this reads the stream itself, up to its next keyframe. */
  #watchForPicture(): Reader {
    const { services, push, silentVideo, stream, onEnd } = this.#options;
    return stream.addReader({
      label: `push ${push.id}, waiting for a picture`,
      fromCachedGop: false,
      video: 'decode',
      audio: false,
      maxQueueBytes: services.bounds.maxQueueBytes,
      onUnit: () => {
        silentVideo.delete(stream);
        onEnd({ exitClass: 'replan', detail: 'the stream has a picture now' });
        return true;
      },
      onEnd: () => {},
    });
  }
}
