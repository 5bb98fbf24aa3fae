import { describe, expect, it, vi } from 'vitest';
import type { PublishedStream, UnpublishedStream } from '../../src/services/streams.ts';
import { streamFixture, type StreamFixture, VIEWER, webrtcPlay, webrtcPublish } from './stream-fixture.ts';

type Client = Awaited<ReturnType<StreamFixture['client']>>;

/** An encoder whose first media has come. */
async function publish(fixture: StreamFixture, client: Client, mediaSessionId = 'P1', name = 'test') {
  const publication = await fixture.rtmpStreams.publish(client.session, { mediaSessionId, name });
  const fake = fixture.publications.at(-1)!;
  expect(publication).toBe(fake);
  fake.options.onLive({ video: { codec: 'h264' }, audio: { codec: 'aac' } });
  return fake;
}

/** A player that the edge has told so; nothing has been given to it yet. */
async function play(fixture: StreamFixture, client: Client, mediaSessionId = 'V1', name = 'test') {
  const request = { mediaSessionId, name, suppressSound: false };
  const playback = await fixture.rtmpStreams.play(client.session, request, VIEWER);
  const fake = fixture.playbacks.at(-1)!;
  expect(playback).toBe(fake);
  return fake;
}

describe('an RTMP publisher', () => {
  it('claims its name when the backend has agreed and is PUBLISHING when its media is live', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    const published = vi.fn<(stream: PublishedStream) => void>();
    fixture.streams.onPublished(published);
    const custom = { key: 'v' };
    await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'test', custom });
    expect(fixture.names.holderOf('test')).toBe('P1');
    expect(client.statuses).toEqual([]);
    expect(fixture.streams.counts).toEqual({ publishers: 0, players: 0, pending: 1 });
    const { options } = fixture.publications[0]!;
    expect(options).toMatchObject({ name: 'test', mediaSessionId: 'P1' });
    options.onLive({ video: { codec: 'h264' }, audio: { codec: 'aac' } });
    options.onFormat(1920, 1080);
    expect(client.statuses).toEqual(['P1 PUBLISHING']);
    expect(published).toHaveBeenCalledExactlyOnceWith({
      name: 'test',
      mediaSessionId: 'P1',
      sessionId: client.session.sessionId,
      appKey: client.session.appKey,
      record: false,
      rtmpUrl: undefined,
      video: { codec: 'h264' },
      audio: { codec: 'aac' },
    });
    const [view] = fixture.streams.find();
    expect(view).toMatchObject({
      status: 'PUBLISHING',
      mediaProvider: 'Flash',
      mediaType: 'publish',
      videoCodec: 'H264',
      audioCodec: 'mpeg4-generic',
      width: 1920,
      height: 1080,
    });
    expect(Object.keys(JSON.parse(JSON.stringify(view)) as object)).not.toContain('sdp');
    expect(fixture.clock.pendingTimers).toBe(0);
  });

  it('is refused under a live name, whatever protocol holds it, and opens nothing', async () => {
    const fixture = streamFixture();
    const [rtmp, page] = [await fixture.client(), await fixture.client('websocket')];
    await fixture.webrtcStreams.publish(page.session, webrtcPublish('W1', 'a'));
    const refused = await fixture.rtmpStreams.publish(rtmp.session, { mediaSessionId: 'P1', name: 'a' });
    expect(refused).toBeUndefined();
    expect(rtmp.statuses).toEqual(['P1 FAILED: Stream name is already in use']);
    expect(fixture.publications).toEqual([]);
    await publish(fixture, rtmp, 'P2', 'b');
    await fixture.webrtcStreams.publish(page.session, webrtcPublish('W2', 'b'));
    expect(page.statuses).toEqual(['W2 FAILED: Stream name is already in use']);
    expect(fixture.names.holderOf('b')).toBe('P2');
  });

  it.each([
    ['idle', 'Failed by RTP activity'],
    ['no_media', 'No common codecs'],
  ] as const)(
    'ends when the encoder is %s: FAILED, %s, its name free and its publication closed',
    async (reason, info) => {
      const fixture = streamFixture();
      const client = await fixture.client();
      const unpublished = vi.fn<(stream: UnpublishedStream) => void>();
      fixture.streams.onUnpublished(unpublished);
      const publication = await publish(fixture, client);
      publication.options.onEnd(reason);
      expect(client.statuses).toEqual(['P1 PUBLISHING', `P1 FAILED: ${info}`]);
      expect(publication.closed).toEqual([info]);
      expect(fixture.names.holderOf('test')).toBeUndefined();
      expect(unpublished).toHaveBeenCalledExactlyOnceWith({
        name: 'test',
        mediaSessionId: 'P1',
        status: 'FAILED',
        info,
      });
    },
  );

  it('fails when it sends no media within the start timeout', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'test' });
    fixture.clock.advance(14_999);
    expect(client.statuses).toEqual([]);
    fixture.clock.advance(1);
    expect(client.statuses).toEqual(['P1 FAILED: Failed by RTP activity']);
    expect(fixture.publications[0]!.closed).toEqual(['Failed by RTP activity']);
    fixture.publications[0]!.options.onLive({});
    expect(client.statuses).toHaveLength(1);
  });

  it('ends with its session, by REST and by its own wish, each time once', async () => {
    const fixture = streamFixture();
    const client = await fixture.client();
    const first = await publish(fixture, client, 'P1', 'a');
    fixture.streams.terminate({ name: 'a' });
    const second = await publish(fixture, client, 'P2', 'b');
    await fixture.streams.stop(client.session, 'P2', true);
    const third = await publish(fixture, client, 'P3', 'c');
    fixture.sessions.close(client.session, 'closed by the client');
    expect(client.statuses).toEqual([
      'P1 PUBLISHING',
      'P1 UNPUBLISHED: Stopped by rest /terminate',
      'P2 PUBLISHING',
      'P2 UNPUBLISHED: Stopped by publisher stop',
      'P3 PUBLISHING',
      'P3 UNPUBLISHED: Stopped by session disconnect',
    ]);
    expect([first, second, third].map(({ closed }) => closed.length)).toEqual([1, 1, 1]);
    expect(fixture.streams.find()).toEqual([]);
  });

  it('has players of both protocols, which end with it', async () => {
    const fixture = streamFixture();
    const [encoder, viewer, page] = [await fixture.client(), await fixture.client(), await fixture.client('websocket')];
    const publication = await publish(fixture, encoder);
    const playback = await play(fixture, viewer);
    playback.options.onStarted();
    await fixture.webrtcStreams.play(page.session, webrtcPlay('W1'));
    fixture.worker.connect('W1');
    fixture.streams.sendData('test', { a: 1 });
    const data = (mediaSessionId: string) => ({
      name: 'notifyStreamEvent',
      event: { mediaSessionId, type: 'data', payload: { a: 1 } },
    });
    expect(viewer.sent).toContainEqual(data('V1'));
    expect(page.sent).toContainEqual(data('W1'));
    publication.options.onEnd('idle');
    expect(viewer.statuses).toEqual(['V1 PLAYING', 'V1 FAILED: Stopped by publisher stop']);
    expect(page.statuses).toEqual(['W1 PLAYING', 'W1 FAILED: Stopped by publisher stop']);
    expect(playback.closed).toBe(1);
    expect(fixture.worker.open.size).toBe(0);
  });
});

