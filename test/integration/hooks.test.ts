import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { AUDIO_TRACK, VIDEO_TRACK } from '../../scripts/bench/support/test-stream.ts';
import { describeClient, remoteEndOf } from '../../scripts/bench/support/descriptions.ts';
import { RtcClient } from '../../scripts/bench/support/rtc-client.ts';
import { amfObject } from '../../src/protocol/amf0/values.ts';
import { readNodeId } from '../../src/services/hooks/node-id.ts';
import { Client } from '../edges/signalling/harness.ts';
import { freePort } from '../support/free-port.ts';
import { json, mirror, TROUBLES, withConfig } from '../support/hook-backend.ts';
import { startHookRig, type HookRig } from '../support/hook-rig.ts';
import { connectObject, RtmpTestClient } from '../support/rtmp-client.ts';
import { sendMedia } from '../support/send-media.ts';

const FAIL = { restOnError: 'FAIL' };
const WAIT = { timeout: 15_000 };
const NODE_ID = /^[A-Za-z0-9]{32}@[\d.]+$/;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const LOGIN = /^[A-Za-z0-9]{20}$/;
/** Values that differ from server to server and client to client. */
const OWN = new Set(['nodeId', 'sessionId', 'mediaSessionId', 'login']);

/** The three bodies of the seed "In a player via RTMP", with what is each client's own left open. */
const SEED = {
  connect: {
    nodeId: '',
    appKey: 'flashStreamingApp',
    sessionId: '',
    useWsTunnel: false,
    useWsTunnelPacketization2: false,
    useBase64BinaryEncoding: false,
    keepAlive: false,
    custom: { connectParam1: 'val1', connectParam2: 'val2' },
    login: '',
  },
  publishStream: {
    nodeId: '',
    appKey: 'flashStreamingApp',
    sessionId: '',
    mediaSessionId: '',
    name: 'stream1',
    published: true,
    hasVideo: false,
    hasAudio: true,
    status: 'NEW',
    record: true,
    width: 0,
    height: 0,
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 0,
    quality: 0,
    mediaProvider: 'Flash',
    custom: { streamParam1: 'val1', streamParam2: 'val2' },
  },
};
const SEED_PLAY = { ...SEED.publishStream, published: false, hasVideo: true, record: false };

const ORIGIN = 'https://shop.example';

function withoutOwn(body: Readonly<Record<string, unknown>> | undefined): [string, unknown][] {
  return Object.entries(body ?? {}).map(([field, value]) => [field, OWN.has(field) ? '' : value]);
}

async function openPage(rig: HookRig, more: object = {}): Promise<Client> {
  const page = new Client(new WebSocket(rig.app.wsUrl, { origin: ORIGIN }));
  await page.opened;
  page.send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: '2.0', ...more });
  return page;
}

async function establishedPage(rig: HookRig): Promise<Client> {
  const page = await openPage(rig);
  await page.next('getVersion');
  return page;
}

/** A page whose stream is PUBLISHING: ICE and DTLS are real. */
async function publishOverWebrtc(page: Client, name: string): Promise<RtcClient> {
  const peer = await RtcClient.open('127.0.0.1');
  const tracks = [AUDIO_TRACK, VIDEO_TRACK];
  const sdp = describeClient({ client: peer, direction: 'sendonly', setup: 'actpass', tracks });
  const constraints = { audio: true, video: { width: 640 } };
  page.send('publishStream', { mediaSessionId: 'P1', name, sdp, custom: { token: 'x' }, constraints });
  const { data } = await page.next('setRemoteSDP');
  await peer.connect(remoteEndOf(String(data[1]), '127.0.0.1'), 'controlling');
  return peer;
}

