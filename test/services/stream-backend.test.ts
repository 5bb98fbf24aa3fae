import type { SessionKind } from '../../src/services/backend.ts';
import { describe, expect, it } from 'vitest';
import type { BackendAnswer } from '../../src/services/backend.ts';
import { streamFixture, type StreamFixture, VIEWER, webrtcPlay, webrtcPublish } from './stream-fixture.ts';

/** Fields in the order in which the backend gets them. */
function fieldsOf(body: object): string[] {
  return Object.keys(JSON.parse(JSON.stringify(body)) as object);
}

const SEED_FIELDS = [
  'mediaSessionId',
  'name',
  'published',
  'hasVideo',
  'hasAudio',
  'status',
  'record',
  'width',
  'height',
  'bitrate',
  'minBitrate',
  'maxBitrate',
  'quality',
  'mediaProvider',
  'custom',
];

async function publishing(fixture: StreamFixture, kind: SessionKind = 'rtmp') {
  const client = await fixture.client(kind);
  await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'test' });
  fixture.publications[0]!.options.onLive({ video: { codec: 'h264' }, audio: { codec: 'aac' } });
  return client;
}

describe('the backend is asked', () => {
  it('about RTMP publishers and players with the fields of the seed, in its order', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    const custom = { streamParam1: 'val1', streamParam2: 'val2' };
    await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P2', name: 'stream1', custom });
    const request = { mediaSessionId: 'V1', name: 'test', custom, suppressSound: false };
    await fixture.rtmpStreams.play(client.session, request, VIEWER);
    const [, , publish, play] = fixture.backend.asked;
    expect(publish!.operation).toBe('publishStream');
    expect(fieldsOf(publish!.body)).toEqual(SEED_FIELDS);
    expect(publish!.body).toMatchObject({
      mediaSessionId: 'P2',
      name: 'stream1',
      published: true,
      hasVideo: false,
      hasAudio: true,
      status: 'NEW',
      mediaProvider: 'Flash',
      custom,
    });
    expect(play!.operation).toBe('playStream');
    expect(fieldsOf(play!.body)).toEqual(SEED_FIELDS);
    expect(play!.body).toMatchObject({ published: false, hasVideo: true, hasAudio: true, status: 'NEW', custom });
  });

  it('about pages with what they sent, description included', async () => {
    const fixture = streamFixture();
    const page = await fixture.client('websocket');
    const said = {
      custom: { a: [1] },
      maxBitrate: 800,
      constraints: { video: { width: 640 } },
      cvoExtension: true,
      localMediaInfo: { devices: { video: [] } },
    };
    await fixture.webrtcStreams.publish(page.session, { ...webrtcPublish('W1'), ...said });
    expect(fixture.backend.asked[1]).toMatchObject({
      operation: 'publishStream',
      body: { mediaSessionId: 'W1', mediaProvider: 'WebRTC', sdp: 'offer', ...said },
    });
  });

  it('before a name is taken: two that ask at once compete only when they have the answer', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    const slow = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = (_, body) => ('name' in body && body.name === 'slow' ? slow.promise : { allowed: true });
    const first = fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'slow' });
    expect(fixture.names.holderOf('slow')).toBeUndefined();
    expect(fixture.streams.find()).toMatchObject([{ status: 'NEW' }]);
    slow.resolve({ allowed: true, overwrite: { name: 'other' } });
    await first;
    expect(fixture.names.holderOf('slow')).toBeUndefined();
    expect(fixture.names.holderOf('other')).toBe('P1');
  });

  it('and what it refuses is FAILED, Restricted access, before any media is touched', async () => {
    const fixture = streamFixture();
    const [client, page] = [await publishing(fixture), await fixture.client('websocket')];
    fixture.backend.answer = () => ({ allowed: false });
    await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P2', name: 'b' });
    await fixture.rtmpStreams.play(
      client.session,
      { mediaSessionId: 'V1', name: 'test', suppressSound: false },
      VIEWER,
    );
    await fixture.webrtcStreams.play(page.session, webrtcPlay('W1'));
    await fixture.streams.available(page.session, { mediaSessionId: 'A1', name: 'test' });
    expect(client.statuses.slice(1)).toEqual(['P2 FAILED: Restricted access', 'V1 FAILED: Restricted access']);
    expect(page.statuses).toEqual(['W1 FAILED: Restricted access']);
    expect(page.sent.at(-1)).toEqual({
      name: 'availableStream',
      id: 'A1',
      available: false,
      info: 'Restricted access',
    });
    expect(fixture.publications).toHaveLength(1);
    expect(fixture.playbacks).toEqual([]);
    expect(fixture.worker.played).toEqual([]);
  });

  it('and its answer changes nothing when the stream or the session has ended meanwhile', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = (operation) => (operation === 'publishStream' ? promise : { allowed: true });
    const terminated = fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'a' });
    fixture.streams.terminate({ mediaSessionId: 'P1' });
    const stopped = fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P2', name: 'b' });
    await fixture.streams.stop(client.session, 'P2', true);
    const disconnected = fixture.webrtcStreams.publish(client.session, webrtcPublish('P3', 'c'));
    fixture.sessions.close(client.session, 'closed by the client');
    resolve({ allowed: true, overwrite: { name: 'd' } });
    expect(await terminated).toBeUndefined();
    expect(await stopped).toBeUndefined();
    await disconnected;
    expect(client.statuses).toEqual([
      'P1 UNPUBLISHED: Stopped by rest /terminate',
      'P2 UNPUBLISHED: Stopped by publisher stop',
      'P3 UNPUBLISHED: Stopped by session disconnect',
    ]);
    for (const name of ['a', 'b', 'c', 'd']) expect(fixture.names.holderOf(name)).toBeUndefined();
    expect(fixture.publications).toEqual([]);
    expect(fixture.worker.published).toEqual([]);
    expect(fixture.clock.pendingTimers).toBe(0);
  });

  it('however long it thinks: the start timeout begins with its answer', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = () => promise;
    const asking = fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'a' });
    fixture.clock.advance(20_000);
    resolve({ allowed: true });
    expect(await asking).toBe(fixture.publications[0]);
    fixture.clock.advance(14_999);
    expect(client.statuses).toEqual([]);
    fixture.clock.advance(1);
    expect(client.statuses).toEqual(['P1 FAILED: Failed by RTP activity']);
  });

  it('once whether a stream may stop, which it then does unless that is forbidden', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = () => promise;
    const first = fixture.streams.stop(client.session, 'P1', true);
    await fixture.streams.stop(client.session, 'P1', true);
    const stops = () => fixture.backend.asked.filter(({ operation }) => operation === 'unPublishStream');
    expect(stops()).toMatchObject([{ body: { mediaSessionId: 'P1', status: 'PUBLISHING' } }]);
    expect(client.statuses).toEqual(['P1 PUBLISHING']);
    resolve({ allowed: false });
    await first;
    expect(client.statuses).toEqual(['P1 PUBLISHING']);
    const refusal = { apiMethod: 'unPublishStream', mediaSessionId: 'P1', info: 'Restricted access' };
    expect(client.sent.at(-1)).toEqual({ name: 'fail', ...refusal });
    fixture.backend.answer = () => ({ allowed: true });
    await fixture.streams.stop(client.session, 'P1', true);
    expect(stops()).toHaveLength(2);
    expect(client.statuses.at(-1)).toBe('P1 UNPUBLISHED: Stopped by publisher stop');
  });

  it('about a stop in vain where the media ends first', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = () => promise;
    const stopping = fixture.streams.stop(client.session, 'P1', true);
    fixture.publications[0]!.options.onEnd('idle');
    const sent = client.sent.length;
    resolve({ allowed: false });
    await stopping;
    expect(client.statuses.at(-1)).toBe('P1 FAILED: Failed by RTP activity');
    expect(client.sent).toHaveLength(sent);
  });
});

