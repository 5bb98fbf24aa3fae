import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppError, type ErrorCode } from '../../../src/domain/errors.ts';
import type { Snapshots } from '../../../src/edges/signalling/dispatch.ts';
import type { PublishedStream, UnpublishedStream } from '../../../src/services/streams.ts';
import type { PlayerRenditions } from '../../../src/services/webrtc-streams.ts';
import type { MediaEndReason } from '../../../src/webrtc/media-worker.ts';
import { type Client, type Harness, startHarness } from './harness.ts';

let harness: Harness;
afterEach(() => harness.close());

const RATE = { videoRateBps: 704_856, fps: 31, nack: 0, pli: 1, lostPackets: 2, width: 640, height: 360 };

function publishRequest(mediaSessionId: string, name = 'test') {
  return {
    mediaSessionId,
    name,
    published: true,
    hasVideo: true,
    hasAudio: true,
    status: 'PENDING',
    record: false,
    mediaProvider: 'WebRTC',
    sdp: `offer of ${mediaSessionId}`,
    bitrate: 0,
    minBitrate: '0',
    maxBitrate: '0',
  };
}

function playRequest(mediaSessionId: string, name = 'test') {
  return { ...publishRequest(mediaSessionId, name), published: false, width: '0', height: 0, quality: '0' };
}

async function publish(client: Client, mediaSessionId: string, name = 'test'): Promise<void> {
  client.send('publishStream', publishRequest(mediaSessionId, name));
  await client.next('setRemoteSDP');
  harness.worker.connect(mediaSessionId);
  expect(await client.status()).toMatchObject({ mediaSessionId, status: 'PUBLISHING' });
}

async function play(client: Client, mediaSessionId: string, name = 'test'): Promise<void> {
  client.send('playStream', playRequest(mediaSessionId, name));
  await client.next('setRemoteSDP');
  harness.worker.connect(mediaSessionId);
  expect(await client.status()).toMatchObject({ mediaSessionId, status: 'PLAYING' });
}

/** The status object of the seed, as text, so that the order of the fields counts. */
function seedStatus(fields: {
  mediaSessionId: string;
  published: boolean;
  status: string;
  info?: string;
  width?: number;
  height?: number;
}): string {
  const { mediaSessionId, published, status, info, width = 0, height = 0 } = fields;
  return JSON.stringify({
    message: 'notifyStreamStatusEvent',
    data: [
      {
        mediaSessionId,
        name: 'test',
        published,
        hasVideo: true,
        hasAudio: true,
        status,
        audioCodec: 'opus',
        videoCodec: 'H264',
        info,
        record: false,
        width,
        height,
        bitrate: 0,
        minBitrate: 0,
        maxBitrate: 0,
        quality: 0,
        createDate: 1_800_000_000_000,
        streaminfo: {
          nodeId: null,
          appKey: null,
          sessionId: null,
          mediaSessionId,
          name: 'test',
          samplingTime: null,
          recordTimestamp: null,
          recordStarted: false,
        },
        mediaProvider: 'WebRTC',
      },
    ],
  });
}

