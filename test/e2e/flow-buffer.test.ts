import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { PushStatus, PushView } from '../../src/services/transponder-request.ts';
import { LiveTap } from '../support/live-tap.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { startTestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const INITIAL_MS = 1200;
const TIMEOUT_MS = 20_000;

describe('a push with an outgoing buffer', () => {
  let nginx: NginxRtmp;
  let app: TestApp;
  let publisher: Closable;
  const cleanups: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    nginx = await startNginxRtmp();
    cleanups.push(() => nginx.stop());
    app = await startTestApp({
      rtmp_out_buffer_enabled: 'true',
      rtmp_out_buffer_initial_size: String(INITIAL_MS),
      'rtmp.server_buffer_enabled': 'true',
    });
    cleanups.push(() => app.close('test ended'));
    publisher = await startTestPublisher(app.wsUrl, 'flow');
    cleanups.push(() => publisher.close('test ended'));
  }, 60_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const statusWhen = (id: string, isSo: (status: PushStatus) => boolean): Promise<PushStatus> =>
    waitUntil(
      () => {
        const status = app.pushStatus(id);
        return status && isSo(status) ? status : undefined;
      },
      TIMEOUT_MS,
      () => JSON.stringify(app.pushStatus(id)),
    );

  it('gathers once, goes on holding about as much, says so, and loses no sound', async () => {
    const answer = await app.rest('/rest-api/push/startup', { streamName: 'flow', rtmpUrl: nginx.url('live') });
    const { mediaSessionId: id } = answer.json() as PushView;
    await statusWhen(id, ({ state }) => state === 'ACTIVE');
    const { bufferedMs, bufferings } = await statusWhen(id, (status) => (status.bufferedMs ?? 0) > 0);
    expect(bufferedMs).toBeGreaterThan(INITIAL_MS / 2);
    expect(bufferedMs).toBeLessThan(INITIAL_MS + 1100);
    expect(bufferings).toBe(1);
    const tap = new LiveTap(nginx.url('live/rtmp_flow'));
    cleanups.push(() => tap.close());
    await tap.waitFor(() => tap.sounds.length > 150);
    const late = tap.sounds.slice(50);
    const times = late.slice(1).map(({ timeMs }, index) => timeMs - late[index]!.timeMs);
    expect(Math.max(...times)).toBeLessThan(50);
    expect(app.pushStatus(id)?.bufferings).toBe(1);
  });
});
