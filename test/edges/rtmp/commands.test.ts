import { describe, expect, it } from 'vitest';
import { amfObject, amfProperties, amfString } from '../../../src/protocol/amf0/values.ts';
import type { AmfValue } from '../../../src/protocol/amf0/values.ts';
import { USER_CONTROL } from '../../../src/protocol/rtmp/messages.ts';
import { MESSAGE_TYPE } from '../../../src/protocol/rtmp/raw-message.ts';
import { connectObject, RtmpTestClient } from '../../support/rtmp-client.ts';
import { startRtmpHarness, type RtmpHarness } from './harness.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const FRAME = Buffer.from([0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41]);

/** A name that the services take for live. */
async function publishLive(rtmp: RtmpHarness, name: string): Promise<RtmpTestClient> {
  const publisher = await RtmpTestClient.publishing(rtmp.port, name);
  rtmp.publications.at(-1)!.options.onLive({ video: { codec: 'h264' }, audio: { codec: 'aac' } });
  return publisher;
}

async function settled(client: RtmpTestClient): Promise<void> {
  await client.ask('getStreamLength', null, 'x');
}

describe('connect', () => {
  it('opens a session with the parameters of its application', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.connected(rtmp.port, 'live?connectParam1=val1&connectParam2=val2');
    const [{ args }] = client.commands as [(typeof client.commands)[0]];
    expect(args[0]).toEqual(amfObject({ fmsVer: 'FMS/3,0,1,123', capabilities: 31 }));
    expect(amfProperties(args[1])).toMatchObject({ code: 'NetConnection.Connect.Success', objectEncoding: 0 });
    const sessionId = `/${client.endpoint}/127.0.0.1:${rtmp.port}`;
    expect(rtmp.sessions.find()).toMatchObject([
      {
        appKey: 'flashStreamingApp',
        sessionId,
        mediaProviders: ['Flash'],
        custom: { connectParam1: 'val1', connectParam2: 'val2' },
      },
    ]);
    expect(rtmp.questions).toMatchObject([
      { operation: 'connect', session: { kind: 'rtmp', connection: { login: expect.stringMatching(/^\w{20}$/) } } },
    ]);
  });

  it('takes login and appKey from its second object', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.connected(
      rtmp.port,
      'live',
      amfObject({ login: 'alice', appKey: 'roomApp' }),
    );
    expect(client.isClosed).toBe(false);
    expect(rtmp.questions).toMatchObject([{ session: { appKey: 'roomApp', connection: { login: 'alice' } } }]);
  });

  it('tells an encoder that speaks Enhanced RTMP which of its codecs are taken', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.open(rtmp.port);
    const announced = {
      ...amfProperties(connectObject(rtmp.port, 'live')),
      fourCcList: ['av01', 'hvc1', 'avc1'],
      capsEx: 3,
    };
    const { args } = await client.ask('connect', amfObject(announced));
    expect(amfProperties(args[0])).toMatchObject({
      fourCcList: ['avc1', 'Opus', 'mp4a'],
      videoFourCcInfoMap: { avc1: 1 },
      audioFourCcInfoMap: { Opus: 1, mp4a: 1 },
    });
  });

  it('that the backend refuses is rejected, and the connection ends', async () => {
    await using rtmp = await startRtmpHarness({ answer: () => ({ allowed: false }) });
    const client = await RtmpTestClient.open(rtmp.port);
    const answer = await client.ask('connect', connectObject(rtmp.port, 'live'));
    expect(answer.name).toBe('_error');
    expect(amfString(answer.args[1], 'code')).toBe('NetConnection.Connect.Rejected');
    await client.closed;
    expect(rtmp.sessions.count).toBe(0);
  });

  it.each<[string, readonly [AmfValue] | readonly []]>([
    ['without an application', [amfObject({ tcUrl: 'rtmp://127.0.0.1/live' })]],
    ['with an application that is no text', [amfObject({ app: 7 })]],
    ['without any argument', []],
    ['with an application that is too long', [amfObject({ app: 'x'.repeat(300) })]],
  ])('%s ends the connection', async (_, args) => {
    await using rtmp = await startRtmpHarness();
    const client = await RtmpTestClient.open(rtmp.port);
    client.say('connect', args, 0, 1);
    await client.closed;
    expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([
      { fields: { code: expect.stringMatching(/^RTMP_(CONNECT|NAME_LENGTH)$/), client: client.endpoint } },
    ]);
  });

  it('may be said once, and first', async () => {
    await using rtmp = await startRtmpHarness();
    const twice = await RtmpTestClient.connected(rtmp.port);
    twice.say('connect', [connectObject(rtmp.port, 'live')], 0, 2);
    await twice.closed;
    const never = await RtmpTestClient.open(rtmp.port);
    never.say('createStream', [null], 0, 2);
    await never.closed;
    expect(rtmp.log.filter(({ level }) => level === 'warn')).toHaveLength(2);
  });
});