describe('publishing', () => {
  it('goes as in the seed: answer, PUBLISHING, UNPUBLISHED with the size of the picture', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('publishStream', publishRequest('P1'));
    expect(await client.any()).toEqual({ message: 'setRemoteSDP', data: ['P1', 'answer', true] });
    expect(harness.worker.published).toEqual([
      { sessionId: 'P1', offerSdp: 'offer of P1', transport: 'UDP', maxBitrateKbps: 0 },
    ]);
    harness.worker.connect('P1');
    expect(JSON.stringify(await client.any())).toBe(
      seedStatus({ mediaSessionId: 'P1', published: true, status: 'PUBLISHING' }),
    );
    harness.worker.emit({ type: 'videoFormat', streamId: 'P1', width: 320, height: 240 });
    client.send('unPublishStream', { mediaSessionId: 'P1', name: 'test' });
    expect(JSON.stringify(await client.any())).toBe(
      seedStatus({
        mediaSessionId: 'P1',
        published: true,
        status: 'UNPUBLISHED',
        info: 'Stopped by publisher stop',
        width: 320,
        height: 240,
      }),
    );
    expect(harness.worker.closed).toEqual(['P1']);
    expect(harness.clock.pendingTimers).toBe(1);
  });

  it('understands numbers and booleans as texts, and TCP', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const wishes = { maxBitrate: '800', minBitrate: 'x', record: 'true', transport: 'TCP', rtmpUrl: 'rtmp://h/live/k' };
    const published = vi.fn<(stream: PublishedStream) => void>();
    harness.streams.onPublished(published);
    client.send('publishStream', { ...publishRequest('P1'), ...wishes });
    await client.next('setRemoteSDP');
    expect(harness.worker.published[0]).toMatchObject({ transport: 'TCP', maxBitrateKbps: 800 });
    harness.worker.connect('P1');
    expect(await client.status()).toMatchObject({ record: true, maxBitrate: 800, minBitrate: 0 });
    expect(published).toHaveBeenCalledExactlyOnceWith({
      name: 'test',
      mediaSessionId: 'P1',
      sessionId: harness.sessions.find()[0]?.sessionId,
      appKey: 'defaultApp',
      record: true,
      rtmpUrl: 'rtmp://h/live/k',
      video: { codec: 'h264' },
      audio: { codec: 'opus' },
    });
  });

  it('fails for a second publisher of a live name, and succeeds when the first has stopped', async () => {
    harness = await startHarness();
    const [first, second] = [await harness.connect(), await harness.connect()];
    await publish(first, 'P1');
    second.send('publishStream', publishRequest('P2'));
    expect(await second.status()).toMatchObject({
      mediaSessionId: 'P2',
      status: 'FAILED',
      info: 'Stream name is already in use',
    });
    first.send('unPublishStream', { mediaSessionId: 'P1' });
    await first.status();
    await publish(second, 'P3');
  });

  it.each([
    ['MediaSessionId is null', { mediaSessionId: undefined }],
    ['MediaSessionId is null', { mediaSessionId: 'a\r\nb' }],
    ['Failed by error', { name: '' }],
    ['MediaSessionId is already in use', { mediaSessionId: 'P1', name: 'other' }],
  ])('fails with "%s"', async (info, change) => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1', 'first');
    client.send('publishStream', { ...publishRequest('P2'), ...change });
    expect(await client.status()).toMatchObject({ status: 'FAILED', info });
    expect(harness.streams.find()).toHaveLength(1);
  });

  it.each([
    ['NO_COMMON_CODECS', 'No common codecs'],
    ['BAD_SDP', 'Failed to add stream to proxy'],
    ['INTERNAL', 'Failed by error'],
  ] satisfies [ErrorCode, string][])('tells a refusal of the media worker: %s', async (code, info) => {
    harness = await startHarness();
    const client = await harness.connect();
    harness.worker.refusal = new AppError(code, 'refused');
    client.send('publishStream', publishRequest('P1'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info });
    harness.worker.refusal = undefined;
    await publish(client, 'P1');
  });

  it.each([
    ['ice_timeout', 'FAILED', 'Failed by ICE timeout'],
    ['ice_keep_alive', 'FAILED', 'Failed by ICE keep alive'],
    ['dtls_fingerprint', 'FAILED', 'Failed by DTLS fingerprint error'],
    ['dtls_error', 'FAILED', 'Failed by DTLS error'],
    ['rtp_activity', 'FAILED', 'Failed by RTP activity'],
    ['closed', 'FAILED', 'Failed by error'],
    ['remote_closed', 'UNPUBLISHED', 'Stopped by publisher stop'],
  ] satisfies [MediaEndReason, string, string][])('ends by %s with %s, %s', async (reason, status, info) => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    harness.worker.end('P1', reason);
    expect(await client.status()).toMatchObject({ status, info });
    client.send('unPublishStream', { mediaSessionId: 'P1' });
    expect(await client.flush()).toEqual([]);
    expect(harness.names.holderOf('test')).toBeUndefined();
  });

  it('fails within the start timeout when media never connects, and lets the worker go', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('publishStream', publishRequest('P1'));
    await client.next('setRemoteSDP');
    harness.clock.advance(14_999);
    expect(harness.streams.find()).toHaveLength(1);
    harness.clock.advance(1);
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Failed by ICE timeout' });
    expect(harness.worker.closed).toEqual(['P1']);
  });

  it('fails within the start timeout when the worker does not answer, and closes what comes late', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const { promise, resolve } = Promise.withResolvers<void>();
    harness.worker.gate = promise;
    client.send('publishStream', publishRequest('P1'));
    await expect.poll(() => harness.worker.published).toHaveLength(1);
    harness.clock.advance(15_000);
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Failed by ICE timeout' });
    client.send('publishStream', publishRequest('P1'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'MediaSessionId is already in use' });
    resolve();
    await expect.poll(() => harness.worker.closed).toEqual(['P1', 'P1']);
    expect(harness.worker.open.size).toBe(0);
    expect(await client.flush()).toEqual([]);
    await publish(client, 'P1');
  });

  it('is restricted when the backend says so, before the worker is asked', async () => {
    harness = await startHarness({
      backend: { ask: (_session, operation) => Promise.resolve({ allowed: operation === 'connect' }) },
    });
    const client = await harness.connect();
    client.send('publishStream', publishRequest('P1'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Restricted access' });
    client.send('playStream', playRequest('V1'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Restricted access' });
    client.send('availableStream', { mediaSessionId: 'A1', name: 'test' });
    expect(await client.any()).toEqual({
      message: 'availableStream',
      data: [{ status: 'false', info: 'Restricted access', id: 'A1' }],
    });
    client.send('sendData', { operationId: 'op', payload: {} });
    expect((await client.any()).data).toEqual([{ operationId: 'op', status: 'FAILED', info: 'Restricted access' }]);
    expect(harness.worker.published).toEqual([]);
  });

  it('frees the name at once when the socket is lost', async () => {
    harness = await startHarness();
    const [first, second] = [await harness.connect(), await harness.connect()];
    const unpublished = vi.fn<(stream: UnpublishedStream) => void>();
    harness.streams.onUnpublished(unpublished);
    await publish(first, 'P1');
    first.socket.terminate();
    await expect.poll(() => unpublished).toHaveBeenCalledOnce();
    expect(unpublished).toHaveBeenCalledWith({
      name: 'test',
      mediaSessionId: 'P1',
      status: 'UNPUBLISHED',
      info: 'Stopped by session disconnect',
    });
    await publish(second, 'P2');
  });

  it('is brought to the others with what was agreed on, and taken from them at its end', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('publishStream', publishRequest('P1'));
    await client.next('setRemoteSDP');
    expect(harness.publishers.published).not.toHaveBeenCalled();
    harness.worker.connect('P1');
    expect(harness.publishers.published).toHaveBeenCalledExactlyOnceWith({
      name: 'test',
      mediaSessionId: 'P1',
      video: { codec: 'h264' },
      audio: { codec: 'opus' },
    });
    await client.status();
    await play(client, 'V1');
    harness.worker.end('V1', 'remote_closed');
    expect(harness.publishers.unpublished).not.toHaveBeenCalled();
    harness.worker.end('P1', 'rtp_activity');
    expect(harness.publishers.unpublished).toHaveBeenCalledExactlyOnceWith('P1', 'Failed by RTP activity');
  });

  it('fails where the others have a stream of that name already, which then stays', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    harness.publishers.published.mockImplementation(() => {
      throw new AppError('STREAM_NAME_IN_USE', 'taken');
    });
    client.send('publishStream', publishRequest('P1'));
    await client.next('setRemoteSDP');
    harness.worker.connect('P1');
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Stream name is already in use' });
    expect(harness.worker.closed).toEqual(['P1']);
  });

  it('belongs to its session: nobody else can stop it or speak for it', async () => {
    harness = await startHarness();
    const [owner, other] = [await harness.connect(), await harness.connect()];
    await publish(owner, 'P1');
    other.send('unPublishStream', { mediaSessionId: 'P1', name: 'test' });
    other.send('stopStream', { mediaSessionId: 'P1', name: 'test' });
    other.send('sendStreamEvent', { mediaSessionId: 'P1', type: 'audioMuted' });
    await other.flush();
    owner.send('stopStream', { mediaSessionId: 'P1' });
    expect(await owner.flush()).toEqual([]);
    expect(harness.streams.find({ name: 'test' })).toMatchObject([{ status: 'PUBLISHING' }]);
  });

  it('is limited in number for each session', async () => {
    harness = await startHarness({ maxStreamsPerSession: 1 });
    const client = await harness.connect();
    await publish(client, 'P1', 'a');
    client.send('publishStream', publishRequest('P2', 'b'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'Failed by error' });
  });
});