describe('the backend replaces', () => {
  it('name, record, rtmpUrl and custom of a publisher before anything is done with them', async () => {
    const fixture = streamFixture();
    const page = await fixture.client('websocket');
    const overwrite = { name: 'renamed', record: true, rtmpUrl: 'rtmp://h/live/k', custom: { by: 'backend' } };
    fixture.backend.answer = () => ({ allowed: true, overwrite });
    const published: object[] = [];
    fixture.streams.onPublished((stream) => published.push(stream));
    await fixture.webrtcStreams.publish(page.session, { ...webrtcPublish('W1'), custom: { by: 'client' } });
    fixture.worker.connect('W1');
    expect(published).toMatchObject([{ name: 'renamed', record: true, rtmpUrl: 'rtmp://h/live/k' }]);
    expect(fixture.inHub.get('W1')).toBe('renamed');
    expect(page.sent.at(-1)).toMatchObject({ stream: { name: 'renamed', record: true } });
    expect(fixture.backend.told.at(-1)!.body).toMatchObject({ name: 'renamed', custom: { by: 'backend' } });
    fixture.streams.terminate({ name: 'renamed' });
    expect(fixture.names.holderOf('renamed')).toBeUndefined();
  });

  it('what a player plays, and nothing of a player that only publishers have', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    const overwrite = { name: 'test', record: true, rtmpUrl: 'rtmp://h/live/k' };
    fixture.backend.answer = () => ({ allowed: true, overwrite });
    const request = { mediaSessionId: 'V1', name: 'public name', suppressSound: false };
    await fixture.rtmpStreams.play(client.session, request, VIEWER);
    expect(fixture.playbacks[0]!.options.name).toBe('test');
    expect(fixture.streams.find({ published: false })).toMatchObject([{ name: 'test', record: false }]);
  });

  it.each([
    ['values of other types', { name: 7, record: 'true', rtmpUrl: {}, custom: 'x' }],
    ['nothing and lists', { name: '', record: null, rtmpUrl: '', custom: [1] }],
    ['control characters', { name: 'a\u0000b', rtmpUrl: 'rtmp://h/\r\n' }],
    ['fields that are not to be replaced', { mediaSessionId: 'P9', status: 'FAILED', published: false, session: {} }],
    ['endless texts', { name: 'x'.repeat(1025), rtmpUrl: 'x'.repeat(4097) }],
  ])('nothing by %s', async (_, overwrite) => {
    const fixture = streamFixture();
    const client = await fixture.client();
    fixture.backend.answer = () => ({ allowed: true, overwrite });
    const custom = { a: 'b' };
    await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'test', custom });
    expect(fixture.names.holderOf('test')).toBe('P1');
    expect(fixture.streams.find()).toMatchObject([{ mediaSessionId: 'P1', record: false, status: 'PENDING' }]);
    expect(fixture.backend.told.at(-1)!.body).toMatchObject({ name: 'test', custom });
    fixture.publications[0]!.options.onLive({});
    expect(client.statuses).toEqual(['P1 PUBLISHING']);
  });
});

