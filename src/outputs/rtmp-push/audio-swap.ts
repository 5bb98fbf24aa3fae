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

type SoundMode = Extract<AudioMode, { readonly mode: 'sound' }>;

interface Sound {
  readonly soundFile: string;
  readonly frames: readonly Buffer[];
  readonly loop: boolean;
  next: number;
}

/**
 * Decides which audio goes out, frame by frame on the frames' own grid, so that switching leaves no gap and no step in the
 * timestamps (design §1). A sound begins when its file has been encoded; until then, and after its end, the source is heard. Where
 * nothing was heard before, as at the beginning, there is silence until then: nobody wants that much of the source.
 */
export class AudioSwap {
  readonly #options: AudioSwapOptions;
  #mode: AudioMode = { mode: 'source' };
  #sound: Sound | undefined;
  #isLoading = false;
  #isAudible = false;

  constructor(options: AudioSwapOptions) {
    this.#options = options;
  }

  set(mode: AudioMode): void {
    this.#mode = mode;
    this.#sound = undefined;
    this.#isLoading = mode.mode === 'sound';
    if (mode.mode === 'sound') void this.#load(mode);
  }

  apply(unit: AudioUnit): AudioUnit {
    const { mode } = this.#mode;
    this.#isAudible = mode !== 'mute' && (this.#isAudible || !this.#isLoading);
    if (!this.#isAudible) return { ...unit, data: silentAac(this.#options.track.channels) };
    const data = mode === 'sound' ? this.#nextFrame() : undefined;
    return data ? { ...unit, data } : unit;
  }

  async #load(mode: SoundMode): Promise<void> {
    const { track, loadSound, onLoadFailed } = this.#options;
    let frames: readonly Buffer[] | undefined;
    try {
      frames = await loadSound(mode.soundFile, track);
    } catch (error) {
      onLoadFailed(error);
    }
    // Another mode may have been set meanwhile.
    if (this.#mode !== mode) return;
    this.#isLoading = false;
    if (frames) this.#sound = { ...mode, frames, next: 0 };
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