describe('a publisher', () => {
  it('is let in with its parameters, and its media goes to its stream', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.connected(rtmp.port);
    const released = await client.ask('releaseStream', null, 'stream1?streamParam1=val1');
    expect(released).toMatchObject({ name: '_result', args: [null, undefined] });
    const announced = await client.ask('FCPublish', null, 'stream1?streamParam1=val1');
    await client.command(
      ({ name, transactionId }) => name === 'onFCPublish' && transactionId === announced.transactionId,
      'onFCPublish',
    );
    expect((await client.ask('createStream', null)).args).toEqual([null, 1]);
    client.say('publish', [null, 'stream1?streamParam1=val1&streamParam2=val2', 'live'], 1, 9);
    await client.status('NetStream.Publish.Start');
    await client.message(
      (message) => message.kind === 'userControl' && message.event === USER_CONTROL.streamBegin,
      'Stream Begin',
    );
    expect(rtmp.questions.at(-1)).toMatchObject({
      operation: 'publishStream',
      body: {
        mediaSessionId: expect.stringMatching(UUID),
        name: 'stream1',
        published: true,
        hasVideo: false,
        hasAudio: true,
        status: 'NEW',
        mediaProvider: 'Flash',
        custom: { streamParam1: 'val1', streamParam2: 'val2' },
      },
    });
    const message = { typeId: MESSAGE_TYPE.video, timestampMs: 40, streamId: 1, payload: FRAME };
    client.media(message);
    await settled(client);
    expect(rtmp.publications[0]!.written).toEqual([message]);
  });

  it.each<[string, (client: RtmpTestClient) => void]>([
    ['deleteStream', (client) => client.say('deleteStream', [null, 1])],
    ['closeStream', (client) => client.say('closeStream', [null], 1)],
    ['publish with a name that is no text', (client) => client.say('publish', [null, false], 1)],
  ])('is told that it has ended its stream by %s, and may publish again', async (_, end) => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.publishing(rtmp.port, 'a');
    end(client);
    await client.status('NetStream.Unpublish.Success');
    expect(rtmp.publications[0]!.closeReason).toBe('Stopped by publisher stop');
    client.say('publish', [null, 'a', 'live'], 1);
    await client.until(() => rtmp.publications.length === 2, 'a second publication');
    expect(client.isClosed).toBe(false);
  });

  it('of a name that is taken hears BadName and is disconnected, and the first one goes on', async () => {
    await using rtmp = await startRtmpHarness();
    await using first = await RtmpTestClient.publishing(rtmp.port, 'taken');
    const second = await RtmpTestClient.connected(rtmp.port);
    second.say('publish', [null, 'taken', 'live'], 1);
    const status = await second.status('NetStream.Publish.BadName');
    expect(amfString(status.args[1], 'level')).toBe('error');
    await second.closed;
    await settled(first);
    expect(rtmp.publications[0]!.closeReason).toBeUndefined();
  });

  it('that the backend refuses hears Denied and is disconnected', async () => {
    await using rtmp = await startRtmpHarness({ answer: ({ operation }) => ({ allowed: operation === 'connect' }) });
    const client = await RtmpTestClient.connected(rtmp.port);
    client.say('publish', [null, 'a', 'live'], 1);
    await client.status('NetStream.Publish.Denied');
    await client.closed;
    expect(rtmp.publications).toEqual([]);
  });

  it.each([
    ['longer than any', 'x'.repeat(300)],
    ['with a control character', 'a\u0007b'],
    ['that is empty', ''],
  ])('of a name %s hears BadName and is disconnected', async (_, name) => {
    await using rtmp = await startRtmpHarness();
    const client = await RtmpTestClient.connected(rtmp.port);
    client.say('publish', [null, name, 'live'], 1);
    await client.closed;
    expect(client.statusCodes).toEqual(['NetStream.Publish.BadName']);
  });

  it('without a stream key publishes what its application names', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.publishing(rtmp.port, '', 'live/room');
    expect(client.isClosed).toBe(false);
    expect(rtmp.publications[0]!.options.name).toBe('room');
  });

  it('whose stream got no media is told so and disconnected', async () => {
    await using rtmp = await startRtmpHarness();
    const client = await RtmpTestClient.publishing(rtmp.port, 'a');
    rtmp.publications[0]!.options.onEnd('idle');
    await client.closed;
    expect(client.statusCodes).toEqual(['NetStream.Publish.Start', 'NetStream.Publish.Failed']);
  });

  it('leaves its name free when its connection breaks', async () => {
    await using rtmp = await startRtmpHarness();
    const client = await RtmpTestClient.publishing(rtmp.port, 'a');
    client.socket.resetAndDestroy();
    await client.closed;
    await expect.poll(() => rtmp.publications[0]!.closeReason).toBe('Stopped by session disconnect');
    expect(rtmp.sessions.count).toBe(0);
  });
});