describe('the backend is told', () => {
  it('the whole life of a session and its stream in order, PENDING included, which clients do not see', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    await fixture.streams.stop(client.session, 'P1', true);
    fixture.sessions.close(client.session, 'closed by the client');
    expect(fixture.backend.story).toEqual([
      'ConnectionStatusEvent ESTABLISHED',
      'StreamStatusEvent PENDING',
      'StreamStatusEvent PUBLISHING',
      'StreamStatusEvent UNPUBLISHED: Stopped by publisher stop',
      'ConnectionStatusEvent DISCONNECTED',
    ]);
    expect(client.statuses).toEqual(['P1 PUBLISHING', 'P1 UNPUBLISHED: Stopped by publisher stop']);
    expect(fixture.backend.gone).toEqual([client.session.sessionId]);
  });

  it('of the end of streams before the end of their session', async () => {
    const fixture = streamFixture();
    const client = await publishing(fixture);
    fixture.sessions.close(client.session, 'closed by the client');
    expect(fixture.backend.story.slice(-2)).toEqual([
      'StreamStatusEvent UNPUBLISHED: Stopped by session disconnect',
      'ConnectionStatusEvent DISCONNECTED',
    ]);
  });

  it('and ends a stream by denying one of its statuses; a denied end changes nothing', async () => {
    const fixture = streamFixture();
    fixture.backend.verdict = (event, { status }) =>
      event === 'StreamStatusEvent' && status !== 'PENDING' ? 'denied' : 'ok';
    const client = await publishing(fixture);
    await expect.poll(() => client.statuses).toHaveLength(2);
    expect(client.statuses).toEqual(['P1 PUBLISHING', 'P1 FAILED: Restricted access']);
    expect(fixture.publications[0]!.closed).toEqual(['Restricted access']);
  });

  it('while media goes on: nobody waits for its verdict, and a late one hits nobody', async () => {
    const fixture = streamFixture();
    const { promise, resolve } = Promise.withResolvers<'denied'>();
    fixture.backend.verdict = () => promise;
    const client = await publishing(fixture);
    expect(fixture.streams.find()).toMatchObject([{ status: 'PUBLISHING' }]);
    await fixture.streams.stop(client.session, 'P1', true);
    resolve('denied');
    await expect.poll(() => client.closed).toEqual(['refused']);
    expect(client.statuses).toEqual(['P1 PUBLISHING', 'P1 UNPUBLISHED: Stopped by publisher stop']);
  });

  it('all, of which clients see what they may', async () => {
    const fixture = streamFixture();
    fixture.backend.hidden = ['name', 'payload'];
    const client = await publishing(fixture, 'websocket');
    await fixture.sessions.sendData(client.session.sessionId, 'op', { secret: 1 });
    const [status, data] = client.sent;
    expect(status).toMatchObject({ name: 'notifyStreamStatusEvent', stream: { mediaSessionId: 'P1' } });
    expect(status).not.toHaveProperty('stream.name');
    expect(data).toEqual({ name: 'OnDataEvent', operationId: 'op' });
    expect(fixture.backend.told.at(-1)).toMatchObject({ event: 'StreamStatusEvent', body: { name: 'test' } });
    expect(fixture.backend.asked.at(-1)).toEqual({
      operation: 'OnDataEvent',
      body: { operationId: 'op', payload: { secret: 1 } },
    });
  });

  it('about data for a client, which does not get it when it has gone meanwhile', async () => {
    const fixture = streamFixture();
    const client = await fixture.client('websocket');
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    fixture.backend.answer = () => promise;
    const said = fixture.sessions.sendData(client.session.sessionId, 'op', {}).catch((error: unknown) => error);
    fixture.sessions.close(client.session, 'closed by the client');
    resolve({ allowed: true });
    expect(await said).toMatchObject({ code: 'SESSION_NOT_FOUND' });
    expect(client.sent).toEqual([]);
  });
});