describe('an RTMP URL of the seed', () => {
  const CONNECT_PARAMS = 'live?connectParam1=val1&connectParam2=val2';
  const STREAM = 'stream1?streamParam1=val1&streamParam2=val2';

  it('reaches the backend when it is published and when it is played, field by field and in order', async () => {
    await using rig = await startHookRig();
    const { backend, app } = rig;
    const port = app.ports['rtmp.port']!;
    await using encoder = await RtmpTestClient.publishing(port, STREAM, CONNECT_PARAMS);
    sendMedia(encoder);
    await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
    await using player = await RtmpTestClient.playing(port, STREAM, CONNECT_PARAMS);

    expect(backend.requests.map(({ path }) => path)).toContain('/my-app/publishStream');
    for (const connect of backend.bodies('connect')) expect(withoutOwn(connect)).toEqual(Object.entries(SEED.connect));
    const [published] = backend.bodies('publishStream');
    const [played] = backend.bodies('playStream');
    expect(withoutOwn(published)).toEqual(Object.entries(SEED.publishStream));
    expect(withoutOwn(played)).toEqual(Object.entries(SEED_PLAY));

    const sessionIds = [encoder, player].map(({ endpoint }) => `/${endpoint}/127.0.0.1:${port}`);
    expect(backend.bodies('connect')).toMatchObject(sessionIds.map((sessionId) => ({ sessionId })));
    expect(published).toMatchObject({ sessionId: sessionIds[0], mediaSessionId: expect.stringMatching(UUID) });
    expect(played).toMatchObject({ sessionId: sessionIds[1], mediaSessionId: `stream1${sessionIds[1]}` });
    for (const { login } of backend.bodies('connect')) expect(login).toMatch(LOGIN);
    const nodeIds = new Set(backend.requests.map(({ body }) => body['nodeId']));
    expect([...nodeIds]).toEqual([expect.stringMatching(NODE_ID)]);
  });

  it('with rtmp_use_stream_params_as_connection gives its stream parameters to connect', async () => {
    await using rig = await startHookRig({ rtmp_use_stream_params_as_connection: 'true' });
    await using encoder = await RtmpTestClient.publishing(rig.app.ports['rtmp.port']!, 'test?auth=key');
    expect(encoder.isClosed).toBe(false);
    expect(rig.backend.bodies('connect')).toMatchObject([{ custom: { auth: 'key' } }]);
    const [published] = rig.backend.bodies('publishStream');
    expect(published).toMatchObject({ name: 'test' });
    expect(published).not.toHaveProperty('custom');
  });

  it('without parameters has no custom, and a login and an appKey of the client stand', async () => {
    await using rig = await startHookRig();
    const port = rig.app.ports['rtmp.port']!;
    await using client = await RtmpTestClient.open(port);
    const identity = amfObject({ login: 'ann', appKey: 'defaultApp' });
    await client.ask('connect', connectObject(port, 'live'), identity);
    const [connect] = rig.backend.bodies('connect');
    expect(connect).toMatchObject({ login: 'ann', appKey: 'defaultApp' });
    expect(connect).not.toHaveProperty('custom');
  });
});

