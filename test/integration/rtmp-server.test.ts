import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RtmpMessage } from '../../src/protocol/rtmp/messages.ts';
import type { RawMessage } from '../../src/protocol/rtmp/raw-message.ts';
import { publishLooping, recordNoise, type LoopingEncoder } from '../support/looping-encoder.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { sendMedia } from '../support/send-media.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';

const WAIT = { timeout: 15_000 };

let recording: RawMessage[];

/** The first two bytes of a tag's body: codec, and whether it is the header of its track. */
const headOf = (message: RtmpMessage): string =>
  'payload' in message ? message.payload.subarray(0, 2).toString('hex') : '';

beforeAll(async () => {
  recording = await recordNoise(1);
});

describe('an RTMP client and the REST API', () => {
  let app: TestApp;
  let port: number;
  let encoder: LoopingEncoder;
  let player: RtmpTestClient;

  const find = async (path: string, filter: object) => {
    const { status, json } = await app.rest(path, filter);
    return status === 200 ? (json() as Record<string, unknown>[]) : [];
  };

  beforeAll(async () => {
    app = await startTestApp();
    port = app.ports['rtmp.port']!;
    encoder = await publishLooping(port, 'tv?streamParam1=val1', recording);
    await waitUntil(
      async () => (await find('/rest-api/stream/find', { name: 'tv', status: 'PUBLISHING' }))[0],
      WAIT.timeout,
      () => 'the stream to be live',
    );
    player = await RtmpTestClient.playing(port, 'tv', 'live?connectParam1=val1');
    await player.until(() => player.count('video') > 10 && player.count('audio') > 10, 'picture and sound');
  });

  afterAll(async () => {
    await player?.close();
    await encoder?.[Symbol.asyncDispose]();
    await app?.close('the tests have ended');
  });

  it('are shown as sessions with the parameters of their URLs', async () => {
    const sessionId = `/${player.endpoint}/127.0.0.1:${port}`;
    const custom = { connectParam1: 'val1' };
    expect(await find('/rest-api/connection/find_all', {})).toMatchObject([
      { appKey: 'flashStreamingApp', mediaProviders: ['Flash'], status: 'ESTABLISHED' },
      { appKey: 'flashStreamingApp', mediaProviders: ['Flash'], sessionId, custom },
    ]);
  });

  it('are shown with their streams', async () => {
    expect(await find('/rest-api/stream/find', { name: 'tv' })).toMatchObject([
      {
        published: true,
        status: 'PUBLISHING',
        mediaProvider: 'Flash',
        videoCodec: 'H264',
        audioCodec: 'mpeg4-generic',
        width: 640,
        height: 360,
      },
      {
        mediaSessionId: `tv/${player.endpoint}/127.0.0.1:${port}`,
        published: false,
        status: 'PLAYING',
        mediaProvider: 'Flash',
      },
    ]);
  });

  it('is told metadata, headers of both tracks and a keyframe before anything else', () => {
    const given = player.messages.filter(({ kind }) => kind === 'audio' || kind === 'video' || kind === 'data');
    expect(given[0]).toMatchObject({ kind: 'data', values: ['|RtmpSampleAccess', true, true] });
    expect(given[1]).toMatchObject({ kind: 'data', values: ['onMetaData', expect.anything()], timestampMs: 0 });
    const flvHeads = (kind: string) => given.flatMap((said) => (said.kind === kind ? [headOf(said)] : []));
    expect(flvHeads('video').slice(0, 2)).toEqual(['1700', '1701']);
    expect(flvHeads('audio')[0]).toBe('af00');
  });

  it('terminated by the operator, is told and closed', async () => {
    const other = await RtmpTestClient.playing(port, 'tv');
    const sessionId = `/${other.endpoint}/127.0.0.1:${port}`;
    expect((await app.rest('/rest-api/connection/terminate', { sessionId })).status).toBe(200);
    await other.closed;
    expect(other.statusCodes.at(-1)).toBe('NetConnection.Connect.Closed');
    const third = await RtmpTestClient.playing(port, 'tv');
    const mediaSessionId = `tv/${third.endpoint}/127.0.0.1:${port}`;
    expect((await app.rest('/rest-api/stream/terminate', { mediaSessionId })).status).toBe(200);
    await third.closed;
    expect(third.statusCodes.at(-1)).toBe('NetStream.Play.Stop');
    expect(player.isClosed).toBe(false);
  });

  it('of the longest name is found and ended by its id', async () => {
    const name = 'n'.repeat(256);
    await using publisher = await RtmpTestClient.publishing(port, name);
    sendMedia(publisher);
    await expect.poll(() => find('/rest-api/stream/find', { name, status: 'PUBLISHING' }), WAIT).toHaveLength(1);
    const viewer = await RtmpTestClient.playing(port, name);
    const mediaSessionId = `${name}/${viewer.endpoint}/127.0.0.1:${port}`;
    expect(await find('/rest-api/stream/find', { mediaSessionId })).toMatchObject([{ name, published: false }]);
    expect((await app.rest('/rest-api/stream/terminate', { mediaSessionIds: [mediaSessionId] })).status).toBe(200);
    await viewer.closed;
    expect(viewer.statusCodes.at(-1)).toBe('NetStream.Play.Stop');
  });

  it('plays to the end of the stream', async () => {
    encoder.client.say('deleteStream', [null, 1]);
    await player.closed;
    expect(player.statusCodes.at(-1)).toBe('NetStream.Play.UnpublishNotify');
    await encoder.client.close();
    await expect.poll(() => find('/rest-api/stream/find', {}), WAIT).toEqual([]);
    await expect.poll(() => find('/rest-api/connection/find_all', {}), WAIT).toEqual([]);
  });
});

it('rtmp_server_enabled=false listens on no port for RTMP', async () => {
  const app = await startTestApp({ rtmp_server_enabled: 'false' });
  expect(Object.keys(app.ports).sort()).toEqual(['http.port', 'https.port', 'media', 'ws.port', 'wss.port']);
  await app.close('the test has ended');
});