describe('a player', () => {
  it('is told that it plays before anything is written, and only then gets the stream', async () => {
    await using rtmp = await startRtmpHarness();
    await using publisher = await publishLive(rtmp, 'stream1');
    await using client = await RtmpTestClient.playing(rtmp.port, 'stream1?streamParam1=val1');
    await client.message((message) => message.kind === 'data', '|RtmpSampleAccess');
    const said = client.messages.slice(client.messages.findIndex(({ kind }) => kind === 'userControl'));
    expect(said).toMatchObject([
      { kind: 'userControl', event: USER_CONTROL.streamBegin, value: 1 },
      { kind: 'command', name: 'onStatus', streamId: 1, args: [null, { code: 'NetStream.Play.Reset' }] },
      { kind: 'command', name: 'onStatus', streamId: 1, args: [null, { code: 'NetStream.Play.Start' }] },
      { kind: 'data', values: ['|RtmpSampleAccess', true, true], timestampMs: 0 },
    ]);
    expect(rtmp.playbacks[0]!.calls).toEqual(['start']);
    expect(rtmp.questions.at(-1)).toMatchObject({
      operation: 'playStream',
      body: {
        mediaSessionId: `stream1/${client.endpoint}/127.0.0.1:${rtmp.port}`,
        name: 'stream1',
        published: false,
        hasVideo: true,
        hasAudio: true,
        status: 'NEW',
        mediaProvider: 'Flash',
        custom: { streamParam1: 'val1' },
      },
    });
    expect(publisher.isClosed).toBe(false);
  });

  it('pauses, goes on, is muted, seeks and stops as it asks', async () => {
    await using rtmp = await startRtmpHarness();
    await using publisher = await publishLive(rtmp, 'a');
    await using client = await RtmpTestClient.playing(rtmp.port, 'a');
    client.say('pause', [null, true, 100], 1);
    await client.status('NetStream.Pause.Notify');
    client.say('pause', [null, false, 100], 1);
    await client.status('NetStream.Unpause.Notify');
    client.say('seek', [null, 5000], 1);
    await client.status('NetStream.Seek.Notify');
    client.say('receiveAudio', [null, false], 1);
    client.say('receiveVideo', [null, true], 1);
    client.say('deleteStream', [null, 1]);
    await settled(client);
    const calls = ['start', 'pause', 'resume', 'mute {"audio":true}', 'mute {"video":false}', 'close'];
    expect(rtmp.playbacks[0]!.calls).toEqual(calls);
    expect([client.isClosed, publisher.isClosed]).toEqual([false, false]);
    expect(rtmp.questions.map(({ operation }) => operation)).toContain('pauseStream');
  });

  it('goes on where the backend does not let it pause', async () => {
    await using rtmp = await startRtmpHarness({
      answer: ({ operation }) => ({ allowed: operation !== 'pauseStream' }),
    });
    await using _publisher = await publishLive(rtmp, 'a');
    await using client = await RtmpTestClient.playing(rtmp.port, 'a');
    client.say('pause', [null, true, 100], 1);
    await client.status('NetStream.Unpause.Notify');
    expect(client.statusCodes).not.toContain('NetStream.Pause.Notify');
    expect([rtmp.playbacks[0]!.calls, client.isClosed]).toEqual([['start'], false]);
  });

  it('may change to another stream by play and play2', async () => {
    await using rtmp = await startRtmpHarness();
    await using _a = await publishLive(rtmp, 'a');
    await using _b = await publishLive(rtmp, 'b');
    await using client = await RtmpTestClient.playing(rtmp.port, 'a');
    client.say('play', [null, 'b'], 1);
    await client.until(() => rtmp.playbacks.length === 2, 'the second stream');
    client.say('play2', [null, amfObject({ streamName: 'a' })], 1);
    await client.until(() => rtmp.playbacks.length === 3, 'the third stream');
    expect(rtmp.playbacks.map(({ options, calls }) => [options.name, calls])).toEqual([
      ['a', ['start', 'close']],
      ['b', ['start', 'close']],
      ['a', ['start']],
    ]);
  });

  it('of a name that nobody publishes hears StreamNotFound and is disconnected', async () => {
    await using rtmp = await startRtmpHarness();
    for (const name of ['nobody', 'x'.repeat(300), undefined]) {
      const client = await RtmpTestClient.connected(rtmp.port);
      client.say('play', [null, name], 1);
      await client.status('NetStream.Play.StreamNotFound');
      await client.closed;
    }
    expect(rtmp.playbacks).toEqual([]);
  });

  it.each<[string, (client: RtmpTestClient) => void]>([
    ['deleteStream', (client) => client.say('deleteStream', [null, 1])],
    ['play with false for a name', (client) => client.say('play', [null, false], 1)],
  ])('may end its stream by %s, and play again', async (_, end) => {
    await using rtmp = await startRtmpHarness();
    await using _publisher = await publishLive(rtmp, 'a');
    await using client = await RtmpTestClient.playing(rtmp.port, 'a');
    end(client);
    await settled(client);
    expect(rtmp.playbacks.map(({ calls }) => calls)).toEqual([['start', 'close']]);
    client.say('play', [null, 'a'], 1);
    await client.until(() => rtmp.playbacks.length === 2, 'a second playback');
    expect(client.isClosed).toBe(false);
  });

  it('that the backend refuses hears Failed and is disconnected', async () => {
    await using rtmp = await startRtmpHarness({ answer: ({ operation }) => ({ allowed: operation !== 'playStream' }) });
    await using _ = await publishLive(rtmp, 'a');
    const client = await RtmpTestClient.connected(rtmp.port);
    client.say('play', [null, 'a'], 1);
    await client.closed;
    expect(client.statusCodes).toEqual(['NetStream.Play.Failed']);
  });

  it.each<[string, (rtmp: RtmpHarness, publisher: RtmpTestClient) => void, string, boolean]>([
    [
      'its publisher stops',
      (_, publisher) => publisher.say('deleteStream', [null, 1]),
      'NetStream.Play.UnpublishNotify',
      true,
    ],
    [
      'its publisher is gone',
      (_, publisher) => publisher.socket.resetAndDestroy(),
      'NetStream.Play.UnpublishNotify',
      true,
    ],
    ['the operator ends it', ({ streams }) => streams.terminate({ published: false }), 'NetStream.Play.Stop', true],
    [
      'its transcoder gives up',
      ({ playbacks }) => playbacks[0]!.options.onEnd('source_failed'),
      'NetStream.Play.Failed',
      false,
    ],
    ['it is too slow', ({ playbacks }) => playbacks[0]!.options.onEnd('too_slow'), 'NetStream.Play.Failed', false],
  ])('is told and disconnected when %s', async (_, end, code, hasEof) => {
    await using rtmp = await startRtmpHarness();
    await using publisher = await publishLive(rtmp, 'a');
    const client = await RtmpTestClient.playing(rtmp.port, 'a');
    end(rtmp, publisher);
    await client.status(code);
    await client.closed;
    const eof = client.messages.some(
      (message) => message.kind === 'userControl' && message.event === USER_CONTROL.streamEof,
    );
    expect(eof).toBe(hasEof);
  });

  it.each([
    ['live?suppress_sound=true', true],
    ['live?suppress_sound=TRUE&a=b', true],
    ['live?suppress_sound=false', false],
    ['live', false],
  ])('connected to %s gets silence: %s', async (app, suppressSound) => {
    await using rtmp = await startRtmpHarness();
    await using _ = await publishLive(rtmp, 'a');
    await using client = await RtmpTestClient.playing(rtmp.port, 'a', app);
    expect(client.isClosed).toBe(false);
    expect(rtmp.playbacks[0]!.options.suppressSound).toBe(suppressSound);
  });
});

