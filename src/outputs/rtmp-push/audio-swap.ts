import type { AudioTrack, AudioUnit } from '../../domain/media.ts';
import type { AudioMode } from '../../domain/transponder.ts';
import { silentAac } from '../../protocol/aac/silence.ts';

/** AAC-LC frames of a sound file, of the rate and layout of `track`. */
export type LoadSound = (soundFile: string, track: AudioTrack) => Promise<readonly Buffer[]>;

export interface AudioSwapOptions {
  /** AAC; that of an RTMP encoder has any rate and layout. */
  readonly track: AudioTrack;
  readonly loadSound: LoadSound;
  readonly onLoadFailed: (error: unknown) => void;
  /** A sound that does not loop has gone out to its end: it must not begin again with the next run. It may call `set`. */
  readonly onSoundEnded: (soundFile: string) => void;
}

interface Sound {
  readonly soundFile: string;
  readonly frames: readonly Buffer[];
  readonly loop: boolean;
  next: number;
}

/**
 * Decides which audio goes out, frame by frame on the frames' own grid, so that switching leaves no gap and no step in the
 * timestamps (design §1). A sound begins when its file has been encoded; until then, and after its end, the source is heard.
 */
export class AudioSwap {
  readonly #options: AudioSwapOptions;
  #mode: AudioMode = { mode: 'source' };
  #sound: Sound | undefined;

  constructor(options: AudioSwapOptions) {
    this.#options = options;
  }

  set(mode: AudioMode): void {
    this.#mode = mode;
    this.#sound = undefined;
    if (mode.mode !== 'sound') return;
    const { track, loadSound, onLoadFailed } = this.#options;
    loadSound(mode.soundFile, track).then((frames) => {
      // Another mode may have been set meanwhile.
      if (this.#mode === mode) this.#sound = { ...mode, frames, next: 0 };
    }, onLoadFailed);
  }

  apply(unit: AudioUnit): AudioUnit {
    switch (this.#mode.mode) {
      case 'source':
        return unit;
      case 'mute':
        return { ...unit, data: silentAac(this.#options.track.channels) };
      case 'sound': {
        const data = this.#nextFrame();
        return data ? { ...unit, data } : unit;
      }
    }
  }

  #nextFrame(): Buffer | undefined {
    const sound = this.#sound;
    if (!sound) return undefined;
    const frame = nextFrame(sound);
    if (frame || sound.loop) return frame;
    this.#sound = undefined;
    this.#options.onSoundEnded(sound.soundFile);
    return undefined;
  }
}

function nextFrame(sound: Sound): Buffer | undefined {
  if (sound.next >= sound.frames.length && sound.loop) sound.next = 0;
  return sound.frames[sound.next++];
}