describe('the whole life', () => {
  it('of a publishing page is told in the order of WCS', async () => {
    await using rig = await startHookRig({ ip: '127.0.0.1' });
    const page = await establishedPage(rig);
    const peer = await publishOverWebrtc(page, 'test');
    expect(await page.status()).toMatchObject({ status: 'PUBLISHING' });
    page.send('unPublishStream', { mediaSessionId: 'P1', name: 'test' });
    expect(await page.status()).toMatchObject({ status: 'UNPUBLISHED' });
    peer.close();
    page.socket.close();
    await expect.poll(() => rig.backend.story.at(-1), WAIT).toBe('ConnectionStatusEvent DISCONNECTED');
    expect(rig.backend.story).toEqual([
      'connect',
      'ConnectionStatusEvent ESTABLISHED',
      'publishStream',
      'StreamStatusEvent PENDING',
      'StreamStatusEvent PUBLISHING',
      'unPublishStream',
      'StreamStatusEvent UNPUBLISHED: Stopped by publisher stop',
      'ConnectionStatusEvent DISCONNECTED',
    ]);
    const [connect] = rig.backend.bodies('connect');
    const { nodeId, sessionId } = connect!;
    const who = { nodeId, appKey: 'defaultApp', sessionId };
    const stream = { mediaSessionId: 'P1', name: 'test', published: true, hasVideo: true, hasAudio: true };
    const none = { width: 0, height: 0, bitrate: 0, minBitrate: 0, maxBitrate: 0, quality: 0 };
    const given = { mediaProvider: 'WebRTC', custom: { token: 'x' }, sdp: expect.stringContaining('m=audio') };
    expect(rig.backend.bodies('publishStream')).toEqual([
      {
        ...who,
        ...stream,
        status: 'NEW',
        record: false,
        ...none,
        ...given,
        transport: 'UDP',
        constraints: { audio: true, video: { width: 640 } },
      },
    ]);
    const [pending, publishing, unpublished] = rig.backend.bodies('StreamStatusEvent');
    const told = { ...who, ...stream, record: false, ...none, ...given, createDate: expect.any(Number) };
    expect(pending).toEqual({ ...told, status: 'PENDING' });
    const codecs = { audioCodec: 'opus', videoCodec: 'VP8' };
    expect(publishing).toEqual({ ...told, ...codecs, status: 'PUBLISHING' });
    expect(unpublished).toEqual({ ...told, ...codecs, status: 'UNPUBLISHED', info: 'Stopped by publisher stop' });
    expect(connect).toMatchObject({ origin: ORIGIN });
    const [established, disconnected] = rig.backend.bodies('ConnectionStatusEvent');
    expect(established).toEqual({ ...connect, authToken: connect!['sessionId'], status: 'ESTABLISHED' });
    expect(disconnected).toEqual({ ...established, status: 'DISCONNECTED' });
  });

  it('of an encoder and a player is told as well, and what is left of it when the server stops', async () => {
    const rig = await startHookRig();
    const { backend, app } = rig;
    const port = app.ports['rtmp.port']!;
    const encoder = await RtmpTestClient.publishing(port, 'test');
    sendMedia(encoder, 4);
    await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
    const player = await RtmpTestClient.playing(port, 'test');
    await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PLAYING');
    player.say('deleteStream', [null, 1]);
    await expect.poll(() => backend.story.at(-1), WAIT).toBe('StreamStatusEvent STOPPED: Stopped by user');
    await player.close();
    await expect.poll(() => backend.story.at(-1), WAIT).toBe('ConnectionStatusEvent DISCONNECTED');
    await rig[Symbol.asyncDispose]();
    await encoder.close();
    expect(backend.story).toEqual([
      'connect',
      'ConnectionStatusEvent ESTABLISHED',
      'publishStream',
      'StreamStatusEvent PENDING',
      'StreamStatusEvent PUBLISHING',
      'connect',
      'ConnectionStatusEvent ESTABLISHED',
      'playStream',
      'StreamStatusEvent PENDING',
      'StreamStatusEvent PLAYING',
      'stopStream',
      'StreamStatusEvent STOPPED: Stopped by user',
      'ConnectionStatusEvent DISCONNECTED',
      'StreamStatusEvent UNPUBLISHED: Stopped by session disconnect',
      'ConnectionStatusEvent DISCONNECTED',
    ]);
  });
});

describe('a refused connect', () => {
  it.each(['refuses with 403', 'answers 500', 'answers no JSON', 'closes the connection'] as const)(
    'closes a page and an RTMP client when the backend %s',
    async (trouble) => {
      await using rig = await startHookRig();
      rig.backend.answer = TROUBLES[trouble]!;
      const page = await openPage(rig);
      expect(await page.any()).toEqual({
        message: 'fail',
        data: [{ apiMethod: 'connect', info: 'Restricted access' }],
      });
      expect(await page.closed).toBe(1000);
      const port = rig.app.ports['rtmp.port']!;
      await using client = await RtmpTestClient.open(port);
      expect(await client.ask('connect', connectObject(port, 'live'))).toMatchObject({ name: '_error' });
      await client.closed;
      expect(rig.backend.story).toEqual(['connect', 'connect']);
      expect((await rig.app.rest('/rest-api/connection/find_all')).status).toBe(404);
    },
  );

  it('closes a page when the backend does not answer in rest_request_timeout', async () => {
    await using rig = await startHookRig({ rest_request_timeout: '1' });
    rig.backend.answer = () => {};
    const page = await openPage(rig);
    expect(await page.closed).toBe(1000);
    expect(rig.app.log()).toContain('"outcome":"timeout"');
  });

  it('closes a page whose appKey no application has', async () => {
    await using rig = await startHookRig();
    const page = await openPage(rig, { appKey: 'roomApp' });
    expect(await page.closed).toBe(1000);
    expect(rig.backend.requests).toEqual([]);
  });
});