describe('a connection', () => {
  it('carries one stream: a publisher that plays, and a player that publishes, hears that and goes on', async () => {
    await using rtmp = await startRtmpHarness();
    await using publisher = await publishLive(rtmp, 'a');
    publisher.say('play', [null, 'a'], 1);
    await publisher.status('NetStream.Play.Failed');
    await using player = await RtmpTestClient.playing(rtmp.port, 'a');
    player.say('publish', [null, 'b', 'live'], 1);
    await player.status('NetStream.Publish.Failed');
    await Promise.all([settled(publisher), settled(player)]);
    expect(rtmp.publications[0]!.closeReason).toBeUndefined();
    expect(rtmp.playbacks[0]!.calls).toEqual(['start']);
  });

  it('ignores what it does not know, and never answers that with an error', async () => {
    await using rtmp = await startRtmpHarness();
    await using client = await RtmpTestClient.connected(rtmp.port);
    for (const name of ['FCSubscribe', 'FCUnpublish', '_checkbw', 'onStatus', '_result', 'pong', 'x'.repeat(5000), ''])
      client.say(name, [null, 'a'], 0, 5);
    client.say('releaseStream', [null, 'a'], 0, 0);
    client.say('pause', [null, true], 1);
    client.send({ kind: 'data', values: ['onMetaData', 1], timestampMs: 0, streamId: 1 });
    client.media({ typeId: 16, timestampMs: 0, streamId: 0, payload: Buffer.from('shared object') });
    client.media({ typeId: 99, timestampMs: 0, streamId: 0, payload: FRAME });
    client.media({ typeId: MESSAGE_TYPE.video, timestampMs: 0, streamId: 1, payload: FRAME });
    expect(await client.ask('getStreamLength', null, 'a')).toMatchObject({ name: '_result', args: [null, 0] });
    expect(client.commands.map(({ name }) => name)).toEqual(['_result', '_result']);
  });

  it('is ended by the operator with a word', async () => {
    await using rtmp = await startRtmpHarness();
    await using publisher = await publishLive(rtmp, 'a');
    rtmp.sessions.terminate(`/${publisher.endpoint}/127.0.0.1:${rtmp.port}`);
    await publisher.status('NetConnection.Connect.Closed');
    await publisher.closed;
    await expect.poll(() => rtmp.publications[0]!.closeReason).toBe('Stopped by session disconnect');
  });

  it('whose publication the operator ends is told and closed', async () => {
    await using rtmp = await startRtmpHarness();
    const publisher = await publishLive(rtmp, 'a');
    rtmp.streams.terminate({ name: 'a' });
    await publisher.closed;
    expect(publisher.statusCodes).toEqual(['NetStream.Publish.Start', 'NetStream.Unpublish.Success']);
  });

  it('is closed with the server', async () => {
    const rtmp = await startRtmpHarness();
    const client = await RtmpTestClient.connected(rtmp.port);
    await rtmp.close();
    await client.closed;
    expect(client.statusCodes).toEqual(['NetConnection.Connect.Closed']);
    expect(rtmp.sessions.count).toBe(0);
  });
});

