import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ChunkWriter } from '../../../src/protocol/rtmp/chunk-writer.ts';
import { MEDIA_STREAM_ID, OUT_CHUNK_SIZE } from '../../../src/protocol/rtmp/media.ts';
import { MESSAGE_TYPE } from '../../../src/protocol/rtmp/raw-message.ts';
import type { BackendAnswer } from '../../../src/services/backend.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { connectObject, RtmpTestClient } from '../../support/rtmp-client.ts';
import { untilClosed } from '../../support/until-closed.ts';
import { startRtmpHarness, type Question, type RtmpHarness } from './harness.ts';

const ALLOWED: BackendAnswer = { allowed: true };
const SETUP_MS = 10_000;
const PING_MS = 30_000;

describe('while the backend is asked', () => {
  it('what a client says waits and is then handled in its order', async () => {
    const verdicts: ((answer: BackendAnswer) => void)[] = [];
    await using rtmp = await startRtmpHarness({ answer: () => new Promise((resolve) => verdicts.push(resolve)) });
    await using client = await RtmpTestClient.open(rtmp.port);
    client.say('connect', [connectObject(rtmp.port, 'live')], 0, 1);
    client.say('createStream', [null], 0, 2);
    client.say('publish', [null, 'a', 'live'], 1, 3);
    client.say('getStreamLength', [null, 'a'], 0, 4);
    await expect.poll(() => verdicts.length).toBe(1);
    expect(client.commands).toEqual([]);
    verdicts[0]!(ALLOWED);
    await expect.poll(() => verdicts.length).toBe(2);
    await client.command(({ transactionId }) => transactionId === 2, 'the answer to createStream');
    expect(client.commands.map(({ transactionId }) => transactionId)).toEqual([1, 2]);
    verdicts[1]!(ALLOWED);
    await client.command(({ transactionId }) => transactionId === 4, 'the last answer');
    expect(client.commands.map(({ name }) => name)).toEqual(['_result', '_result', 'onStatus', '_result']);
    expect(rtmp.questions.map(({ operation }) => operation)).toEqual(['connect', 'publishStream']);
  });

  it('the time of the client stands still', async () => {
    const clock = new ManualClock();
    const verdict = Promise.withResolvers<BackendAnswer>();
    await using rtmp = await startRtmpHarness({ clock, answer: () => verdict.promise });
    await using client = await RtmpTestClient.open(rtmp.port);
    client.say('connect', [connectObject(rtmp.port, 'live')], 0, 1);
    await expect.poll(() => rtmp.questions.length).toBe(1);
    clock.advance(10 * SETUP_MS);
    verdict.resolve(ALLOWED);
    await client.command(({ name }) => name === '_result', 'the answer to connect');
    clock.advance(SETUP_MS);
    await client.closed;
    expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([
      { fields: { code: 'RTMP_SETUP_TIMEOUT', client: client.endpoint } },
    ]);
  });

  it('a client may go: its session is closed as soon as it is there', async () => {
    const verdict = Promise.withResolvers<BackendAnswer>();
    await using rtmp = await startRtmpHarness({ answer: () => verdict.promise });
    const client = await RtmpTestClient.open(rtmp.port);
    client.say('connect', [connectObject(rtmp.port, 'live')], 0, 1);
    await expect.poll(() => rtmp.questions.length).toBe(1);
    client.socket.resetAndDestroy();
    await client.closed;
    verdict.resolve(ALLOWED);
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    await expect.poll(() => rtmp.sessions.count).toBe(0);
    expect(rtmp.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('a client that goes or is sent away while the backend is asked', () => {
  /** Answers at once, but for this operation: those who ask it wait for the verdict. */
  function hesitant(operation: string) {
    const verdict = Promise.withResolvers<BackendAnswer>();
    const answer = (question: Question) => (question.operation === operation ? verdict.promise : ALLOWED);
    return { answer, decide: () => verdict.resolve(ALLOWED) };
  }
  const asked = (rtmp: RtmpHarness) => rtmp.questions.map(({ operation }) => operation);

  it.each(['publishStream', 'unPublishStream'])('leaves its name free at once: %s', async (operation) => {
    const { answer, decide } = hesitant(operation);
    await using rtmp = await startRtmpHarness({ answer });
    const client = await RtmpTestClient.connected(rtmp.port);
    client.say('publish', [null, 'a', 'live'], 1);
    client.say('deleteStream', [null, 1]);
    await expect.poll(() => asked(rtmp)).toContain(operation);
    client.say('FCUnpublish', [null, 'a']);
    client.socket.end();
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    expect([rtmp.sessions.count, rtmp.streams.find()]).toEqual([0, []]);
    decide();
    await using _next = await RtmpTestClient.publishing(rtmp.port, 'a');
    expect(rtmp.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('publishes nothing when the answer comes late, though it has not closed its side', async () => {
    const { answer, decide } = hesitant('publishStream');
    await using rtmp = await startRtmpHarness({ answer });
    await using client = await RtmpTestClient.connected(rtmp.port);
    client.say('publish', [null, 'a', 'live'], 1);
    await expect.poll(() => asked(rtmp)).toContain('publishStream');
    client.socket.pause();
    rtmp.sessions.terminate(`/${client.endpoint}/127.0.0.1:${rtmp.port}`);
    expect([rtmp.sessions.count, rtmp.streams.find()]).toEqual([0, []]);
    decide();
    client.socket.resume();
    await client.closed;
    expect(client.statusCodes).toEqual(['NetConnection.Connect.Closed']);
    expect(rtmp.publications).toEqual([]);
  });

  it('begins no other stream when the one that it wants to end is ended by the operator', async () => {
    const { answer, decide } = hesitant('unPublishStream');
    await using rtmp = await startRtmpHarness({ answer });
    const client = await RtmpTestClient.publishing(rtmp.port, 'a');
    client.say('publish', [null, 'b', 'live'], 1);
    await expect.poll(() => asked(rtmp)).toContain('unPublishStream');
    rtmp.streams.terminate({ name: 'a' });
    decide();
    await client.closed;
    await expect.poll(() => rtmp.sessions.count).toBe(0);
    expect(asked(rtmp)).toEqual(['connect', 'publishStream', 'unPublishStream']);
  });

  it('is held up by its own socket when it says more than a little, and loses nothing', async () => {
    const { answer, decide } = hesitant('publishStream');
    await using rtmp = await startRtmpHarness({ answer });
    await using client = await RtmpTestClient.connected(rtmp.port);
    client.say('publish', [null, 'a', 'live'], 1);
    const payload = Buffer.alloc(60_000);
    const messages = 1000;
    for (let n = 0; n < messages; n++)
      client.media({ typeId: MESSAGE_TYPE.audio, timestampMs: n, streamId: 1, payload });
    await using other = await RtmpTestClient.connected(rtmp.port);
    for (let n = 0; n < 100; n++) await other.ask('getStreamLength', null);
    expect([client.isClosed, client.socket.writableLength > 0]).toEqual([false, true]);
    decide();
    await expect.poll(() => rtmp.publications[0]?.written.length, { timeout: 15_000 }).toBe(messages);
  });
});

it('a client that sends more than fifty commands a second for long is cut off', async () => {
  const clock = new ManualClock();
  await using rtmp = await startRtmpHarness({ clock });
  await using client = await RtmpTestClient.publishing(rtmp.port, 'a');
  for (let second = 0; second < 10; second++) {
    clock.advance(1000);
    for (let n = 0; n < 49; n++) client.say('FCUnpublish', [null, 'a'], 0);
    await client.ask('getStreamLength', null);
  }
  clock.advance(4000);
  for (let n = 0; n < 201; n++) client.say('FCUnpublish', [null, 'a'], 0);
  await client.closed;
  expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([
    { fields: { code: 'RTMP_COMMAND_RATE', client: client.endpoint } },
  ]);
});

describe('a player whose stream ends while it lags', () => {
  async function lagging() {
    const clock = new ManualClock();
    const rtmp = await startRtmpHarness({ clock });
    const publisher = await RtmpTestClient.publishing(rtmp.port, 'a');
    rtmp.publications[0]!.options.onLive({});
    const client = await RtmpTestClient.playing(rtmp.port, 'a');
    client.socket.pause();
    const writer = new ChunkWriter();
    writer.setChunkSize(OUT_CHUNK_SIZE);
    const payload = Buffer.alloc(1 << 20, 0x17);
    const { viewer, onEnd } = rtmp.playbacks[0]!.options;
    const picture = { typeId: MESSAGE_TYPE.video, timestampMs: 0, streamId: MEDIA_STREAM_ID, payload };
    for (let n = 0; n < 20; n++) viewer.write(writer.encode(picture));
    const errors: Error[] = [];
    client.socket.on('error', (error) => errors.push(error));
    publisher.socket.destroy();
    await expect.poll(() => rtmp.connectionCount()).toBe(1);
    onEnd('source_ended');
    return { clock, rtmp, client, errors };
  }

  it('gets all of it and is told of the end, however long that takes while it goes on taking', async () => {
    const { clock, rtmp, client, errors } = await lagging();
    await using _ = rtmp;
    const video = () => client.messages.filter(({ kind }) => kind === 'video').length;
    for (let seen = 0; seen < 16; seen = video()) {
      clock.advance(1000);
      client.socket.resume();
      await client.until(() => video() > seen, 'a picture');
      client.socket.pause();
    }
    client.socket.resume();
    await client.status('NetStream.Play.UnpublishNotify');
    await client.closed;
    expect([video(), errors]).toEqual([20, []]);
    await expect.poll(() => clock.pendingTimers).toBe(0);
  });

  it.each([
    ['three seconds after it has taken something for the last time', 3500, false],
    ['after a second when the server stops', 1000, true],
  ])('is cut off %s', async (_, ms, isStopped) => {
    const { clock, rtmp, client } = await lagging();
    await using __ = rtmp;
    const closing = isStopped ? rtmp.close() : undefined;
    clock.advance(ms - 500);
    await setImmediate();
    expect(rtmp.connectionCount()).toBe(1);
    clock.advance(500);
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    await closing;
    client.socket.destroy();
  });
});

it('a client that sends empty messages without end is cut off', async () => {
  const clock = new ManualClock();
  await using rtmp = await startRtmpHarness({ clock });
  await using client = await RtmpTestClient.publishing(rtmp.port, 'a');
  client.media({ typeId: MESSAGE_TYPE.audio, timestampMs: 0, streamId: 1, payload: Buffer.alloc(0) });
  client.socket.write(Buffer.alloc(64 * 1024, 0xc4));
  await client.closed;
  expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([{ fields: { code: 'RTMP_MESSAGE_RATE' } }]);
});

it('a client that sends messages of no known kind without end is cut off', async () => {
  const clock = new ManualClock();
  await using rtmp = await startRtmpHarness({ clock });
  await using client = await RtmpTestClient.connected(rtmp.port);
  client.media({ typeId: 99, timestampMs: 0, streamId: 0, payload: Buffer.alloc(0) });
  client.socket.write(Buffer.alloc(64 * 1024, 0xc5));
  await client.closed;
  expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([{ fields: { code: 'RTMP_MESSAGE_RATE' } }]);
});

it('a player that sends more than the beginning of a message is cut off: it has no media to send', async () => {
  await using rtmp = await startRtmpHarness();
  await using _publisher = await RtmpTestClient.publishing(rtmp.port, 'a');
  rtmp.publications[0]!.options.onLive({});
  await using client = await RtmpTestClient.playing(rtmp.port, 'a');
  client.media({ typeId: MESSAGE_TYPE.video, timestampMs: 0, streamId: 1, payload: Buffer.alloc(100_000) });
  await client.closed;
  expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([
    { fields: { code: 'RTMP_MESSAGE_TOO_LONG' } },
  ]);
});

it('a client that was sent away and floods instead of going is cut off', async () => {
  const clock = new ManualClock();
  await using rtmp = await startRtmpHarness({
    clock,
    answer: ({ operation }) => ({ allowed: operation === 'connect' }),
  });
  await using client = await RtmpTestClient.connected(rtmp.port);
  client.socket.pause();
  client.say('publish', [null, 'a', 'live'], 1);
  await expect.poll(() => rtmp.questions.map(({ operation }) => operation)).toContain('publishStream');
  client.media({ typeId: MESSAGE_TYPE.audio, timestampMs: 0, streamId: 1, payload: Buffer.alloc(0) });
  client.socket.write(Buffer.alloc(64 * 1024, 0xc4));
  await expect.poll(() => rtmp.connectionCount()).toBe(0);
});

describe('the time of a client', () => {
  it('is spent once, up to its stream, and given anew behind that', async () => {
    const clock = new ManualClock();
    await using rtmp = await startRtmpHarness({ clock });
    await using client = await RtmpTestClient.connected(rtmp.port);
    clock.advance(SETUP_MS - 1);
    client.say('publish', [null, 'a', 'live'], 1);
    await client.status('NetStream.Publish.Start');
    clock.advance(100 * SETUP_MS);
    client.say('deleteStream', [null, 1]);
    await client.status('NetStream.Unpublish.Success');
    await client.ask('getStreamLength', null);
    clock.advance(SETUP_MS - 1);
    await client.ask('getStreamLength', null);
    expect(client.isClosed).toBe(false);
    clock.advance(1);
    await client.closed;
  });

  it('ends for a player that answers no ping, and for none that does or says anything else', async () => {
    const clock = new ManualClock();
    await using rtmp = await startRtmpHarness({ clock });
    await using _publisher = await RtmpTestClient.publishing(rtmp.port, 'a');
    rtmp.publications[0]!.options.onLive({});
    await using talking = await RtmpTestClient.playing(rtmp.port, 'a');
    const deaf = await RtmpTestClient.playing(rtmp.port, 'a');
    deaf.socket.pause();
    for (let pings = 0; pings < 2; pings++) {
      clock.advance(PING_MS);
      await talking.ask('getStreamLength', null);
    }
    await expect.poll(() => rtmp.connectionCount()).toBe(2);
    expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([
      { fields: { code: 'RTMP_SILENT', client: deaf.endpoint } },
    ]);
    expect(talking.isClosed).toBe(false);
    await deaf.close();
  });

  it('leaves no timer behind', async () => {
    const clock = new ManualClock();
    const rtmp = await startRtmpHarness({ clock });
    const publisher = await RtmpTestClient.publishing(rtmp.port, 'a');
    rtmp.publications[0]!.options.onLive({});
    const player = await RtmpTestClient.playing(rtmp.port, 'a');
    await publisher.close();
    await player.closed;
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    await rtmp.close();
  });
});

describe('the number of connections', () => {
  async function isTaken(port: number): Promise<boolean> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    const closed = untilClosed(socket).then(() => false);
    socket.write(Buffer.alloc(1 + 1536, 3));
    const answered = once(socket, 'data').then(
      () => true,
      () => false,
    );
    const isAnswered = await Promise.race([answered, closed]);
    socket.destroy();
    return isAnswered;
  }

  it('is limited for an address while they neither publish nor play', async () => {
    await using rtmp = await startRtmpHarness({ maxIdleConnectionsPerAddress: 1 });
    await using first = await RtmpTestClient.connected(rtmp.port);
    expect(await isTaken(rtmp.port)).toBe(false);
    first.say('publish', [null, 'a', 'live'], 1);
    await first.status('NetStream.Publish.Start');
    expect(await isTaken(rtmp.port)).toBe(true);
    expect(rtmp.log.filter(({ level }) => level === 'warn')).toMatchObject([{ fields: { address: '127.0.0.1' } }]);
  });

  it('is limited for an address whatever they do', async () => {
    await using rtmp = await startRtmpHarness({ maxConnectionsPerAddress: 1 });
    const first = await RtmpTestClient.publishing(rtmp.port, 'a');
    expect(await isTaken(rtmp.port)).toBe(false);
    await first.close();
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    expect(await isTaken(rtmp.port)).toBe(true);
  });

  it('is limited for all of an IPv6 /64 together', async () => {
    await using rtmp = await startRtmpHarness({ maxIdleConnectionsPerAddress: 1 });
    let from = '';
    rtmp.listener.prependListener('connection', (socket) => {
      Object.defineProperty(socket, 'remoteAddress', { value: from });
    });
    from = '2001:db8:0:1::1';
    await using _first = await RtmpTestClient.connected(rtmp.port);
    from = '2001:db8:0:1:ffff::2';
    expect(await isTaken(rtmp.port)).toBe(false);
    from = '2001:db8:0:2::1';
    expect(await isTaken(rtmp.port)).toBe(true);
  });

  it('is limited in total', async () => {
    await using rtmp = await startRtmpHarness({ maxConnections: 1 });
    const first = await RtmpTestClient.publishing(rtmp.port, 'a');
    expect(await isTaken(rtmp.port)).toBe(false);
    await first.close();
    await expect.poll(() => rtmp.connectionCount()).toBe(0);
    expect(await isTaken(rtmp.port)).toBe(true);
  });
});