describe('an RTMP player', () => {
  it('is PLAYING with its first media and knows the size of the picture, also one that was known before', async () => {
    const fixture = streamFixture();
    const [page, viewer] = [await fixture.client('websocket'), await fixture.client()];
    await fixture.webrtcStreams.publish(page.session, webrtcPublish('W1'));
    fixture.worker.connect('W1');
    const { options } = await play(fixture, viewer);
    options.onFormat(640, 360);
    expect(viewer.sent).toEqual([]);
    options.onStarted();
    options.onFormat(1280, 720);
    expect(viewer.sent).toMatchObject([
      {
        name: 'notifyStreamStatusEvent',
        stream: { status: 'PLAYING', audioCodec: 'mpeg4-generic', videoCodec: 'H264', mediaProvider: 'Flash' },
      },
      { name: 'notifyVideoFormat', mediaSessionId: 'V1', width: 640, height: 360 },
      { name: 'notifyVideoFormat', mediaSessionId: 'V1', width: 1280, height: 720 },
    ]);
    expect(fixture.streams.find({ published: false })).toMatchObject([{ parentMediaSessionId: 'W1', width: 1280 }]);
    fixture.worker.end('W1', 'rtp_activity');
    expect(viewer.statuses.at(-1)).toBe('V1 FAILED: Stopped by publisher stop');
  });

  it.each([
    ['source_ended', 'Stopped by publisher stop'],
    ['source_failed', 'Failed by error'],
    ['too_slow', 'Failed by RTMP writer error'],
    ['no_video', 'Failed by RTP activity'],
  ] as const)('ends by %s as FAILED with "%s", and its publisher goes on', async (reason, info) => {
    const fixture = streamFixture();
    const [encoder, viewer] = [await fixture.client(), await fixture.client()];
    await publish(fixture, encoder);
    const playback = await play(fixture, viewer);
    playback.options.onEnd(reason);
    expect(viewer.statuses).toEqual([`V1 FAILED: ${info}`]);
    expect(playback.closed).toBe(1);
    expect(fixture.streams.find()).toMatchObject([{ mediaSessionId: 'P1', status: 'PUBLISHING' }]);
  });

  it('is told that there is no such stream, or none any more', async () => {
    const fixture = streamFixture();
    const [encoder, viewer] = [await fixture.client(), await fixture.client()];
    const request = { mediaSessionId: 'V1', name: 'test', suppressSound: false };
    expect(await fixture.rtmpStreams.play(viewer.session, request, VIEWER)).toBeUndefined();
    await publish(fixture, encoder);
    fixture.hub.isLive = () => false;
    expect(
      await fixture.rtmpStreams.play(viewer.session, { ...request, mediaSessionId: 'V2' }, VIEWER),
    ).toBeUndefined();
    expect(viewer.statuses).toEqual(['V1 FAILED: Stream not found', 'V2 FAILED: Stream not found']);
    expect(fixture.clock.pendingTimers).toBe(0);
  });

  it('fails when it is given nothing within the start timeout', async () => {
    const fixture = streamFixture();
    const [encoder, viewer] = [await fixture.client(), await fixture.client()];
    await publish(fixture, encoder);
    const playback = await play(fixture, viewer);
    fixture.clock.advance(15_000);
    expect(viewer.statuses).toEqual(['V1 FAILED: Failed by RTP activity']);
    expect(playback.closed).toBe(1);
  });

  it('that wants silence has AAC even where nothing sounds', async () => {
    const fixture = streamFixture();
    const [encoder, viewer] = [await fixture.client(), await fixture.client()];
    await fixture.rtmpStreams.publish(encoder.session, { mediaSessionId: 'P1', name: 'test' });
    fixture.publications[0]!.options.onLive({ video: { codec: 'h264' } });
    const request = { mediaSessionId: 'V1', name: 'test', suppressSound: true };
    await fixture.rtmpStreams.play(viewer.session, request, VIEWER);
    expect(fixture.playbacks[0]!.options).toMatchObject({ suppressSound: true, viewer: VIEWER });
    await play(fixture, viewer, 'V2');
    expect(fixture.streams.find({ published: false })).toMatchObject([
      { mediaSessionId: 'V1', hasVideo: true, hasAudio: true },
      { mediaSessionId: 'V2', hasVideo: true, hasAudio: false },
    ]);
  });
});