describe('a refused stream', () => {
  it('ends with Restricted access where the session has FAIL, and goes on where it has LOG', async () => {
    await using rig = await startHookRig();
    const refusing = (rules: object): void => {
      const allow = withConfig(rules);
      rig.backend.answer = (response, request) =>
        /^(publish|play)Stream$/.test(request.method) ? json(response, {}, 403) : allow(response, request);
    };
    refusing({ publishStream: FAIL, playStream: FAIL });
    const strict = await establishedPage(rig);
    for (const method of ['publishStream', 'playStream']) {
      strict.send(method, { mediaSessionId: method, name: 'test', sdp: '' });
      expect(await strict.status()).toMatchObject({
        mediaSessionId: method,
        status: 'FAILED',
        info: 'Restricted access',
      });
    }
    const port = rig.app.ports['rtmp.port']!;
    await using encoder = await RtmpTestClient.connected(port);
    encoder.say('publish', [null, 'test', 'live'], 1);
    await encoder.status('NetStream.Publish.Denied');
    await encoder.closed;
    await using player = await RtmpTestClient.connected(port);
    player.say('play', [null, 'test'], 1);
    await player.status('NetStream.Play.Failed');
    await player.closed;

    refusing({});
    await using lenient = await RtmpTestClient.publishing(port, 'test');
    sendMedia(lenient);
    await expect.poll(() => rig.backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
    strict.socket.terminate();
  });

  it('is renamed by OVERWRITE', async () => {
    await using rig = await startHookRig();
    const allow = withConfig({ publishStream: { restPolicy: 'OVERWRITE', restOverwrite: 'name' } });
    rig.backend.answer = (response, request) =>
      request.method === 'publishStream'
        ? json(response, { ...request.body, name: 'renamed', record: true })
        : allow(response, request);
    const port = rig.app.ports['rtmp.port']!;
    await using encoder = await RtmpTestClient.publishing(port, 'mine');
    sendMedia(encoder);
    await expect.poll(() => rig.backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
    const found = await rig.app.rest('/rest-api/stream/find_all');
    expect(found.json()).toMatchObject([{ name: 'renamed', record: false }]);
  });

  it('is ended by 403 to its keep-alive event', async () => {
    await using rig = await startHookRig({
      keep_alive_streaming_sessions_enabled: 'true',
      streaming_sessions_keep_alive_interval: '1000',
      streaming_sessions_keep_alive_app_keys: 'flashStreamingApp',
    });
    const allow = withConfig({ StreamKeepAliveEvent: FAIL });
    rig.backend.answer = (response, request) =>
      request.method === 'StreamKeepAliveEvent' ? json(response, {}, 403) : allow(response, request);
    await using encoder = await RtmpTestClient.publishing(rig.app.ports['rtmp.port']!, 'test');
    sendMedia(encoder, 5);
    await encoder.closed;
    await expect.poll(() => rig.backend.story, WAIT).toContain('StreamStatusEvent FAILED: Terminated by keep-alive');
    expect(rig.backend.bodies('StreamKeepAliveEvent')[0]).toMatchObject({ name: 'test', status: 'PUBLISHING' });
  });
});

it('a backend that hangs holds up no media, and only those who must wait for it', async () => {
  await using rig = await startHookRig();
  const port = rig.app.ports['rtmp.port']!;
  await using encoder = await RtmpTestClient.publishing(port, 'test');
  sendMedia(encoder);
  await expect.poll(() => rig.backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
  await using player = await RtmpTestClient.playing(port, 'test');
  await expect.poll(() => rig.backend.story, WAIT).toContain('StreamStatusEvent PLAYING');
  rig.backend.answer = () => {};
  const waiting = await openPage(rig);
  await expect.poll(() => rig.backend.story.at(-1), WAIT).toBe('connect');
  const before = player.count('video');
  sendMedia(encoder, 2, 1000);
  await player.until(() => player.count('video') >= before + 50, 'two seconds of pictures');
  expect(await rig.app.rest('/rest-api/connection/find_all')).toMatchObject({ status: 200 });
  waiting.socket.terminate();
});

it('data that an operator sends reaches the page and its backend', async () => {
  await using rig = await startHookRig();
  const page = await establishedPage(rig);
  const [{ sessionId } = {}] = rig.backend.bodies('connect');
  const data = { operationId: 'op', payload: { a: 1 } };
  const { status, text } = await rig.app.rest('/rest-api/data/send', { nodeId: 'n', sessionId, ...data });
  expect([status, text]).toEqual([200, '']);
  expect((await page.next('OnDataEvent')).data).toEqual([data]);
  await expect.poll(() => rig.backend.bodies('OnDataEvent'), WAIT).toMatchObject([{ sessionId, ...data }]);
});

it('data that the backend of a page forbids is 403 for who sends it, with FAIL', async () => {
  await using rig = await startHookRig();
  rig.backend.answer = withConfig({ OnDataEvent: { restOnError: 'FAIL' } });
  const page = await establishedPage(rig);
  const [{ sessionId } = {}] = rig.backend.bodies('connect');
  rig.backend.answer = (response, request) => json(response, {}, request.body['operationId'] === 'bad' ? 403 : 200);
  const send = (operationId: string) => rig.app.rest('/rest-api/data/send', { sessionId, operationId, payload: 1 });
  expect((await send('bad')).status).toBe(403);
  expect((await send('good')).status).toBe(200);
  expect((await page.next('OnDataEvent')).data).toEqual([{ operationId: 'good', payload: 1 }]);
  page.socket.terminate();
});

it('requests are signed with rest_hook_secret_key, which is in no log', async () => {
  const secret = 'canary-hook-secret';
  await using rig = await startHookRig({ rest_hook_send_hash: 'true', rest_hook_secret_key: secret });
  rig.backend.answer = (response, request) =>
    request.method === 'connect' ? mirror(response, request) : json(response, {}, 500);
  const page = await establishedPage(rig);
  page.send('submitBugReport', { text: 'ÄÖÜ €' });
  await expect.poll(() => rig.backend.story, WAIT).toContain('submitBugReport');
  for (const { raw, headers } of rig.backend.requests) {
    expect(headers.authorization).toBe(`WCS ${createHmac('md5', secret).update(raw).digest('hex')}`);
  }
  expect(rig.app.log()).not.toContain(secret);
  page.socket.terminate();
});

it('metrics count hooks by method and outcome, and how long they take', async () => {
  await using rig = await startHookRig();
  const page = await establishedPage(rig);
  await expect.poll(() => rig.backend.story, WAIT).toContain('ConnectionStatusEvent ESTABLISHED');
  rig.backend.answer = TROUBLES['refuses with 403']!;
  page.send('availableStream', { mediaSessionId: 'x', name: 'none' });
  await page.next('availableStream');
  const response = await fetch(`http://127.0.0.1:${rig.app.ports['http.port']}/metrics`);
  const text = await response.text();
  expect(text).toContain('transponder_hook_requests_total{method="connect",outcome="ok"} 1');
  expect(text).toContain('transponder_hook_requests_total{method="availableStream",outcome="refused"} 1');
  expect(text).toContain('transponder_hook_duration_seconds_count{method="connect"} 1');
  page.socket.terminate();
});

it('EchoApp of this server may be the backend of another application', async () => {
  await using echo = await startHookRig();
  const url = `http://127.0.0.1:${echo.app.ports['http.port']}/apps/EchoApp`;
  await using rig = await startHookRig({}, { url });
  const page = await establishedPage(rig);
  expect(rig.backend.requests).toEqual([]);
  page.socket.terminate();
});

it('the backend in the manual lets its stream be published with the key, and no other', async () => {
  const manual = await readFile(new URL('../../docs/hooks.md', import.meta.url), 'utf8');
  const program = /```js\n(.*?)```/s.exec(manual)![1]!;
  const port = await freePort();
  await using started = new AsyncDisposableStack();
  const child = execa('node', ['--input-type=module', '-'], {
    preferLocal: true,
    input: program,
    env: { PORT: String(port) },
    reject: false,
  });
  started.defer(async () => {
    child.kill();
    await child;
  });
  const url = `http://127.0.0.1:${port}`;
  await expect.poll(() => fetch(url, { method: 'POST', body: '{}' }).then((answer) => answer.status), WAIT).toBe(200);
  await using rig = await startHookRig({}, { url });
  const rtmpPort = rig.app.ports['rtmp.port']!;
  await using allowed = await RtmpTestClient.publishing(rtmpPort, 'stream1?key=secret');
  for (const name of ['stream1?key=wrong', 'stream2?key=secret', 'stream1']) {
    await using refused = await RtmpTestClient.connected(rtmpPort);
    refused.say('publish', [null, name, 'live'], 1);
    await refused.status('NetStream.Publish.Denied');
  }
  expect(allowed.isClosed).toBe(false);
});

it('the node id is that of the data directory: it survives a restart', async () => {
  await using rig = await startHookRig();
  const dataDirectory = rig.app.directory;
  const page = await establishedPage(rig);
  page.socket.terminate();
  const again = await readNodeId(`${dataDirectory}/data`, '203.0.113.7');
  const [random] = String(rig.backend.requests[0]!.body['nodeId']).split('@');
  expect(again).toBe(`${random}@203.0.113.7`);
});
