import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPicture, type TestPicture } from '../../scripts/demo/test-picture.ts';
import { publishOverWebrtc } from '../../scripts/demo/webrtc-client.ts';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { PushStatus, PushView } from '../../src/services/transponder-request.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIMEOUT_MS = 20_000;

describe('a push whose source freezes', () => {
  let nginx: NginxRtmp;
  let app: TestApp;
  let isVideoFrozen = false;
  let isAudioFrozen = false;
  const cleanups: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    nginx = await startNginxRtmp();
    cleanups.push(() => nginx.stop());
    // Shorter than the freeze: the destination must not be blamed for it.
    app = await startTestApp({ rtmp_push_stall_timeout_ms: '3000' });
    cleanups.push(() => app.close('test ended'));
    let picture: Promise<TestPicture> | undefined;
    const client = await publishOverWebrtc({
      url: app.wsUrl,
      streamName: 'flow',
      onConnected: ({ sendVideo, sendAudio }) => {
        picture = startTestPicture({
          ffmpegPath: 'ffmpeg',
          clock: systemClock,
          logger: silentLogger,
          onVideo: (packet) => void (isVideoFrozen || sendVideo(packet)),
          onAudio: (packet) => void (isAudioFrozen || sendAudio(packet)),
        });
      },
    });
    cleanups.push(() => client.close('test ended'));
    cleanups.push(async () => (await picture)?.close('test ended'));
  }, 60_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it('is DEGRADED while there is no picture, or nothing at all, and ACTIVE again without a restart', async () => {
    const answer = await app.rest('/rest-api/push/startup', { streamName: 'flow', rtmpUrl: nginx.url('live') });
    const { mediaSessionId: id } = answer.json() as PushView;
    const reached = (state: string): Promise<PushStatus> =>
      waitUntil(
        () => {
          const status = app.pushStatus(id);
          return status?.state === state ? status : undefined;
        },
        TIMEOUT_MS,
        () => `${state}: ${JSON.stringify(app.pushStatus(id))}`,
      );
    await reached('ACTIVE');
    isVideoFrozen = true;
    expect(await reached('DEGRADED')).toMatchObject({ reason: 'source_frozen' });
    isVideoFrozen = false;
    await reached('ACTIVE');
    isVideoFrozen = true;
    isAudioFrozen = true;
    const { stateSinceMs } = await reached('DEGRADED');
    // Longer than the stall timeout.
    await waitUntil(
      () => (Date.now() - stateSinceMs > 4000 ? true : undefined),
      TIMEOUT_MS,
      () => 'time',
    );
    expect(app.pushStatus(id)).toMatchObject({ state: 'DEGRADED', reason: 'source_frozen' });
    isVideoFrozen = false;
    isAudioFrozen = false;
    expect(await reached('ACTIVE')).toMatchObject({ restartsTotal: 0 });
  });
});