describe('stream parameters as those of the connection', () => {
  it('reach the backend with connect, which is asked when the first command names a stream', async () => {
    await using rtmp = await startRtmpHarness({ useStreamParamsAsConnection: true });
    await using client = await RtmpTestClient.connected(rtmp.port, 'live?a=1');
    expect(rtmp.questions).toEqual([]);
    await client.ask('releaseStream', null, 'test?auth=key&suppress_sound=true');
    expect(rtmp.questions).toMatchObject([
      { operation: 'connect', session: { connection: { custom: { a: '1', auth: 'key' } } } },
    ]);
    client.say('publish', [null, 'test?auth=key&suppress_sound=true', 'live'], 1);
    await client.status('NetStream.Publish.Start');
    expect(rtmp.questions.map(({ operation }) => operation)).toEqual(['connect', 'publishStream']);
    expect(rtmp.questions[1]!.body['custom']).toBeUndefined();
    rtmp.publications[0]!.options.onLive({});
    await using player = await RtmpTestClient.playing(rtmp.port, 'test?suppress_sound=true');
    expect(player.isClosed).toBe(false);
    expect(rtmp.playbacks[0]!.options.suppressSound).toBe(true);
  });

  it.each([
    ['publish', 'NetStream.Publish.Denied'],
    ['releaseStream', 'NetStream.Publish.Denied'],
    ['play', 'NetStream.Play.Failed'],
  ])('that the backend refuses end the connection at %s', async (name, code) => {
    await using rtmp = await startRtmpHarness({
      useStreamParamsAsConnection: true,
      answer: () => ({ allowed: false }),
    });
    const client = await RtmpTestClient.connected(rtmp.port);
    client.say(name, [null, 'a'], 1, 3);
    await client.status(code);
    await client.closed;
    expect(rtmp.questions).toHaveLength(1);
  });
});
