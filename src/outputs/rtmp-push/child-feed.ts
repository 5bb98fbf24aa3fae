import type { Writable } from 'node:stream';
import type { AudioTrack, MediaUnit, VideoTrack } from '../../domain/media.ts';
import { buildAacLcConfig } from '../../protocol/aac/audio-specific-config.ts';
import { MatroskaWriter, type MatroskaTrack } from '../../protocol/matroska/writer.ts';

const VIDEO_TRACK = 1;
const AUDIO_TRACK = 2;

export interface FedTracks {
  readonly video?: VideoTrack | undefined;
  readonly audio?: AudioTrack | undefined;
}

/** Writes units as live Matroska into the child's input pipe. Time zero is the first unit's. */
export class ChildFeed {
  readonly #pipe: Writable;
  readonly #tracks: FedTracks;
  readonly #maxPipeBytes: number;
  #writer: MatroskaWriter | undefined;
  #baseUs = 0;
  #newestUs = 0;

  /** `maxPipeBytes` may wait in user space before `write` says so. */
  constructor(pipe: Writable, tracks: FedTracks, maxPipeBytes: number) {
    this.#pipe = pipe;
    this.#tracks = tracks;
    this.#maxPipeBytes = maxPipeBytes;
  }

  /** Not taken by the child yet, as far as can be seen: a kernel's pipe holds up to 64 KiB more. */
  get waitingBytes(): number {
    return this.#pipe.writableLength;
  }

  /** Media time that was written, from the first unit's on. */
  get mediaMs(): number {
    return (this.#newestUs - this.#baseUs) / 1000;
  }

  /** `drain` of the pipe says when it is not full any more. */
  get isFull(): boolean {
    return this.#pipe.writableLength >= this.#maxPipeBytes;
  }

  write(unit: MediaUnit): void {
    const timeUs = unit.kind === 'video' ? unit.dtsUs : unit.ptsUs;
    const writer = (this.#writer ??= this.#begin(timeUs));
    this.#newestUs = Math.max(this.#newestUs, timeUs);
    const track = unit.kind === 'video' ? VIDEO_TRACK : AUDIO_TRACK;
    const isKeyframe = unit.kind === 'video' && unit.isKeyframe;
    this.#pipe.cork();
    this.#pipe.write(writer.blockHead(track, unit.ptsUs, isKeyframe, unit.data.length));
    this.#pipe.write(unit.data);
    this.#pipe.uncork();
  }

  #begin(baseUs: number): MatroskaWriter {
    this.#baseUs = baseUs;
    this.#newestUs = baseUs;
    const { video, audio } = this.#tracks;
    const tracks: MatroskaTrack[] = [];
    if (video) {
      const { width, height } = video;
      tracks.push({ kind: 'video', number: VIDEO_TRACK, codec: 'h264', width, height });
    }
    if (audio) {
      const { sampleRateHz, channels } = audio;
      const audioSpecificConfig = buildAacLcConfig(sampleRateHz, channels);
      tracks.push({ kind: 'audio', number: AUDIO_TRACK, codec: 'aac', sampleRateHz, channels, audioSpecificConfig });
    }
    const writer = new MatroskaWriter({ tracks, baseUs });
    this.#pipe.write(writer.header);
    return writer;
  }
}
