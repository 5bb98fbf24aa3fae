import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { RunEnd } from '../../src/domain/transponder.ts';
import type { AddressPolicy } from '../../src/egress/address-policy.ts';
import type { Connect, Resolve } from '../../src/egress/dial.ts';
import type { GateEvent, GateOptions } from '../../src/egress/gate.ts';
import { PublishClient } from '../../src/egress/publish-client.ts';
import { createRtmpPushGate } from '../../src/egress/rtmp-push-gate.ts';
import type { RtmpPushGateOptions } from '../../src/egress/rtmp-push-gate.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';
import { AmfEcmaArray, amfProperties } from '../../src/protocol/amf0/values.ts';
import { encodeMessage } from '../../src/protocol/rtmp/messages.ts';
import type { OutgoingMessage } from '../../src/protocol/rtmp/messages.ts';
import { freePort } from '../support/free-port.ts';
import { listen, startRtmpDestination } from '../support/rtmp-destination.ts';
import type { OnCommand } from '../support/rtmp-destination.ts';
import { untilClosed } from '../support/until-closed.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const KEYFRAME = Buffer.from('1701000000aa', 'hex');
const media = (kind: 'audio' | 'video', hex: string, timestampMs = 0): OutgoingMessage => ({
  kind,
  payload: Buffer.from(hex, 'hex'),
  timestampMs,
  streamId: 1,
});

type More = Partial<GateOptions> & { gate?: Partial<RtmpPushGateOptions>; fullUrl?: boolean; comesLate?: boolean };

/** A gate, one admitted session and a child that publishes as ffmpeg does. */
async function start(rtmpUrl: string, { gate: gateOptions, fullUrl = false, comesLate = false, ...more }: More = {}) {
  const gate = await createRtmpPushGate({
    logger: silentLogger,
    clock: systemClock,
    allowAddress: () => undefined,
    ...gateOptions,
  });
  cleanups.push(() => gate.close());
  const events: GateEvent[] = [];
  const emitter = new EventEmitter();
  const session = gate.admit({
    target: parseRtmpTarget({ rtmpUrl, streamName: 'secretkey', fullUrl, prefix: '' }),
    flashVersion: 'LNX 1',
    connectTimeoutMs: 5000,
    maxBacklogBytes: 256 * 1024,
    onEvent: (event) => {
      events.push(event);
      emitter.emit('event');
    },
    ...more,
  });
  const until = async <T>(pick: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = pick();
      if (found !== undefined) return found;
      await once(emitter, 'event');
    }
  };
  if (comesLate) await until(() => events.find(({ type }) => type === 'publishing'));
  const { hostname, port } = new URL(session.childUrl);
  const socket = connect(Number(port), hostname);
  cleanups.push(() => socket.destroy());
  const refusals: string[] = [];
  let isChildPublishing = false;
  const child = new PublishClient(
    {
      target: {
        ...parseRtmpTarget({
          rtmpUrl: `${session.childUrl}${session.childApp}/${session.childPlayPath}`,
          streamName: '',
          fullUrl: true,
          prefix: '',
        }),
      },
      flashVersion: '',
      authQuery: undefined,
      randomBytes,
    },
    {
      send: (bytes) => void socket.write(bytes),
      publishing: () => void (isChildPublishing = true),
      status: () => {},
      refused: (_, { description }) => void refusals.push(description),
      finished: () => {},
    },
  );
  socket.on('data', (bytes) => child.push(bytes));
  socket.on('error', () => {});
  socket.on('connect', () => child.start());
  return {
    gate,
    session,
    events,
    socket,
    refusals,
    send: (message: OutgoingMessage) => socket.write(child.forward(encodeMessage(message))),
    goodbye: () => socket.write(child.goodbye()!),
    childPublishing: () => expect.poll(() => isChildPublishing).toBe(true),
    isChildPublishing: () => isChildPublishing,
    ended: async (): Promise<RunEnd> => (await until(() => events.find((event) => event.type === 'ended'))).end,
  };
}

async function destination(onCommand?: OnCommand) {
  const made = await startRtmpDestination(onCommand);
  cleanups.push(() => made.stop());
  return { ...made, url: `rtmp://127.0.0.1:${made.port}/live` };
}

