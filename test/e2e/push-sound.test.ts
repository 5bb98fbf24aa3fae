import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { isNear, isSilence, pitchesOf } from '../support/heard-sound.ts';
import { LiveTap, type TappedSound } from '../support/live-tap.ts';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { ffmpeg } from './ffmpeg-support.ts';

const SOURCE_HZ = 400;
const FILE_HZ = 2000;
const FILE_SECONDS = 0.5;
const MAX_EFFECT_MS = 200;
const DEADLINE_MS = 10_000;

describe('the sound of a push', () => {
  let rig: PushRig;
  let push: PushView;
  let tap: LiveTap;
  beforeAll(async () => {
    rig = await startPushRig({ page: { toneHz: SOURCE_HZ } });
    const tone = ['-f', 'lavfi', '-i', `sine=frequency=${FILE_HZ}:duration=${FILE_SECONDS}:sample_rate=48000`];
    const media = join(rig.app.directory, 'media');
    const outside = join(rig.app.directory, 'outside.wav');
    const wav = await ffmpeg([...tone, '-f', 'wav', 'pipe:1']);
    await mkdir(media, { recursive: true });
    await writeFile(join(media, 'tone.wav'), wav);
    await writeFile(outside, wav);
    await symlink(outside, join(media, 'link.wav'));
    await writeFile(join(media, 'text.wav'), 'no sound at all');
    await rig.page.publish({ name: 'tone', stripCodecs: H264_ONLY });
    push = await rig.startup({ streamName: 'tone', rtmpUrl: rig.nginx.url('live') });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    tap = new LiveTap(`${rig.nginx.url('live')}/rtmp_tone`);
    await tap.waitFor(() => tap.sounds.length > 50);
  });
  afterAll(async () => {
    await tap?.close();
    await rig?.close();
  });

  const call = async (method: string, body: object = {}): Promise<number> => {
    const { status } = await rig.app.rest(`/rest-api/push/${method}`, { mediaSessionId: push.mediaSessionId, ...body });
    return status;
  };

  /** Calls, and resolves with how long it took until the sound at the destination was as wanted. */
  async function effectMs(isWanted: (hz: number) => boolean, method: string, body: object = {}): Promise<number> {
    const calledMs = performance.now();
    expect(await call(method, body)).toBe(200);
    let found: TappedSound | undefined;
    await vi.waitFor(
      async () => {
        const heard = await pitchesOf(tap.sounds);
        found = heard.find(({ sound, hz }) => sound.arrivedMs >= calledMs && isWanted(hz))?.sound;
        expect(found).toBeDefined();
      },
      { timeout: DEADLINE_MS, interval: 100 },
    );
    return found!.arrivedMs - calledMs;
  }

  it('changes within 200 ms on mute, unmute, sound_on and sound_off, without a gap, a step or a reconnection', async () => {
    const effects: Record<string, number> = {};
    effects['mute'] = await effectMs(isSilence, 'mute');
    effects['unmute'] = await effectMs(isNear(SOURCE_HZ), 'unmute');
    effects['sound_on'] = await effectMs(isNear(FILE_HZ), 'sound_on', { soundFile: 'tone.wav' });
    // Not looped, so the source is heard again after half a second.
    const fromMs = performance.now() + FILE_SECONDS * 1000 + MAX_EFFECT_MS;
    await tap.waitFor(() => tap.sounds.at(-1)!.arrivedMs > fromMs);
    expect(isNear(SOURCE_HZ)(await lastPitch(tap.sounds))).toBe(true);

    effects['looped'] = await effectMs(isNear(FILE_HZ), 'sound_on', { soundFile: 'tone.wav', loop: true });
    const loopedMs = performance.now() + 3 * FILE_SECONDS * 1000;
    await tap.waitFor(() => tap.sounds.at(-1)!.arrivedMs > loopedMs);
    expect(isNear(FILE_HZ)(await lastPitch(tap.sounds))).toBe(true);
    effects['muted sound'] = await effectMs(isSilence, 'mute');
    effects['unmuted sound'] = await effectMs(isNear(FILE_HZ), 'unmute');
    effects['sound_off'] = await effectMs(isNear(SOURCE_HZ), 'sound_off');
    expect(Math.max(...Object.values(effects))).toBeLessThanOrEqual(MAX_EFFECT_MS);

    const steps = tap.sounds.slice(1).map(({ timeMs }, index) => timeMs - tap.sounds[index]!.timeMs);
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(21);
    expect(Math.max(...steps)).toBeLessThanOrEqual(22);
    // The timeline keeps the pace of the clock on the wall.
    const half = Math.floor(tap.sounds.length / 2);
    const driftMs = leastDelayMs(tap.sounds.slice(half)) - leastDelayMs(tap.sounds.slice(0, half));
    expect(Math.abs(driftMs)).toBeLessThan(MAX_EFFECT_MS);
    expect(rig.nginx.calls.filter((seen) => seen['call'] === 'publish')).toHaveLength(1);
    expect(rig.rows('SELECT run_id FROM run WHERE transponder_id = ?', push.mediaSessionId)).toHaveLength(1);
  });

  it('comes with a keyframe every 2.5 s, though the browser makes none of its own accord', async () => {
    await tap.waitFor(() => tap.keyframesMs.length > 4);
    const steps = tap.keyframesMs.slice(1).map((timeMs, index) => timeMs - tap.keyframesMs[index]!);
    expect(Math.max(...steps)).toBeLessThanOrEqual(2500);
  });

  it.each(['mute', 'sound_on'] as const)('is from the first frame what options.action %s says', async (action) => {
    const options = action === 'mute' ? { action } : { action, soundFile: 'tone.wav', loop: true };
    const rtmpUrl = rig.nginx.url('app');
    const view = await rig.startup({ streamName: 'tone', rtmpUrl, options });
    expect(view).toMatchObject({ options, muted: action === 'mute', soundEnabled: action === 'sound_on' });
    await rig.waitForNginx('publish', { app: 'app', name: 'rtmp_tone' });
    const own = new LiveTap(`${rtmpUrl}/rtmp_tone`);
    try {
      await own.waitFor(() => own.sounds.length > 50);
      const isWanted = action === 'mute' ? isSilence : isNear(FILE_HZ);
      const heard = await pitchesOf(own.sounds);
      // Not where a loop begins anew.
      expect(heard.filter(({ hz }) => isWanted(hz)).length).toBeGreaterThan(0.8 * heard.length);
      expect(heard.some(({ hz }) => isNear(SOURCE_HZ)(hz))).toBe(false);
    } finally {
      await own.close();
      await rig.terminate(view);
    }
  });

  it('comes from WAV files in the media directory only', async () => {
    const outside = join(rig.app.directory, 'outside.wav');
    for (const soundFile of ['../outside.wav', outside, 'link.wav', 'missing.wav', 'text.wav']) {
      expect([soundFile, await call('sound_on', { soundFile })]).toEqual([soundFile, 404]);
      const options = { action: 'sound_on', soundFile };
      const body = { streamName: 'tone', rtmpUrl: rig.nginx.url('app'), options };
      expect([soundFile, (await rig.app.rest('/rest-api/push/startup', body)).status]).toEqual([soundFile, 404]);
    }
    expect(await call('sound_on')).toBe(400);
    for (const method of ['mute', 'unmute', 'sound_off']) {
      expect((await rig.app.rest(`/rest-api/push/${method}`, { mediaSessionId: 'unknown' })).status).toBe(404);
    }
  });
});

/** From the time of a frame to its arrival, by the clock that both ends of a difference share. */
function leastDelayMs(sounds: readonly TappedSound[]): number {
  return Math.min(...sounds.map(({ arrivedMs, timeMs }) => arrivedMs - timeMs));
}

async function lastPitch(sounds: readonly TappedSound[]): Promise<number> {
  return (await pitchesOf(sounds)).at(-1)!.hz;
}