describe('playing', () => {
  it('goes as in the seed: codec, answer, PLAYING, RESIZE, STOPPED', async () => {
    harness = await startHarness();
    const [publisher, player] = [await harness.connect(), await harness.connect()];
    await publish(publisher, 'P1');
    harness.worker.emit({ type: 'videoFormat', streamId: 'P1', width: 320, height: 240 });
    player.send('playStream', playRequest('V1'));
    expect(await player.any()).toEqual({ message: 'notifyAudioCodec', data: ['V1', { name: 'opus' }] });
    expect(await player.any()).toEqual({ message: 'setRemoteSDP', data: ['V1', 'answer', true] });
    expect(harness.worker.played).toEqual([
      { sessionId: 'V1', streamId: 'P1', offerSdp: 'offer of V1', transport: 'UDP' },
    ]);
    harness.worker.connect('V1');
    expect(JSON.stringify(await player.any())).toBe(
      seedStatus({ mediaSessionId: 'V1', published: false, status: 'PLAYING' }),
    );
    expect(JSON.stringify(await player.any())).toBe(
      '{"message":"notifyVideoFormat","data":[{"streamerVideoWidth":320,"streamerVideoHeight":240,"mediaSessionId":"V1","status":"RESIZE"}]}',
    );
    player.send('stopStream', { mediaSessionId: 'V1', name: 'test' });
    expect(JSON.stringify(await player.any())).toBe(
      seedStatus({
        mediaSessionId: 'V1',
        published: false,
        status: 'STOPPED',
        info: 'Stopped by user',
        width: 320,
        height: 240,
      }),
    );
    expect(harness.worker.closed).toEqual(['V1']);
  });

  it('tells players when the size of the picture changes, once', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    await play(client, 'V1');
    const format = { type: 'videoFormat', streamId: 'P1', width: 640, height: 360 } as const;
    harness.worker.emit(format);
    harness.worker.emit(format);
    const messages = await client.flush();
    expect(messages.map((one) => one.message)).toEqual(['notifyVideoFormat']);
  });

  it('has neither an audio codec nor a picture size for what it does not get', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    harness.worker.answer = { answerSdp: 'audio only', audio: { codec: 'pcma' } };
    client.send('playStream', playRequest('V1'));
    expect((await client.any()).data).toEqual(['V1', { name: 'PCMA' }]);
    await client.next('setRemoteSDP');
    harness.worker.connect('V1');
    expect(await client.status()).toMatchObject({ hasVideo: false, hasAudio: true, audioCodec: 'PCMA' });
    harness.worker.emit({ type: 'videoFormat', streamId: 'P1', width: 640, height: 360 });
    harness.worker.answer = { answerSdp: 'video only', video: { codec: 'vp8' } };
    client.send('playStream', playRequest('V2'));
    expect((await client.any()).message).toBe('setRemoteSDP');
  });

  it('fails for a stream that is not there, not yet there or just gone', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('playStream', playRequest('V1'));
    expect(await client.status()).toMatchObject({ mediaSessionId: 'V1', status: 'FAILED', info: 'Stream not found' });
    client.send('publishStream', publishRequest('P1'));
    await client.next('setRemoteSDP');
    client.send('playStream', playRequest('V2'));
    expect(await client.status()).toMatchObject({ mediaSessionId: 'V2', status: 'FAILED', info: 'Stream not found' });
    harness.worker.connect('P1');
    await client.status();
    harness.worker.refusal = new AppError('STREAM_NOT_FOUND', 'gone');
    client.send('playStream', playRequest('V3'));
    expect(await client.status()).toMatchObject({ mediaSessionId: 'V3', status: 'FAILED', info: 'Stream not found' });
  });

  it('fails with the publisher, whoever tells first', async () => {
    harness = await startHarness();
    const [publisher, player] = [await harness.connect(), await harness.connect()];
    await publish(publisher, 'P1');
    await play(player, 'V1');
    await play(player, 'V2');
    harness.worker.end('V1', 'source_ended');
    expect(await player.status()).toMatchObject({
      mediaSessionId: 'V1',
      status: 'FAILED',
      info: 'Stopped by publisher stop',
    });
    publisher.send('unPublishStream', { mediaSessionId: 'P1' });
    expect(await player.status()).toMatchObject({
      mediaSessionId: 'V2',
      status: 'FAILED',
      info: 'Stopped by publisher stop',
    });
    expect(harness.worker.open.size).toBe(0);
    expect(await player.flush()).toEqual([]);
    expect(harness.streams.find()).toEqual([]);
  });

  it('ends as STOPPED when the player closes its connection before it says so', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    await play(client, 'V1');
    harness.worker.end('V1', 'remote_closed');
    expect(await client.status()).toMatchObject({ mediaSessionId: 'V1', status: 'STOPPED', info: 'Stopped by user' });
  });
});

