import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import { Interleaver } from './interleaver.ts';
import type { Lease, Shareable } from './shared.ts';
import type { TranscodedTrack } from './transcoded-track.ts';
import { UnitBroadcast } from './unit-broadcast.ts';
import type { Reader, UnitSource } from './unit-source.ts';

/** The cached GOP of the parts and what waits while it is given. */
const PART_QUEUE_BYTES = 32 * 1024 * 1024;

/** Where one track of a rendition comes from: the stream itself or a transcoder that is held meanwhile. */
export interface RenditionPart {
  readonly source: UnitSource;
  readonly lease?: Lease<TranscodedTrack> | undefined;
}

export interface CombinedSourceOptions {
  readonly video: RenditionPart | undefined;
  readonly audio: RenditionPart | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Video of one source and audio of another as one source with a GOP cache of its own. Ends when either part ends. */
export class CombinedSource implements Shareable {
  readonly broadcast: UnitBroadcast;
  readonly #options: CombinedSourceOptions;
  readonly #interleaver: Interleaver | undefined;
  readonly #readers: Reader[] = [];

  constructor(options: CombinedSourceOptions) {
    this.#options = options;
    this.broadcast = new UnitBroadcast({
      tracks: { video: options.video?.source.tracks.video, audio: options.audio?.source.tracks.audio },
      logger: options.logger,
      requestKeyframe: () => options.video?.source.requestKeyframe(),
    });
    if (options.video && options.audio) {
      this.#interleaver = new Interleaver({
        clock: options.clock,
        onUnit: (unit) => this.broadcast.write(unit),
      });
    }
    // A rendition without video has no cached keyframe to begin with: it begins with what is live.
    if (options.audio) this.#read(options.audio.source, 'audio', options.video !== undefined);
    if (options.video) this.#read(options.video.source, 'video', true);
  }

  get hasEnded(): boolean {
    return this.broadcast.hasEnded;
  }

  stop(): void {
    this.#end('no longer needed');
  }

  #read(source: UnitSource, kind: 'video' | 'audio', fromCachedGop: boolean): void {
    const reader = source.addReader({
      label: `${kind} of a rendition`,
      fromCachedGop,
      maxQueueBytes: PART_QUEUE_BYTES,
      video: kind === 'video' ? 'copy' : 'none',
      audio: kind === 'audio',
      onUnit: (unit) => {
        if (this.#interleaver) this.#interleaver.push(unit);
        else this.broadcast.write(unit);
        return true;
      },
      onEnd: (reason) => this.#end(reason),
    });
    this.#readers.push(reader);
  }

  #end(reason: string): void {
    for (const reader of this.#readers) reader.close();
    this.#interleaver?.close();
    this.broadcast.end(reason);
    this.#options.video?.lease?.release();
    this.#options.audio?.lease?.release();
  }
}