async function rawServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    onSocket(socket);
  });
  const port = await listen(server);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `rtmp://127.0.0.1:${port}/live`;
}

const commandNames = (messages: readonly { kind: string }[]): string[] =>
  messages.flatMap((message) => ('name' in message ? [message.name as string] : []));

describe('the push gate', () => {
  it('sends connect, releaseStream, FCPublish, createStream and publish in the order of the capture', async () => {
    const server = await destination();
    const push = await start(`${server.url}/?user=u&pass=p`);
    await push.childPublishing();
    const { messages } = server.peers[0]!;
    expect(commandNames(messages)).toEqual(['connect', 'releaseStream', 'FCPublish', 'createStream', 'publish']);
    const connectCommand = messages.find((message) => message.kind === 'command')!;
    expect(amfProperties(connectCommand.args[0])).toEqual({
      app: 'live?user=u&pass=p',
      type: 'nonprivate',
      flashVer: 'LNX 1',
      tcUrl: `rtmp://127.0.0.1:${server.port}/live?user=u&pass=p`,
      fpad: false,
    });
    expect(messages.find((message) => message.kind === 'command' && message.name === 'publish')).toMatchObject({
      args: [null, 'secretkey', 'live'],
      streamId: 1,
    });
  });

  it('tells the child to start only when the destination has accepted', async () => {
    let accept = (): void => {};
    const server = await destination((command, peer) => {
      if (command.name !== 'publish') return false;
      accept = () => peer.status('status', 'NetStream.Publish.Start');
      return true;
    });
    const push = await start(server.url);
    await expect.poll(() => commandNames(server.peers[0]?.messages ?? [])).toContain('publish');
    expect(push.isChildPublishing()).toBe(false);
    accept();
    await push.childPublishing();
    expect(push.events.map(({ type }) => type)).toEqual(['dialling', 'publishing']);
  });

  it('forwards messages unchanged, drops metadata unless asked, and ends in good order with the child', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    const metadata: OutgoingMessage = {
      kind: 'data',
      values: ['@setDataFrame', 'onMetaData', new AmfEcmaArray({ videocodecid: 7 })],
      timestampMs: 0,
      streamId: 1,
    };
    const cue: OutgoingMessage = { kind: 'data', values: ['onCuePoint', 1], timestampMs: 5, streamId: 1 };
    const sent = [
      media('audio', 'af01aa', 0x1000001),
      media('video', '1700000000aa'),
      media('video', 'aa'.repeat(200_000), 7),
      cue,
    ];
    for (const message of [metadata, ...sent]) push.send(message);
    push.goodbye();
    expect(await push.ended()).toMatchObject({ exitClass: 'source_gone' });
    const { messages, socket } = server.peers[0]!;
    await expect.poll(() => socket.closed).toBe(true);
    expect(messages.filter(({ kind }) => ['audio', 'video', 'data'].includes(kind))).toEqual(sent);
    expect(commandNames(messages).slice(-2)).toEqual(['FCUnpublish', 'deleteStream']);
    expect(push.session.counters().mediaStarted).toBe(false);
  });

  it('counts media as started with the first keyframe and counts accepted and acknowledged bytes', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    push.send({ kind: 'video', payload: KEYFRAME, timestampMs: 0, streamId: 1 });
    await expect
      .poll(() => push.session.counters())
      .toMatchObject({ mediaStarted: true, bytesAccepted: 12 + 6, backlogBytes: 0 });
    server.peers[0]!.send({ kind: 'acknowledgement', receivedBytes: 4242 });
    await expect.poll(() => push.session.counters().bytesAcknowledged).toBe(4242);
  });

  it('answers pings and sends acknowledgements to the destination', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    const [peer] = server.peers;
    peer!.send({ kind: 'windowAckSize', windowBytes: 100 });
    peer!.send({ kind: 'userControl', event: 6, value: 77 });
    await expect.poll(() => peer!.messages).toContainEqual({ kind: 'userControl', event: 7, value: 77 });
    peer!.send({ kind: 'data', values: ['x'.repeat(200)], timestampMs: 0, streamId: 1 });
    await expect.poll(() => peer!.messages.some(({ kind }) => kind === 'acknowledgement')).toBe(true);
  });

  const refusals: [string, string, string, string, RunEnd['exitClass']][] = [
    ['connect', '_error', 'NetConnection.Connect.Rejected', 'no', 'dest_auth'],
    ['connect', '_error', 'NetConnection.Connect.InvalidApp', 'no such app', 'dest_rejected'],
    ['createStream', '_error', 'NetStream.Failed', '', 'dest_rejected'],
    ['publish', 'status', 'NetStream.Publish.BadName', 'taken', 'dest_busy'],
    ['publish', 'status', 'NetStream.Failed', 'Already publishing', 'dest_busy'],
    ['publish', 'status', 'NetStream.Publish.Rejected', '', 'dest_auth'],
    ['publish', 'status', 'NetStream.Publish.Denied', '', 'dest_rejected'],
  ];
  for (const [name, how, code, description, exitClass] of refusals) {
    it(`says ${exitClass} when ${name} is answered by ${how} ${code} ${description}`, async () => {
      const server = await destination((command, peer) => {
        if (command.name !== name) return false;
        if (how === '_error') peer.error(command, code, description);
        else peer.status('error', code, description);
        return true;
      });
      const push = await start(server.url);
      const end = await push.ended();
      expect(end.exitClass).toBe(exitClass);
      expect(end.detail).toContain(code);
      expect(push.isChildPublishing()).toBe(false);
    });
  }

  it('tells a child that is there already why it is cut off', async () => {
    let refuse = (): void => {};
    const server = await destination((command, peer) => {
      if (command.name !== 'publish') return false;
      refuse = () => peer.status('error', 'NetStream.Publish.BadName', 'taken');
      return true;
    });
    const push = await start(server.url);
    // More than a handshake: the answer to its connect.
    await expect.poll(() => push.socket.bytesRead).toBeGreaterThan(3200);
    await expect.poll(() => server.peers[0]?.messages.at(-1)).toMatchObject({ name: 'publish' });
    refuse();
    const { detail } = await push.ended();
    await expect.poll(() => push.refusals).toEqual([detail]);
  });

  it('dials at once, and lets a child that comes after the acceptance publish at once', async () => {
    const server = await destination();
    const push = await start(server.url, { comesLate: true });
    await push.childPublishing();
    push.send(media('video', KEYFRAME.toString('hex')));
    await expect.poll(() => push.session.counters().mediaStarted).toBe(true);
    expect(server.peers).toHaveLength(1);
  });

  it('does not mind an _error to releaseStream and FCPublish', async () => {
    const server = await destination((command, peer) => {
      if (command.name !== 'releaseStream' && command.name !== 'FCPublish') return false;
      peer.error(command, 'NetConnection.Call.Failed', 'nothing to release');
      return true;
    });
    const push = await start(server.url);
    await push.childPublishing();
    expect(push.events.filter(({ type }) => type === 'status')).toHaveLength(2);
  });

  it('masks the name, the query and the password in the words of the destination', async () => {
    const server = await destination((command, peer) => {
      if (command.name !== 'publish') return false;
      peer.status(
        'error',
        'NetStream.Publish.BadName',
        'secretkey with tokenvalue by hunter22 at rtmp://x/y/z is\u0007taken',
      );
      return true;
    });
    const push = await start(`rtmp://user1:hunter22@127.0.0.1:${server.port}/live?t=tokenvalue`);
    expect((await push.ended()).detail).toBe('NetStream.Publish.BadName: *** with *** by *** at *** is taken');
  });

  const duringPublish: [string, OnCommand, RunEnd['exitClass']][] = [
    ['closes before accepting', (command, { socket }) => command.name === 'publish' && !!socket.end(), 'dest_closed'],
    [
      'resets before accepting',
      (command, { socket }) => command.name === 'publish' && !!socket.resetAndDestroy(),
      'dest_closed',
    ],
  ];
  for (const [what, onCommand, exitClass] of duringPublish) {
    it(`says ${exitClass} when the destination ${what}`, async () => {
      expect((await (await start((await destination(onCommand)).url)).ended()).exitClass).toBe(exitClass);
    });
  }

  it('says reset when the destination closes, resets, unpublishes or breaks the protocol while publishing', async () => {
    for (const act of ['close', 'reset', 'unpublish', 'shutdown', 'garbage', 'kick'] as const) {
      const server = await destination();
      const push = await start(server.url);
      await push.childPublishing();
      const peer = server.peers[0]!;
      if (act === 'close') peer.socket.end();
      if (act === 'reset') peer.socket.resetAndDestroy();
      if (act === 'unpublish') peer.status('status', 'NetStream.Unpublish.Success');
      if (act === 'shutdown') peer.status('error', 'NetConnection.Connect.AppShutdown');
      if (act === 'garbage') peer.socket.write(Buffer.alloc(100, 0xff));
      if (act === 'kick') peer.send({ kind: 'command', name: 'close', transactionId: 0, args: [null], streamId: 0 });
      const end = await push.ended();
      expect([act, end.exitClass]).toEqual([act, 'dest_reset']);
      const words = {
        unpublish: 'NetStream.Unpublish.Success',
        shutdown: 'NetConnection.Connect.AppShutdown',
        kick: 'close',
        garbage: 'RTMP_',
        close: 'end of stream',
        reset: 'ECONNRESET',
      };
      expect(end.detail).toContain(words[act]);
      expect(push.session.counters().backlogBytes).toBe(0);
    }
  });

  it('passes other status messages on', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    server.peers[0]!.status('warning', 'NetStream.Record.NoAccess', 'disk');
    await expect
      .poll(() => push.events)
      .toContainEqual({
        type: 'status',
        level: 'warning',
        code: 'NetStream.Record.NoAccess',
        description: 'disk',
      });
  });

  it('says refused, unresolved, forbidden and unreachable', async () => {
    const refusing = `rtmp://127.0.0.1:${await freePort()}/live`;
    expect(await (await start(refusing)).ended()).toMatchObject({ exitClass: 'dest_refused' });
    const resolve = () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }));
    expect(await (await start('rtmp://h/live', { gate: { resolve } })).ended()).toMatchObject({
      exitClass: 'dest_dns',
    });
    const forbidden = await start('rtmp://127.0.0.1:1/live', { gate: { allowAddress: () => 'loopback address' } });
    expect(await forbidden.ended()).toMatchObject({ exitClass: 'dest_forbidden_address' });
    expect(forbidden.events.map(({ type }) => type)).toEqual(['ended']);
    const unreachable = await start('rtmp://127.0.0.1:1/live', { localAddress: '::1' });
    expect(await unreachable.ended()).toMatchObject({ exitClass: 'dest_unreachable' });
  });

  it('resolves once, passes over forbidden addresses and goes on to the next when one refuses', async () => {
    const server = await destination();
    const resolve = vi.fn<Resolve>(() =>
      Promise.resolve(['127.0.0.9', '127.0.0.2', '127.0.0.1'].map((address) => ({ address }))),
    );
    const allowAddress = vi.fn<AddressPolicy>((address) => (address === '127.0.0.9' ? 'no' : undefined));
    const push = await start(`rtmp://h:${server.port}/live`, { gate: { resolve, allowAddress }, caller: 'rest' });
    await push.childPublishing();
    expect(resolve).toHaveBeenCalledTimes(1);
    expect(allowAddress).toHaveBeenCalledWith('127.0.0.2', 'rest');
    expect(push.events.flatMap((event) => (event.type === 'dialling' ? [event.address] : []))).toEqual([
      '127.0.0.2',
      '127.0.0.1',
    ]);
  });

  it('binds the local address', async () => {
    const server = await destination();
    await (await start(server.url, { localAddress: '127.0.0.5' })).childPublishing();
    expect(server.peers[0]!.socket.remoteAddress).toBe('127.0.0.5');
  });

  it('says timeout when the destination accepts and stays silent', async () => {
    const url = await rawServer(() => {});
    const push = await start(url, { connectTimeoutMs: 150 });
    expect(await push.ended()).toMatchObject({ exitClass: 'dest_timeout' });
  });

  it('says what happened when the destination speaks something else or hangs up in the handshake', async () => {
    const http = await rawServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await (await start(http)).ended()).toMatchObject({
      exitClass: 'dest_rejected',
      detail: expect.stringContaining('RTMP_VERSION'),
    });
    const hangup = await rawServer((socket) => socket.end());
    expect((await (await start(hangup)).ended()).exitClass).toBe('dest_reset');
  });

  it('answers an Adobe challenge over three connections to the same address', async () => {
    const apps: string[] = [];
    const server = await destination((command, peer) => {
      if (command.name !== 'connect') return false;
      const app = String(amfProperties(command.args[0])!['app']);
      apps.push(app);
      const reject = (text: string) =>
        !!(peer.error(command, 'NetConnection.Connect.Rejected', text), peer.socket.end());
      if (!app.includes('authmod'))
        return reject('[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ');
      if (!app.includes('response')) {
        return reject(
          '[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=SALT&challenge=CH&opaque=OP',
        );
      }
      return false;
    });
    const push = await start(`rtmp://me:pw@127.0.0.1:${server.port}/live`);
    await push.childPublishing();
    expect(apps.slice(0, 2)).toEqual(['live', 'live?authmod=adobe&user=me']);
    const answer = /^live\?authmod=adobe&user=me&challenge=([0-9a-f]{8})&response=([^&]+)&opaque=OP$/.exec(apps[2]!)!;
    const md5 = (text: string) => createHash('md5').update(text).digest('base64');
    expect(answer[2]).toBe(md5(`${md5('meSALTpw')}OP${answer[1]}`));
  });

  it('says auth when the password is wrong, the challenge repeats or there are no credentials', async () => {
    const need = '[ authmod=adobe ] : ?reason=needauth&user=me&salt=S&challenge=C';
    for (const [userInfo, text] of [
      ['me:pw@', '[ authmod=adobe ] : ?reason=authfailed&opaque=x'],
      ['me:pw@', need],
      ['me:pw@', '[ code=403 need auth; authmod=adobe ]'],
      ['', '[ code=403 need auth; authmod=adobe ]'],
    ]) {
      const server = await destination((command, peer) => {
        if (command.name === 'connect') peer.error(command, 'NetConnection.Connect.Rejected', text!);
        return command.name === 'connect';
      });
      const end = await (await start(`rtmp://${userInfo}127.0.0.1:${server.port}/live`)).ended();
      expect(end.exitClass).toBe('dest_auth');
      expect(server.peers.length).toBeLessThan(4);
    }
  });

  it('verifies certificates for rtmps and sends the server name', async () => {
    const pems = await generate([{ name: 'commonName', value: 'rtmp.test' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'rtmp.test' }] }],
    });
    const plain = await destination();
    const names: unknown[] = [];
    const server = createTlsServer({ key: pems.private, cert: pems.cert }, (socket) => {
      names.push(socket.servername);
      const onward = connect(plain.port, '127.0.0.1');
      socket
        .on('error', () => onward.destroy())
        .pipe(onward.on('error', () => socket.destroy()))
        .pipe(socket);
    });
    const port = await listen(server);
    cleanups.push(() => server.close());
    const resolve = () => Promise.resolve([{ address: '127.0.0.1' }]);
    const url = `rtmps://rtmp.test:${port}/live`;
    expect((await (await start(url, { gate: { resolve } })).ended()).exitClass).toBe('tls_error');
    const wrongName = await start(`rtmps://other.test:${port}/live`, {
      gate: { resolve, tlsOptions: { ca: pems.cert } },
    });
    expect((await wrongName.ended()).exitClass).toBe('tls_error');
    const push = await start(url, { gate: { resolve, tlsOptions: { ca: pems.cert } } });
    await push.childPublishing();
    expect(names.at(-1)).toBe('rtmp.test');
    await push.session.close();
  });

  it('stops reading from the child when the destination does not read, and goes on when it does', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    server.peers[0]!.socket.pause();
    const frame = media('video', '27'.repeat(60_000));
    for (let index = 0; index < 400; index++) push.send(frame);
    await expect.poll(() => push.session.counters().backlogBytes).toBeGreaterThan(256 * 1024);
    expect(push.session.counters().backlogBytes).toBeLessThan(700 * 1024);
    expect(push.socket.writableLength).toBeGreaterThan(0);
    server.peers[0]!.socket.resume();
    await expect.poll(() => server.peers[0]!.messages.filter(({ kind }) => kind === 'video').length).toBe(400);
  });

  it('cuts off a destination that asks without end and reads no answer', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    const { socket, send } = server.peers[0]!;
    socket.pause();
    const flood = setInterval(() => {
      for (let count = 0; count < 5000; count++) send({ kind: 'userControl', event: 6, value: count });
    }, 1);
    cleanups.push(() => clearInterval(flood));
    expect(await push.ended()).toEqual({
      exitClass: 'dest_reset',
      detail: 'the destination asks and does not read the answers',
    });
  });

  it('passes on a bounded number of remarks, each masked and short', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    for (let count = 0; count < 1000; count++) server.peers[0]!.status(`secretkey ${'x'.repeat(500)}`, 'Some.Code');
    server.peers[0]!.socket.end();
    await push.ended();
    const levels = push.events.flatMap((event) => (event.type === 'status' ? [event.level] : []));
    expect(levels).toHaveLength(32);
    expect(levels[0]).toMatch(/^\*{3} x{190,200}…$/);
  });

  it('calls a child that leaves without a word crashed, and says goodbye for it', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    push.socket.destroy();
    expect((await push.ended()).exitClass).toBe('crash');
    const { messages, socket } = server.peers[0]!;
    await expect.poll(() => socket.closed).toBe(true);
    expect(commandNames(messages).slice(-2)).toEqual(['FCUnpublish', 'deleteStream']);
  });

  it('closes once, at any time, and says so once', async () => {
    const url = await rawServer(() => {});
    const push = await start(url);
    await expect.poll(() => push.events).toHaveLength(1);
    await Promise.all([push.session.close(), push.session.close(), push.gate.close()]);
    expect(push.events.map(({ type }) => type)).toEqual(['dialling', 'ended']);
    expect((await push.ended()).exitClass).toBe('asked_stop');
  });

  it('ends a session whose name is still being resolved', async () => {
    const connectSpy = vi.fn<Connect>(connect);
    let answer: (addresses: { address: string }[]) => void = () => {};
    const resolve = () => new Promise<{ address: string }[]>((settle) => (answer = settle));
    const push = await start('rtmp://h/live', { connectTimeoutMs: 100, gate: { resolve, connect: connectSpy } });
    expect((await push.ended()).exitClass).toBe('dest_timeout');
    answer([{ address: '127.0.0.1' }]);
    await new Promise(setImmediate);
    expect(connectSpy).not.toHaveBeenCalled();
  });

  it('admits a token once and nothing without one', async () => {
    const server = await destination();
    const push = await start(server.url);
    await push.childPublishing();
    const { hostname, port } = new URL(push.session.childUrl);
    for (const app of [push.session.childApp, 'live']) {
      const socket = connect(Number(port), hostname);
      const target = parseRtmpTarget({ rtmpUrl: `rtmp://x/${app}/y`, streamName: '', fullUrl: true, prefix: '' });
      const intruder = new PublishClient(
        { target, flashVersion: '', authQuery: undefined, randomBytes },
        {
          send: (bytes) => void socket.write(bytes),
          publishing: () => {},
          status: () => {},
          refused: () => {},
          finished: () => {},
        },
      );
      socket.on('data', (bytes) => intruder.push(bytes)).on('error', () => {});
      intruder.start();
      await untilClosed(socket);
    }
    const stranger = connect(Number(port), hostname).on('error', () => {});
    stranger.write('GET / HTTP/1.1\r\n\r\n');
    await untilClosed(stranger);
    expect(server.peers).toHaveLength(1);
    expect(push.events.some(({ type }) => type === 'ended')).toBe(false);
  });
});