describe('stream messages', () => {
  it('tells availability as texts, with the id of the request', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('availableStream', { mediaSessionId: 'A1', name: 'test' });
    expect(JSON.stringify(await client.any())).toBe(
      '{"message":"availableStream","data":[{"status":"false","info":"Stream not found","id":"A1"}]}',
    );
    await publish(client, 'P1');
    client.send('availableStream', { mediaSessionId: 'A2', name: 'test' });
    expect(await client.any()).toEqual({ message: 'availableStream', data: [{ status: 'true', id: 'A2' }] });
  });

  it('passes mutes and data to every player under its own id and remembers the mutes', async () => {
    harness = await startHarness();
    const [publisher, player] = [await harness.connect(), await harness.connect()];
    await publish(publisher, 'P1');
    await play(player, 'V1');
    await play(player, 'V2');
    publisher.send('sendStreamEvent', { mediaSessionId: 'P1', type: 'audioMuted' });
    publisher.send('sendStreamEvent', { mediaSessionId: 'P1', type: 'resize' });
    publisher.send('sendStreamEvent', { mediaSessionId: 'P1', type: 'data', payload: { a: [1] } });
    await publisher.flush();
    expect(await player.flush()).toEqual(
      [
        { mediaSessionId: 'V1', type: 'audioMuted' },
        { mediaSessionId: 'V2', type: 'audioMuted' },
        { mediaSessionId: 'V1', type: 'data', payload: { a: [1] } },
        { mediaSessionId: 'V2', type: 'data', payload: { a: [1] } },
      ].map((event) => ({ message: 'notifyStreamEvent', data: [event] })),
    );
    player.send('playStream', playRequest('V3'));
    await player.next('setRemoteSDP');
    harness.worker.connect('V3');
    expect(await player.status()).toMatchObject({ mediaSessionId: 'V3', audioState: { muted: true } });
    publisher.send('unPublishStream', { mediaSessionId: 'P1' });
    expect(await publisher.status()).toMatchObject({ audioState: { muted: true } });
  });

  it('gives data of REST to the players of a name', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    await play(client, 'V1');
    harness.streams.sendData('test', 'hello');
    expect((await client.any()).data).toEqual([{ mediaSessionId: 'V1', type: 'data', payload: 'hello' }]);
    expect(() => harness.streams.sendData('none', 1)).toThrow(expect.objectContaining({ code: 'STREAM_NOT_FOUND' }));
  });

  it('accepts data', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('sendData', { operationId: 'op', payload: { a: 1 } });
    expect(await client.any()).toEqual({
      message: 'DataStatusEvent',
      data: [{ operationId: 'op', status: 'ACCEPTED' }],
    });
  });

  it('reports rates where configured, in the fields of the seed, to the right side and not before the stream runs', async () => {
    harness = await startHarness({ rateIntervalS: 1 });
    const client = await harness.connect();
    client.send('publishStream', publishRequest('P1'));
    await client.next('setRemoteSDP');
    harness.worker.emit({ type: 'rate', sessionId: 'P1', direction: 'inbound', rate: RATE });
    harness.worker.connect('P1');
    expect((await client.any()).message).toBe('notifyStreamStatusEvent');
    await play(client, 'V1');
    harness.worker.emit({ type: 'rate', sessionId: 'P1', direction: 'inbound', rate: RATE });
    harness.worker.emit({ type: 'rate', sessionId: 'V1', direction: 'inbound', rate: RATE });
    harness.worker.emit({ type: 'rate', sessionId: 'V1', direction: 'outbound', rate: RATE });
    const fields = '"videoRate":704856,"fps":31,"nack":0,"pli":1,"lostPackets":2,"width":640,"height":360';
    expect((await client.flush()).map((one) => JSON.stringify(one))).toEqual([
      `{"message":"inboundVideoRate","data":[{"mediaSessionId":"P1",${fields}}]}`,
      `{"message":"outboundVideoRate","data":[{"mediaSessionId":"V1",${fields}}]}`,
    ]);
  });

  it('plays a rendition to who asks for another size, tells each player its own size and lets go of it once', async () => {
    const size = { width: 0, height: 0 };
    const release = vi.fn<() => void>();
    const lease = vi.fn<PlayerRenditions['lease']>((_source, wish) =>
      wish.height === 180 ? { streamId: 'R', size, release } : undefined,
    );
    harness = await startHarness({ renditions: { lease } });
    const client = await harness.connect();
    await publish(client, 'P1');
    harness.worker.emit({ type: 'videoFormat', streamId: 'P1', width: 640, height: 360 });
    client.send('playStream', { ...playRequest('V1'), width: 100, height: 180 });
    await client.next('setRemoteSDP');
    harness.worker.connect('V1');
    await play(client, 'V2');
    expect(lease.mock.calls[0]).toMatchObject([
      { mediaSessionId: 'P1', height: 360 },
      { width: 100, height: 180 },
    ]);
    expect(harness.worker.played.map(({ sessionId, streamId }) => [sessionId, streamId])).toEqual([
      ['V1', 'R'],
      ['V2', 'P1'],
    ]);
    Object.assign(size, { width: 320, height: 180 });
    harness.worker.emit({ type: 'videoFormat', streamId: 'R', width: 320, height: 180 });
    harness.worker.emit({ type: 'videoFormat', streamId: 'P1', width: 1280, height: 720 });
    const formats = (await client.flush()).filter(({ message }) => message === 'notifyVideoFormat');
    expect(formats.map(({ data }) => data[0])).toMatchObject([
      { mediaSessionId: 'V2', streamerVideoWidth: 640, streamerVideoHeight: 360 },
      { mediaSessionId: 'V1', streamerVideoWidth: 320, streamerVideoHeight: 180 },
      { mediaSessionId: 'V2', streamerVideoWidth: 1280, streamerVideoHeight: 720 },
    ]);
    client.send('playStream', { ...playRequest('V3'), height: 180 });
    await client.next('setRemoteSDP');
    harness.worker.connect('V3');
    expect((await client.next('notifyVideoFormat')).data[0]).toMatchObject({
      mediaSessionId: 'V3',
      streamerVideoHeight: 180,
    });

    harness.worker.end('V1', 'remote_closed');
    expect(release).toHaveBeenCalledTimes(1);
    client.send('unPublishStream', { mediaSessionId: 'P1' });
    await client.flush();
    expect(release).toHaveBeenCalledTimes(2);
  });

  it('tells a player why no rendition can be had', async () => {
    const lease = vi.fn<PlayerRenditions['lease']>(() => {
      throw new AppError('NO_COMMON_CODECS', 'nothing for a browser');
    });
    harness = await startHarness({ renditions: { lease } });
    const client = await harness.connect();
    await publish(client, 'P1');
    client.send('playStream', playRequest('V1'));
    expect(await client.status()).toMatchObject({ status: 'FAILED', info: 'No common codecs' });
    expect(harness.worker.played).toEqual([]);
  });

  it('reports every third rate when the interval is three seconds', async () => {
    harness = await startHarness({ rateIntervalS: 3 });
    const client = await harness.connect();
    await publish(client, 'P1');
    for (let second = 1; second <= 7; second++) {
      harness.worker.emit({ type: 'rate', sessionId: 'P1', direction: 'inbound', rate: { ...RATE, fps: second } });
    }
    expect((await client.flush()).map(({ data }) => (data[0] as { fps: number }).fps)).toEqual([3, 6]);
  });

  it('reports no rates unless configured, but always a lack of bandwidth', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    await play(client, 'V1');
    harness.worker.emit({ type: 'rate', sessionId: 'P1', direction: 'inbound', rate: RATE });
    harness.worker.emit({ type: 'notEnoughBandwidth', sessionId: 'V1', bitrateBps: 900, availableBps: 300 });
    expect(await client.flush()).toEqual([
      {
        message: 'notifyStreamEvent',
        data: [{ mediaSessionId: 'V1', type: 'notEnoughBandwidth', payload: { info: '900/300' } }],
      },
    ]);
  });

  it('answers snapshots with a picture, or with a reason', async () => {
    const take = vi.fn<Snapshots['take']>((name) =>
      name === 'test' ? Promise.resolve(Buffer.from('png')) : Promise.reject(new AppError('STREAM_NOT_FOUND', 'none')),
    );
    harness = await startHarness({ snapshots: { take } });
    const client = await harness.connect();
    client.send('snapshot', { name: 'test', mediaSessionId: 'S1' });
    expect((await client.any()).data).toEqual([
      { mediaSessionId: 'S1', type: 'snapshotCompleted', payload: { snapshot: 'cG5n' } },
    ]);
    client.send('snapshot', { name: 'none', mediaSessionId: 'S2' });
    expect((await client.any()).data).toMatchObject([
      { mediaSessionId: 'S2', type: 'snapshotFailed', payload: { info: expect.any(String) } },
    ]);
    await harness.close();
    harness = await startHarness();
    const other = await harness.connect();
    other.send('snapshot', { name: 'test', mediaSessionId: 'S3' });
    expect((await other.any()).data).toMatchObject([{ mediaSessionId: 'S3', type: 'snapshotFailed' }]);
  });
});

