import { mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSoundFileEncoder } from '../../src/transcode/sound-file.ts';
import { beeps, decodeAac, ffmpeg, host, onset, pidWithNonce, STEREO_48_KHZ } from './ffmpeg-support.ts';

describe('sound files with the real ffmpeg', () => {
  let directory = '';
  const encoder = () => createSoundFileEncoder({ host, mediaDirectory: directory, bitrateBps: 96_000 });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sound-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  it('become AAC frames whose first sample is that of the file', async () => {
    await ffmpeg([...beeps(3), '-ac', '1', '-ar', '44100', '-y', join(directory, 'a.wav')]);
    const frames = await encoder().encodeSoundFile('a.wav', STEREO_48_KHZ);
    expect(Math.abs(frames.length - (3 * 48_000) / 1024)).toBeLessThan(2);
    const found = onset(await decodeAac(frames), 0.5 * 48_000);
    expect(Math.abs(found - 48_000)).toBeLessThan(480);
  });

  it.each([
    [44_100, 1],
    [44_100, 2],
    [48_000, 6],
    [8000, 1],
    [96_000, 2],
  ])(
    'are encoded for %i Hz and %i channels, without an error and with the sound at its time',
    async (rate, channels) => {
      const format = { sampleRateHz: rate, channels };
      await ffmpeg([...beeps(3), '-ac', '1', '-y', join(directory, 'a.wav')]);
      const frames = await encoder().encodeSoundFile('a.wav', format);
      expect(Math.abs(frames.length - (3 * rate) / 1024)).toBeLessThan(2);
      const samples = await decodeAac(frames, format);
      expect(Math.abs(onset(samples, 0.5 * rate) - rate)).toBeLessThan(rate / 100);
    },
  );

  it('are encoded once for each state of the file', async () => {
    const path = join(directory, '-i.wav');
    await ffmpeg([...beeps(1), '-y', `file:${path}`]);
    const sounds = encoder();
    const [first, second] = await Promise.all([
      sounds.encodeSoundFile('-i.wav', STEREO_48_KHZ),
      sounds.encodeSoundFile('-i.wav', STEREO_48_KHZ),
    ]);
    expect(second).toBe(first);
    const mono = await sounds.encodeSoundFile('-i.wav', { ...STEREO_48_KHZ, channels: 1 });
    expect(mono).not.toBe(first);
    await utimes(path, 1, 1);
    expect(await sounds.encodeSoundFile('-i.wav', STEREO_48_KHZ)).not.toBe(first);
  });

  it('are found only inside the media directory and only when they are WAV', async () => {
    await writeFile(join(directory, 'text.wav'), 'this is no sound at all');
    await symlink('/etc/passwd', join(directory, 'link.wav'));
    for (const name of ['missing.wav', 'text.wav', 'link.wav', '../a.wav', '/etc/passwd', '', '.', 'a\0.wav']) {
      await expect(encoder().encodeSoundFile(name, STEREO_48_KHZ)).rejects.toMatchObject({
        code: 'SOUND_FILE_NOT_FOUND',
      });
    }
  });

  it('that are broken inside are an error with a reason, and are tried again', async () => {
    await writeFile(join(directory, 'broken.wav'), 'RIFF\0\0\0\0WAVEnothing');
    const sounds = encoder();
    await expect(sounds.encodeSoundFile('broken.wav', STEREO_48_KHZ)).rejects.toMatchObject({ code: 'CHILD_FAILED' });
    await ffmpeg([...beeps(1), '-y', join(directory, 'broken.wav')]);
    expect((await sounds.encodeSoundFile('broken.wav', STEREO_48_KHZ)).length).toBeGreaterThan(40);
  });

  it('leave no ffmpeg behind when the server stops while they are encoded', async () => {
    await ffmpeg([...beeps(800), '-ac', '1', '-y', join(directory, 'long.wav')]);
    const nonce = `sound-${process.pid}`;
    const sounds = createSoundFileEncoder({ host: { ...host, nonce }, mediaDirectory: directory, bitrateBps: 96_000 });
    const encoding = sounds.encodeSoundFile('long.wav', STEREO_48_KHZ);
    encoding.catch(() => {});
    await vi.waitFor(() => pidWithNonce(nonce), { timeout: 15_000 });
    await sounds.close('test over');
    expect(() => pidWithNonce(nonce)).toThrow(/no process/);
    await expect(encoding).rejects.toMatchObject({ code: 'CHILD_FAILED' });
    await expect(sounds.encodeSoundFile('long.wav', STEREO_48_KHZ)).rejects.toMatchObject({ code: 'CHILD_FAILED' });
  });
});
