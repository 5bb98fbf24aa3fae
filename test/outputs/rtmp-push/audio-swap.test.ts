import { describe, expect, it } from 'vitest';
import type { AudioUnit } from '../../../src/domain/media.ts';
import { AudioSwap } from '../../../src/outputs/rtmp-push/audio-swap.ts';
import { SILENT_AAC_STEREO } from '../../../src/protocol/aac/silence.ts';

const voice = Buffer.from('voice');
const unit = (ptsUs: number): AudioUnit => ({ kind: 'audio', codec: 'aac', ptsUs, durationUs: 21_333, data: voice });
const sound = [Buffer.from('one'), Buffer.from('two')];
const settled = () => new Promise((resolve) => setImmediate(resolve));

function swap(load = async (): Promise<readonly Buffer[]> => sound) {
  const failures: unknown[] = [];
  return { swap: new AudioSwap(load, (error) => failures.push(error)), failures };
}

const heard = (swapped: AudioSwap, count: number) =>
  Array.from({ length: count }, (_, index) => swapped.apply(unit(index)).data.toString());

describe('the audio of a push', () => {
  it('is the source’s until muted and again after, with the source’s times', () => {
    const { swap: audio } = swap();
    expect(audio.apply(unit(1))).toEqual(unit(1));
    audio.set({ mode: 'mute' });
    expect(audio.apply(unit(2))).toEqual({ ...unit(2), data: SILENT_AAC_STEREO });
    audio.set({ mode: 'source' });
    expect(audio.apply(unit(3))).toEqual(unit(3));
  });

  it('is a sound file once, then the source again', async () => {
    const { swap: audio } = swap();
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    expect(heard(audio, 1)).toEqual(['voice']);
    await settled();
    expect(heard(audio, 4)).toEqual(['one', 'two', 'voice', 'voice']);
  });

  it('repeats a sound file that loops', async () => {
    const { swap: audio } = swap();
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    await settled();
    expect(heard(audio, 5)).toEqual(['one', 'two', 'one', 'two', 'one']);
  });

  it('stays the source’s when the file fails or another mode was chosen before it was read', async () => {
    const failing = swap(async () => {
      throw new Error('no such file');
    });
    failing.swap.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    await settled();
    expect(heard(failing.swap, 1)).toEqual(['voice']);
    expect(failing.failures).toHaveLength(1);
    const late = swap();
    late.swap.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    late.swap.set({ mode: 'source' });
    await settled();
    expect(heard(late.swap, 1)).toEqual(['voice']);
  });

  it('survives a looped sound without frames', async () => {
    const { swap: audio } = swap(async () => []);
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    await settled();
    expect(heard(audio, 2)).toEqual(['voice', 'voice']);
  });
});
