import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { appChildren } from '../support/app-children.ts';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { probeStreams } from '../support/recording.ts';
import { listen } from '../support/rtmp-destination.ts';
import { waitUntil } from '../support/wait-until.ts';

const DEADLINE_MS = 15_000;
const RTMP_WRITER_FAILED = 'Failed by RTMP writer error';

describe('a push and its publisher', () => {
  let rig: PushRig;
  beforeAll(async () => {
    rig = await startPushRig({ settings: { outbound_private_addresses: 'all' } });
  });
  afterAll(() => rig?.close());

  it('begins and ends with a stream that names its rtmpUrl, and begins again when that is published again at once', async () => {
    const rtmpUrl = rig.nginx.url('live');
    const pushes = async () => {
      const found = await rig.app.rest('/rest-api/push/find', { streamName: 'own' });
      return found.json() as { mediaSessionId: string; rtmpUrl: string }[];
    };
    await rig.page.publish({ name: 'own', stripCodecs: H264_ONLY, rtmpUrl });
    await rig.waitForNginx('publish', { app: 'live', name: 'rtmp_own' });
    const [first] = await pushes();
    expect(first!.rtmpUrl).toBe(rtmpUrl);
    await rig.waitForState(first!.mediaSessionId, 'ACTIVE');
    await rig.page.unpublish('own');
    await rig.page.publish({ name: 'own', stripCodecs: H264_ONLY, rtmpUrl });
    await rig.waitForState(first!.mediaSessionId, 'TERMINATED');
    expect(rig.row(first!.mediaSessionId).reason).toBe('source_gone');
    const second = await waitUntil(
      async () => (await pushes()).find(({ mediaSessionId }) => mediaSessionId !== first!.mediaSessionId),
      DEADLINE_MS,
      () => rig.app.log(),
    );
    await rig.waitForState(second.mediaSessionId, 'ACTIVE');
    expect(await rig.page.warnings('own')).toEqual([]);
    await rig.page.unpublish('own');
    await rig.waitForState(second.mediaSessionId, 'TERMINATED');
    const ended = () => rig.nginx.calls.filter(({ call, name }) => call === 'publish_done' && name === 'rtmp_own');
    await vi.waitFor(() => expect(ended()).toHaveLength(2), { timeout: DEADLINE_MS });
  });

  it('tells the page when its rtmpUrl fails, and the stream goes on', async () => {
    for (const [name, rtmpUrl] of [
      ['refused', `rtmp://127.0.0.1:${await closedPort()}/live?key=sesame`],
      ['malformed', 'sesame://nowhere'],
    ] as const) {
      await rig.page.publish({ name, stripCodecs: H264_ONLY, rtmpUrl });
      await vi.waitFor(
        async () => {
          expect(await rig.page.warnings(name)).toEqual([RTMP_WRITER_FAILED]);
        },
        { timeout: DEADLINE_MS },
      );
      expect(await rig.page.statuses(name)).toEqual([{ status: 'PUBLISHING', info: '' }]);
      const streams = await rig.app.rest('/rest-api/stream/find', { name, published: true });
      expect(streams.json()).toMatchObject([{ name, status: 'PUBLISHING' }]);
      const push = await rig.startup({ streamName: name, rtmpUrl: rig.nginx.url('live') });
      await rig.waitForState(push.mediaSessionId, 'ACTIVE');
      await rig.page.unpublish(name);
    }
    expect(rig.app.log()).toContain('dest_refused');
    expect(rig.app.log()).toContain('the push that a publisher asked for could not be started');
    expect(rig.app.log()).not.toContain('sesame');
  });

  it('waits for its stream where it was asked to, and for its return', async () => {
    const push = await rig.startup({
      streamName: 'later',
      rtmpUrl: rig.nginx.url('live'),
      waitForStream: true,
    });
    expect(rig.row(push.mediaSessionId).state).toBe('WAITING_SOURCE');
    for (let round = 0; round < 2; round++) {
      await rig.page.publish({ name: 'later', stripCodecs: H264_ONLY });
      await rig.waitForState(push.mediaSessionId, 'ACTIVE');
      await rig.page.unpublish('later');
      await rig.waitForState(push.mediaSessionId, 'WAITING_SOURCE');
    }
    await rig.terminate(push);
    expect(rig.row(push.mediaSessionId).state).toBe('TERMINATED');
  });

  it('begins with sound alone while a declared camera sends nothing, and starts anew when it does', async () => {
    await rig.page.publish({ name: 'dark', stripCodecs: H264_ONLY, isPictureHeld: true });
    onTestFinished(() => rig.page.unpublish('dark'));
    const push = await rig.startup({ streamName: 'dark', rtmpUrl: rig.nginx.url('live') });
    onTestFinished(() => rig.terminate(push));
    const runs = () =>
      rig
        .rows('SELECT exit_class FROM run WHERE transponder_id = ? ORDER BY run_id', push.mediaSessionId)
        .map((run) => run['exit_class']);
    const url = `${rig.nginx.url('live')}/rtmp_dark`;
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    expect((await probeStreams(url)).map(({ codec_name }) => codec_name)).toEqual(['aac']);
    await vi.waitFor(() => expect(runs()).toEqual(['replan', null]), { timeout: DEADLINE_MS });
    await rig.page.showPicture('dark');
    await vi.waitFor(() => expect(runs()).toEqual(['replan', 'replan', null]), { timeout: DEADLINE_MS });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    expect((await probeStreams(url)).map(({ codec_name }) => codec_name)).toEqual(['h264', 'aac']);
  });

  it('says how its process ended, and leaves none behind', async () => {
    await rig.page.publish({ name: 'fragile', stripCodecs: H264_ONLY });
    const push = await rig.startup({ streamName: 'fragile', rtmpUrl: rig.nginx.url('live') });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    const [run] = rig.rows('SELECT pid FROM run WHERE transponder_id = ? AND ended_at IS NULL', push.mediaSessionId);
    process.kill(Number(run!['pid']), 'SIGKILL');
    await rig.waitForState(push.mediaSessionId, 'FAILED');
    expect(rig.row(push.mediaSessionId).reason).toBe('killed');

    const next = await rig.startup({ streamName: 'fragile', rtmpUrl: rig.nginx.url('live') });
    await rig.waitForState(next.mediaSessionId, 'ACTIVE');
    rig.nginx.kill('SIGKILL');
    await rig.waitForState(next.mediaSessionId, 'FAILED');
    expect(rig.row(next.mediaSessionId).reason).toBe('dest_reset');

    await rig.close();
    expect(appChildren()).toEqual([]);
  });
});

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