describe('streams for REST', () => {
  it('do not show the password with which the client proves who it is', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const sdp = 'v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:canary-of-ice\r\na=mid:0\r\n';
    client.send('publishStream', { ...publishRequest('P1'), sdp });
    await client.next('setRemoteSDP');
    const [view] = harness.streams.find({ mediaSessionId: 'P1' });
    expect(view?.sdp).toBe('v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:***\r\na=mid:0\r\n');
  });

  it('are found by their fields and terminated', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await publish(client, 'P1');
    await play(client, 'V1');
    expect(harness.streams.find({ published: true })).toEqual([
      expect.objectContaining({
        appKey: 'defaultApp',
        mediaSessionId: 'P1',
        name: 'test',
        status: 'PUBLISHING',
        sdp: 'offer of P1',
        audioCodec: 'opus',
        videoCodec: 'H264',
        transport: 'UDP',
        mediaType: 'publish',
        mediaProvider: 'WebRTC',
      }),
    ]);
    expect(harness.streams.find({ name: 'test', status: 'PLAYING' })).toMatchObject([
      { mediaSessionId: 'V1', mediaType: 'play', parentMediaSessionId: 'P1' },
    ]);
    harness.streams.terminate({ mediaSessionId: 'V1' });
    expect(await client.status()).toMatchObject({
      mediaSessionId: 'V1',
      status: 'STOPPED',
      info: 'Stopped by rest /terminate',
    });
    harness.streams.terminate({ name: 'test' });
    expect(await client.status()).toMatchObject({
      mediaSessionId: 'P1',
      status: 'UNPUBLISHED',
      info: 'Stopped by rest /terminate',
    });
    expect(() => harness.streams.terminate({ name: 'test' })).toThrow(
      expect.objectContaining({ code: 'STREAM_NOT_FOUND' }),
    );
  });

  it('survive a listener that throws', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    harness.streams.onPublished(() => {
      throw new Error('broken listener');
    });
    const second = vi.fn<(stream: PublishedStream) => void>();
    const unsubscribe = harness.streams.onPublished(second);
    await publish(client, 'P1', 'a');
    unsubscribe();
    await publish(client, 'P2', 'b');
    expect(second).toHaveBeenCalledOnce();
  });
});
