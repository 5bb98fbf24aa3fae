import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { amfString } from '../../src/protocol/amf0/values.ts';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { startRtmpDestination, type DestinationPeer } from '../support/rtmp-destination.ts';

const STREAM = 'stream1';
/** Ours; nginx keeps no more than 31 characters. */
const OWN_FLASH_VERSION = 'FMLE/3.0 (compatible; Transponder)'.slice(0, 31);
const CAPTURED_FLASH_VERSION = 'LNX 76.219.189.0';
const PUBLISHED_TIMEOUT_MS = 20_000;

function md5(text: string): string {
  return createHash('md5').update(text).digest('base64');
}

/** Commands of that name on all connections, oldest first. */
function commands(peers: readonly DestinationPeer[], name: string) {
  return peers.flatMap(({ messages }) =>
    messages.flatMap((message) => (message.kind === 'command' && message.name === name ? [message] : [])),
  );
}

function untilPublished(peers: readonly DestinationPeer[], name: string): Promise<void> {
  return vi.waitFor(() => expect(commands(peers, 'publish').map(({ args }) => args[1])).toContain(name), {
    timeout: PUBLISHED_TIMEOUT_MS,
    interval: 20,
  });
}

describe('the destination of a push', () => {
  let rig: PushRig;
  beforeAll(async () => {
    rig = await startPushRig({ nginx: { apps: ['live', 'app_name', 'app_name/app_instance'] } });
    await rig.page.publish({ name: STREAM, stripCodecs: H264_ONLY });
  });
  afterAll(() => rig?.close());

  it.each([
    ['an application', 'live', {}, { app: 'live', name: 'rtmp_stream1', flashver: OWN_FLASH_VERSION }],
    [
      'query parameters for the application',
      'app_name/?user=user1&pass=pass1',
      {},
      { app: 'app_name', name: 'rtmp_stream1' },
    ],
    [
      'an instance of the application',
      'app_name/app_instance/?user=user2&pass=pass2',
      {},
      { app: 'app_name/app_instance', name: 'rtmp_stream1' },
    ],
    ['the name of the stream', 'live/test', { rtmpTransponderFullUrl: true }, { app: 'live', name: 'test' }],
    [
      'the name of the stream at an instance',
      'app_name/app_instance/test2',
      { rtmpTransponderFullUrl: true },
      { app: 'app_name/app_instance', name: 'test2' },
    ],
  ] as const)('is %s', async (_, path, more, publish) => {
    const push = await rig.startup({ streamName: STREAM, rtmpUrl: rig.nginx.url(path), ...more });
    expect(await rig.waitForNginx('publish', publish)).toMatchObject(publish);
    const query = path.split('?')[1];
    const given = Object.fromEntries(new URLSearchParams(query ?? ''));
    await rig.waitForNginx('connect', { app: publish.app, ...given });
    await rig.waitForState(push.mediaSessionId, 'ACTIVE');
    await rig.terminate(push);
    await rig.waitForNginx('publish_done', { app: publish.app, name: publish.name });
  });

  it('sees the flash version that the request names', async () => {
    const push = await rig.startup({
      streamName: STREAM,
      rtmpUrl: rig.nginx.url('live'),
      rtmpFlashVersion: CAPTURED_FLASH_VERSION,
    });
    const publish = await rig.waitForNginx('publish', { app: 'live', flashver: CAPTURED_FLASH_VERSION });
    expect(publish['name']).toBe('rtmp_stream1');
    await rig.terminate(push);
  });

  it('gets no metadata unless the configuration says so', async () => {
    const destination = await startRtmpDestination();
    const push = await rig.startup({ streamName: STREAM, rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live` });
    try {
      await rig.waitForState(push.mediaSessionId, 'ACTIVE');
      expect(destination.peers[0]!.messages.some(({ kind }) => kind === 'data')).toBe(false);
    } finally {
      await rig.terminate(push);
      await destination.stop();
    }
  });

  it('is told name and password by the challenge that Adobe servers make', async () => {
    const destination = await startRtmpDestination((command, peer) => {
      if (command.name !== 'connect') return false;
      const query = new URLSearchParams((amfString(command.args[0]!, 'app') ?? '').split('?')[1]);
      const reject = (text: string) => peer.error(command, 'NetConnection.Connect.Rejected', text);
      if (!query.has('authmod')) reject('[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ');
      else if (!query.has('response'))
        reject(
          '[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=name&salt=SALT&challenge=CH&opaque=OP',
        );
      else {
        const expected = md5(`${md5('nameSALTpassword')}OP${query.get('challenge')}`);
        if (query.get('response')?.replaceAll(' ', '+') === expected) return false;
        reject('[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=OP');
      }
      return true;
    });
    try {
      const rtmpUrl = `rtmp://name:password@127.0.0.1:${destination.port}/live`;
      const push = await rig.startup({ streamName: STREAM, rtmpUrl });
      await rig.waitForState(push.mediaSessionId, 'ACTIVE');
      expect(commands(destination.peers, 'connect')).toHaveLength(3);
      for (const { args } of commands(destination.peers, 'connect')) {
        expect(amfString(args[0]!, 'tcUrl')).not.toContain('password');
      }
      await rig.terminate(push);
      const wrong = await rig.startup({ streamName: STREAM, rtmpUrl: rtmpUrl.replace(':password', ':wrong') });
      await rig.waitForState(wrong.mediaSessionId, 'FAILED');
      expect(rig.row(wrong.mediaSessionId).reason).toBe('dest_auth');
    } finally {
      await destination.stop();
    }
  });

  it('answers 404, 409 and 400 with a sentence that repeats no secret', async () => {
    const startup = (body: object) => rig.app.rest('/rest-api/push/startup', body);
    const rtmpUrl = rig.nginx.url('live/?key=sesame');
    expect((await startup({ streamName: 'nobody', rtmpUrl })).status).toBe(404);

    const first = await rig.startup({ streamName: STREAM, rtmpUrl });
    const second = await startup({ streamName: STREAM, rtmpUrl });
    expect(second.status).toBe(409);
    await rig.terminate(first);
    const third = await rig.startup({ streamName: STREAM, rtmpUrl });
    await rig.terminate(third);
    const refused = await rig.app.rest('/rest-api/push/terminate', { mediaSessionId: third.mediaSessionId });
    expect(refused.status).toBe(404);

    for (const url of [
      undefined,
      '',
      'http://127.0.0.1/sesame',
      'rtmp://',
      'rtmp://127.0.0.1:0/sesame',
      'rtmp://no-such-host.invalid/sesame',
    ]) {
      const answer = await startup({ streamName: STREAM, rtmpUrl: url });
      expect([url, answer.status]).toEqual([url, 400]);
      expect(answer.text).not.toContain('sesame');
    }
    expect(second.text).not.toContain('sesame');
    expect(rig.app.log()).not.toContain('sesame');
  });

  it('follows the configuration: full URL, no prefix, flash version and metadata', async () => {
    const settings = {
      rtmp_transponder_full_url: 'true',
      rtmp_transponder_stream_name_prefix: '',
      rtmp_flash_ver_subscriber: CAPTURED_FLASH_VERSION,
      rtmp_transponder_send_metadata: 'true',
    };
    const other = await startPushRig({ settings, sharing: rig });
    const destination = await startRtmpDestination();
    try {
      await other.page.publish({ name: 'configured', stripCodecs: H264_ONLY });
      await other.startup({ streamName: 'configured', rtmpUrl: rig.nginx.url('live/from_url') });
      await rig.waitForNginx('publish', { app: 'live', name: 'from_url', flashver: CAPTURED_FLASH_VERSION });
      // Nothing stands where the name would: it is formed as usual, here without a prefix.
      const push = await other.startup({
        streamName: 'configured',
        rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live/`,
      });
      await untilPublished(destination.peers, 'configured');
      await other.waitForState(push.mediaSessionId, 'ACTIVE');
      expect(destination.peers[0]!.messages.some(({ kind }) => kind === 'data')).toBe(true);
    } finally {
      await other.close();
      await destination.stop();
    }
  });

  it('is rtmp_push_auto_start_url for every published stream, also without an application', async () => {
    const destination = await startRtmpDestination();
    const settings = {
      rtmp_push_auto_start: 'true',
      rtmp_push_auto_start_url: `rtmp://127.0.0.1:${destination.port}/`,
    };
    const other = await startPushRig({ settings, sharing: rig });
    try {
      await other.page.publish({ name: 'everything', stripCodecs: H264_ONLY });
      await untilPublished(destination.peers, 'rtmp_everything');
      const [connect] = commands(destination.peers, 'connect');
      expect(amfString(connect!.args[0]!, 'app')).toBe('');
      expect(amfString(connect!.args[0]!, 'tcUrl')).toBe(settings.rtmp_push_auto_start_url);
      await other.page.unpublish('everything');
      await vi.waitFor(() => expect(commands(destination.peers, 'deleteStream')).toHaveLength(1), {
        timeout: PUBLISHED_TIMEOUT_MS,
      });
    } finally {
      await other.close();
      await destination.stop();
    }
  });
});
