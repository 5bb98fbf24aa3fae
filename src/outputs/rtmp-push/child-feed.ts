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

  /** False when the pipe is full for now; `drain` of the pipe says when it is not. */
  write(unit: MediaUnit): boolean {
    const writer = (this.#writer ??= this.#begin(unit.kind === 'video' ? unit.dtsUs : unit.ptsUs));
    const track = unit.kind === 'video' ? VIDEO_TRACK : AUDIO_TRACK;
    const isKeyframe = unit.kind === 'video' && unit.isKeyframe;
    this.#pipe.cork();
    this.#pipe.write(writer.blockHead(track, unit.ptsUs, isKeyframe, unit.data.length));
    this.#pipe.write(unit.data);
    this.#pipe.uncork();
    return this.#pipe.writableLength < this.#maxPipeBytes;
  }

  #begin(baseUs: number): MatroskaWriter {
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
