import { describe, expect, it } from 'vitest';
import type { AudioTrack, AudioUnit } from '../../../src/domain/media.ts';
import { AudioSwap, type LoadSound } from '../../../src/outputs/rtmp-push/audio-swap.ts';
import { silentAac } from '../../../src/protocol/aac/silence.ts';

const STEREO: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
const voice = Buffer.from('voice');
const unit = (ptsUs: number): AudioUnit => ({ kind: 'audio', codec: 'aac', ptsUs, durationUs: 21_333, data: voice });
const sound = [Buffer.from('one'), Buffer.from('two')];
const settled = () => new Promise((resolve) => setImmediate(resolve));

function swap(loadSound: LoadSound = async () => sound, track = STEREO) {
  const failures: unknown[] = [];
  const ended: string[] = [];
  const audio = new AudioSwap({
    track,
    loadSound,
    onLoadFailed: (error) => failures.push(error),
    onSoundEnded: (soundFile) => ended.push(soundFile),
  });
  return { swap: audio, failures, ended };
}

const heard = (swapped: AudioSwap, count: number) =>
  Array.from({ length: count }, (_, index) => swapped.apply(unit(index)).data.toString());

describe('the audio of a push', () => {
  it('is the source’s until muted and again after, with the source’s times', () => {
    const { swap: audio } = swap();
    expect(audio.apply(unit(1))).toEqual(unit(1));
    audio.set({ mode: 'mute' });
    expect(audio.apply(unit(2))).toEqual({ ...unit(2), data: silentAac(2) });
    audio.set({ mode: 'source' });
    expect(audio.apply(unit(3))).toEqual(unit(3));
  });

  it.each([1, 2, 6])('is silence and sound of the source’s own format: %i channels', async (channels) => {
    const track = { ...STEREO, sampleRateHz: 44_100, channels };
    const asked: [string, AudioTrack][] = [];
    const load: LoadSound = async (...arguments_) => {
      asked.push(arguments_);
      return sound;
    };
    const { swap: audio } = swap(load, track);
    audio.set({ mode: 'mute' });
    expect(audio.apply(unit(1)).data).toEqual(silentAac(channels));
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    expect(asked).toEqual([['a.wav', track]]);
  });

  it('is a sound file once, then the source again', async () => {
    const { swap: audio } = swap();
    expect(heard(audio, 1)).toEqual(['voice']);
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    expect(heard(audio, 1)).toEqual(['voice']);
    await settled();
    expect(heard(audio, 4)).toEqual(['one', 'two', 'voice', 'voice']);
  });

  it.each(['nothing', 'mute'] as const)(
    'is silence until the file can be heard where there was %s before',
    async (before) => {
      for (const [load, then] of [
        [async () => sound, ['one', 'two']],
        [() => Promise.reject(new Error('no such file')), ['voice', 'voice']],
      ] as const) {
        const { swap: audio } = swap(load);
        if (before === 'mute') {
          audio.apply(unit(0));
          audio.set({ mode: 'mute' });
          audio.apply(unit(1));
        }
        audio.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
        expect([2, 3].map((ptsUs) => audio.apply(unit(ptsUs)).data)).toEqual([silentAac(2), silentAac(2)]);
        await settled();
        expect(heard(audio, 2)).toEqual(then);
      }
    },
  );

  it('tells once that a sound file has been heard to its end', async () => {
    const { swap: audio, ended } = swap();
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    await settled();
    heard(audio, 2);
    expect(ended).toEqual([]);
    heard(audio, 3);
    expect(ended).toEqual(['a.wav']);
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    await settled();
    expect(heard(audio, 3)).toEqual(['one', 'two', 'voice']);
    expect(ended).toEqual(['a.wav', 'a.wav']);
  });

  it('may be chosen anew by whoever is told so', async () => {
    const audio: AudioSwap = new AudioSwap({
      track: STEREO,
      loadSound: async () => sound,
      onLoadFailed: () => {},
      onSoundEnded: () => audio.set({ mode: 'mute' }),
    });
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    await settled();
    expect(heard(audio, 3)).toEqual(['one', 'two', 'voice']);
    expect(audio.apply(unit(3)).data).toEqual(silentAac(2));
  });

  it('tells nothing of a sound that was muted or replaced before its end', async () => {
    const { swap: audio, ended } = swap();
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: false });
    await settled();
    heard(audio, 2);
    audio.set({ mode: 'sound', soundFile: 'b.wav', loop: false });
    await settled();
    heard(audio, 1);
    audio.set({ mode: 'mute' });
    heard(audio, 5);
    expect(ended).toEqual([]);
  });

  it('repeats a sound file that loops, without an end', async () => {
    const { swap: audio, ended } = swap();
    audio.set({ mode: 'sound', soundFile: 'a.wav', loop: true });
    await settled();
    expect(heard(audio, 5)).toEqual(['one', 'two', 'one', 'two', 'one']);
    expect(ended).toEqual([]);
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
