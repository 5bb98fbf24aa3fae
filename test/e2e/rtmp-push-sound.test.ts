import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { countOfKind } from '../support/app-children.ts';
import { FfmpegEncoder, movingPicture, x264 } from '../support/ffmpeg-encoder.ts';
import { isNear, isSilence, pitchesOf } from '../support/heard-sound.ts';
import { LiveTap } from '../support/live-tap.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { probeStreams } from '../support/recording.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { ffmpeg } from './ffmpeg-support.ts';

const SOURCE_HZ = 400;
const FILE_HZ = 2000;
const DEADLINE_MS = 15_000;

let app: TestApp;
let nginx: NginxRtmp;

beforeAll(async () => {
  nginx = await startNginxRtmp();
  app = await startTestApp();
  const media = join(app.directory, 'media');
  await mkdir(media, { recursive: true });
  const tone = ['-f', 'lavfi', '-i', `sine=frequency=${FILE_HZ}:duration=0.5:sample_rate=48000`];
  await writeFile(join(media, 'tone.wav'), await ffmpeg([...tone, '-f', 'wav', 'pipe:1']));
});

afterAll(async () => {
  await app?.close('the tests are over');
  await nginx?.stop();
});

// At once: each is an encoder, a push and a player of their own.
it.concurrent.for([
  ['mono of 44.1 kHz', 44_100, 1],
  ['stereo of 32 kHz', 32_000, 2],
  ['5.1 of 48 kHz', 48_000, 6],
] as const)(
  'the push of an RTMP encoder with %s is muted, unmuted and given a sound, in its own format',
  async ([, sampleRateHz, channels], { onTestFinished }) => {
    const format = { sampleRateHz, channels };
    const name = `encoded-${sampleRateHz}-${channels}`;
    const tone = ['-re', '-f', 'lavfi', '-i', `sine=${SOURCE_HZ}:sample_rate=${sampleRateHz}`, '-af', 'volume=12dB'];
    const aac = ['-c:a', 'aac', '-ar', String(sampleRateHz), '-ac', String(channels)];
    const url = `rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`;
    const encoder = new FfmpegEncoder(url, [...movingPicture('320x240'), ...tone, ...x264('-bf', '0'), ...aac]);
    onTestFinished(() => encoder.close());
    await vi.waitFor(
      async () => expect((await app.rest('/rest-api/stream/find', { name, status: 'PUBLISHING' })).status).toBe(200),
      { timeout: DEADLINE_MS, interval: 50 },
    );
    const started = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
    expect(started).toMatchObject({ status: 200 });
    const { mediaSessionId } = started.json() as PushView;
    const pushed = `${nginx.url('live')}/rtmp_${name}`;
    await vi.waitFor(() => expect(nginx.calls).toContainEqual(expect.objectContaining({ name: `rtmp_${name}` })), {
      timeout: DEADLINE_MS,
      interval: 20,
    });
    const tap = new LiveTap(pushed);
    onTestFinished(() => tap.close());
    await tap.waitFor(() => tap.sounds.length > 30);

    const becomes = async (isWanted: (hz: number) => boolean, method: string, body: object = {}): Promise<void> => {
      const from = tap.sounds.length;
      expect((await app.rest(`/rest-api/push/${method}`, { mediaSessionId, ...body })).status).toBe(200);
      await vi.waitFor(
        async () => {
          const heard = await pitchesOf(tap.sounds, format);
          const lasting = heard.slice(Math.max(from, heard.length - 10));
          expect(lasting.length).toBe(10);
          expect(lasting.filter(({ hz }) => isWanted(hz)).length).toBeGreaterThanOrEqual(8);
        },
        { timeout: DEADLINE_MS, interval: 200 },
      );
    };
    await becomes(isSilence, 'mute');
    await becomes(isNear(SOURCE_HZ), 'unmute');
    await becomes(isNear(FILE_HZ), 'sound_on', { soundFile: 'tone.wav', loop: true });
    await becomes(isSilence, 'mute');
    await becomes(isNear(FILE_HZ), 'unmute');
    await becomes(isNear(SOURCE_HZ), 'sound_off');

    const frameMs = (1024 * 1000) / sampleRateHz;
    const [first] = tap.sounds;
    const offGridMs = tap.sounds.map(({ timeMs }, index) => Math.abs(timeMs - first!.timeMs - index * frameMs));
    expect(Math.max(...offGridMs)).toBeLessThan(3);
    expect(await probeStreams(pushed)).toContainEqual(
      expect.objectContaining({ codec_name: 'aac', sample_rate: String(sampleRateHz), channels }),
    );
    expect(countOfKind('audio-transcode')).toBe(0);
    const published = nginx.calls.filter((call) => call['call'] === 'publish' && call['name'] === `rtmp_${name}`);
    expect(published).toHaveLength(1);
  },
);