describe('the end of a session', () => {
  it('is brought about by a backend that denies that it is established', async () => {
    const fixture = streamFixture();
    fixture.backend.verdict = (event) => (event === 'ConnectionStatusEvent' ? 'denied' : 'ok');
    const client = await fixture.client();
    await expect.poll(() => client.closed).toEqual(['refused']);
  });

  it('tells the backend nothing of a client that was not let in but that it is gone', async () => {
    const fixture = streamFixture();
    fixture.backend.answer = () => ({ allowed: false });
    await expect(fixture.client()).rejects.toThrow('not let in');
    expect(fixture.backend.told).toEqual([]);
    expect(fixture.backend.gone).toHaveLength(1);
  });
});

it('an RTMP client is introduced with the fields of the seed, a page with what it says of itself', async () => {
  const fixture = streamFixture();
  const custom = { connectParam1: 'val1' };
  await fixture.client('rtmp', { custom, login: 'rQq83sodiCPY0pJXCxGO' });
  await fixture.client('websocket', { mediaProviders: ['WebRTC'], clientVersion: '2.0', custom });
  const [rtmp, page] = fixture.backend.asked.map(({ body }) => body);
  const TUNNEL = ['useWsTunnel', 'useWsTunnelPacketization2', 'useBase64BinaryEncoding'];
  expect(fieldsOf(rtmp!)).toEqual([...TUNNEL, 'keepAlive', 'custom', 'login']);
  expect(rtmp).toMatchObject({ useWsTunnel: false, keepAlive: false, custom, login: 'rQq83sodiCPY0pJXCxGO' });
  expect(fieldsOf(page!)).toEqual([
    ...TUNNEL,
    'mediaProviders',
    'clientVersion',
    'clientOSVersion',
    'clientBrowserVersion',
    'keepAlive',
    'custom',
  ]);
  const established = fixture.backend.told[0]!.body;
  expect(established).toMatchObject({ ...rtmp, authToken: '/127.0.0.1:5001/192.168.1.1:1935', status: 'ESTABLISHED' });
});
