import type { AudioUnit } from '../../domain/media.ts';
import type { AudioMode } from '../../domain/transponder.ts';
import { SILENT_AAC_STEREO } from '../../protocol/aac/silence.ts';

/** AAC-LC frames of a sound file, 48 kHz stereo like every rendition's. */
export type LoadSound = (soundFile: string) => Promise<readonly Buffer[]>;

interface Sound {
  readonly frames: readonly Buffer[];
  readonly loop: boolean;
  next: number;
}

/**
 * Decides which audio goes out, frame by frame on the frames' own grid, so that switching leaves no gap and no step in the
 * timestamps (design §1). A sound begins when its file has been encoded; until then, and after its end, the source is heard.
 */
export class AudioSwap {
  readonly #loadSound: LoadSound;
  readonly #onLoadFailed: (error: unknown) => void;
  #mode: AudioMode = { mode: 'source' };
  #sound: Sound | undefined;

  constructor(loadSound: LoadSound, onLoadFailed: (error: unknown) => void) {
    this.#loadSound = loadSound;
    this.#onLoadFailed = onLoadFailed;
  }

  set(mode: AudioMode): void {
    this.#mode = mode;
    this.#sound = undefined;
    if (mode.mode !== 'sound') return;
    this.#loadSound(mode.soundFile).then((frames) => {
      // Another mode may have been set meanwhile.
      if (this.#mode === mode) this.#sound = { frames, loop: mode.loop, next: 0 };
    }, this.#onLoadFailed);
  }

  apply(unit: AudioUnit): AudioUnit {
    switch (this.#mode.mode) {
      case 'source':
        return unit;
      case 'mute':
        return { ...unit, data: SILENT_AAC_STEREO };
      case 'sound': {
        const data = this.#sound && nextFrame(this.#sound);
        return data ? { ...unit, data } : unit;
      }
    }
  }
}

function nextFrame(sound: Sound): Buffer | undefined {
  if (sound.next >= sound.frames.length && sound.loop) sound.next = 0;
  return sound.frames[sound.next++];
}
