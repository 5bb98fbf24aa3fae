import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Logger, silentLogger } from '../../../src/domain/logger.ts';
import type { Backend, BackendAnswer } from '../../../src/services/backend.ts';
import { type Harness, startHarness } from './harness.ts';

let harness: Harness;
afterEach(() => harness.close());

const CONNECTION = {
  appKey: 'defaultApp',
  mediaProviders: ['WebRTC', 'MSE', 'WSPlayer'],
  clientVersion: '0.5.28',
  clientOSVersion: '5.0 (X11)',
  clientBrowserVersion: 'Mozilla/5.0',
};

describe('a signalling session', () => {
  it('answers connection with getUserData, field by field in the order of the seed, then getVersion', async () => {
    harness = await startHarness();
    const client = await harness.open();
    client.send('connection', CONNECTION);
    const userData = await client.any();
    const authToken = harness.sessions.find()[0]!.sessionId;
    expect(JSON.stringify(userData)).toBe(
      JSON.stringify({
        message: 'getUserData',
        data: [
          {
            useWsTunnel: false,
            useWsTunnelPacketization2: false,
            useBase64BinaryEncoding: false,
            mediaProviders: ['WebRTC', 'MSE', 'WSPlayer'],
            authToken,
            status: 'ESTABLISHED',
            clientVersion: '0.5.28',
            clientOSVersion: '5.0 (X11)',
            clientBrowserVersion: 'Mozilla/5.0',
            forceLogger: false,
            keepAlive: false,
          },
        ],
      }),
    );
    expect(authToken).toMatch(new RegExp(`^/127\\.0\\.0\\.1:\\d+/127\\.0\\.0\\.1:${harness.port}$`));
    expect(await client.any()).toEqual({ message: 'getVersion', data: ['5.2.0-test'] });
  });

  it('takes any path and selects no sub-protocol', async () => {
    harness = await startHarness();
    for (const path of ['/', '/1a2b3c4d', '/websocket', '/a/b?c=d']) {
      const client = await harness.open(path);
      client.send('connection', CONNECTION);
      await client.next('getUserData');
      expect(client.socket.protocol).toBe('');
      expect(client.socket.extensions).toBe('');
    }
  });

  it('sends getUserData once, however often the client connects', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    client.send('connection', CONNECTION);
    expect(await client.flush()).toEqual([]);
  });

  it('refuses with fail and closes without getUserData when the backend says no', async () => {
    const ask = vi.fn<Backend['ask']>(() => Promise.resolve({ allowed: false }));
    const sessionGone = vi.fn<Backend['sessionGone']>();
    harness = await startHarness({ backend: { ask, sessionGone } });
    const client = await harness.open();
    client.send('connection', { ...CONNECTION, custom: { token: [1, { a: null }] } });
    expect(await client.any()).toEqual({
      message: 'fail',
      data: [{ apiMethod: 'connect', info: 'Restricted access' }],
    });
    expect(await client.closed).toBe(1000);
    expect(ask).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ appKey: 'defaultApp', kind: 'websocket' }),
      'connect',
      expect.objectContaining({ custom: { token: [1, { a: null }] } }),
    );
    expect(sessionGone).toHaveBeenCalledExactlyOnceWith(ask.mock.calls[0]![0]);
    expect(harness.sessions.find()).toEqual([]);
  });

  it('refuses when the backend fails', async () => {
    harness = await startHarness({ backend: { ask: () => Promise.reject(new Error('hook down')) } });
    const client = await harness.open();
    client.send('connection', CONNECTION);
    expect((await client.next('fail')).data).toEqual([{ apiMethod: 'connect', info: 'Restricted access' }]);
  });

  it('leaves no session behind when the client goes while the backend thinks', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    const { promise: decision, resolve: decide } = Promise.withResolvers<BackendAnswer>();
    harness = await startHarness({
      backend: {
        ask: () => {
          resolve();
          return decision;
        },
      },
    });
    const client = await harness.open();
    client.send('connection', CONNECTION);
    await asked;
    client.socket.terminate();
    await expect.poll(() => harness.server.connectionCount).toBe(0);
    decide({ allowed: true });
    await expect.poll(() => harness.clock.pendingTimers).toBe(0);
    expect(harness.sessions.find()).toEqual([]);
  });

  it('ignores messages before connection, binary frames, broken, unknown and SIP messages', async () => {
    harness = await startHarness();
    const client = await harness.open();
    client.send('publishStream', { mediaSessionId: 'U1', name: 'a', sdp: 'x' });
    client.send('ping');
    client.socket.send(Buffer.from(JSON.stringify({ message: 'connection', data: [CONNECTION] })), { binary: true });
    client.socket.send('{');
    client.socket.send('[]');
    client.socket.send('{"message":"connection"}');
    expect((await client.any()).message).toBe('getUserData');
    await client.next('getVersion');
    client.send('call', { callId: 'c' });
    client.send('webRTCMetricsBatch', {});
    client.send('pushLogs', { logs: 'x' });
    client.send('submitBugReport', { text: 'x' });
    client.send('sessionDebug', { command: 'start' });
    client.socket.send(JSON.stringify({ message: 'unPublishStream' }));
    client.socket.send(Buffer.from([1, 2, 3]), { binary: true });
    expect(await client.flush()).toEqual([]);
    expect(harness.worker.published).toEqual([]);
  });

  it('survives a message that nests deeper than the stack', async () => {
    harness = await startHarness();
    const client = await harness.open();
    const logs = `${'['.repeat(60_000)}${']'.repeat(60_000)}`;
    client.socket.send(`{"message":"pushLogs","data":[{"logs":${logs}}]}`);
    client.send('connection', CONNECTION);
    expect((await client.any()).message).toBe('getUserData');
  });

  it('writes only so much of what a client reports into the log', async () => {
    const info = vi.fn<Logger['info']>();
    const logger: Logger = { ...silentLogger, info, child: () => logger };
    harness = await startHarness({ logger });
    const client = await harness.connect();
    const reportCount = () => info.mock.calls.filter(([, sentence]) => sentence === 'a client reports').length;
    for (let i = 0; i < 30; i += 1) client.send('pushLogs', { logs: 'x'.repeat(5000) });
    await client.flush();
    expect(reportCount()).toBe(10);
    harness.clock.advance(5000);
    for (let i = 0; i < 5; i += 1) client.send('submitBugReport', { text: 'x' });
    await client.flush();
    expect(reportCount()).toBe(11);
  });

  it('asks the backend before it takes a report into the log, and says so when it may not', async () => {
    const info = vi.fn<Logger['info']>();
    const logger: Logger = { ...silentLogger, info, child: () => logger };
    const ask = vi.fn<Backend['ask']>((_session, operation) =>
      Promise.resolve({ allowed: operation === 'connect' || operation === 'submitBugReport' }),
    );
    harness = await startHarness({ logger, backend: { ask } });
    const client = await harness.connect();
    client.send('pushLogs', { logs: 'a' });
    client.send('sessionDebug', { command: 'start' });
    client.send('submitBugReport', { text: 'x', type: 'no_image' });
    expect(await client.flush()).toEqual([
      { message: 'fail', data: [{ apiMethod: 'pushLogs', info: 'Restricted access' }] },
      { message: 'fail', data: [{ apiMethod: 'sessionDebug', info: 'Restricted access' }] },
    ]);
    expect(ask.mock.calls.slice(1, 4).map(([, operation, body]) => [operation, body])).toEqual([
      ['pushLogs', { logs: 'a' }],
      ['sessionDebug', { command: 'start' }],
      ['submitBugReport', { text: 'x', type: 'no_image' }],
    ]);
    const reports = info.mock.calls.filter(([, sentence]) => sentence === 'a client reports');
    expect(reports).toMatchObject([[{ from: 'submitBugReport' }, expect.anything()]]);
  });

  it('tells the backend what became of data that a client sent, and shows the client its share', async () => {
    const tell = vi.fn<Backend['tell']>(() => Promise.resolve('ok'));
    const forClient: Backend['forClient'] = (_session, event, body) =>
      event === 'DataStatusEvent' ? { ...body, info: undefined } : body;
    const ask: Backend['ask'] = (_session, operation) => Promise.resolve({ allowed: operation === 'connect' });
    harness = await startHarness({ backend: { ask, tell, forClient } });
    const client = await harness.connect();
    client.send('sendData', { operationId: 'op', payload: {} });
    expect((await client.any()).data).toEqual([{ operationId: 'op', status: 'FAILED' }]);
    expect(tell).toHaveBeenLastCalledWith(expect.anything(), 'DataStatusEvent', {
      operationId: 'op',
      status: 'FAILED',
      info: 'Restricted access',
    });
  });

  it('shows a client of its own connection what it may see', async () => {
    const forClient: Backend['forClient'] = (_session, event, body) =>
      event === 'ConnectionStatusEvent' ? { ...body, clientVersion: undefined } : body;
    harness = await startHarness({ backend: { forClient } });
    const client = await harness.open();
    client.send('connection', CONNECTION);
    const [userData] = (await client.next('getUserData')).data;
    expect(userData).toMatchObject({ status: 'ESTABLISHED', clientOSVersion: CONNECTION.clientOSVersion });
    expect(userData).not.toHaveProperty('clientVersion');
  });

  it('pings every five seconds and cuts off who is silent for ten', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    for (let i = 0; i < 9; i += 1) harness.clock.advance(5000);
    expect(await client.flush()).toEqual(Array.from({ length: 9 }, () => ({ message: 'ping', data: [] })));
    for (let i = 0; i < 10; i += 1) harness.clock.advance(5000);
    expect(harness.server.connectionCount).toBe(1);
    harness.clock.advance(5000);
    expect(await client.closed).toBe(1006);
  });

  it('cuts off who never connects', async () => {
    harness = await startHarness();
    const client = await harness.open();
    await expect.poll(() => harness.server.connectionCount).toBe(1);
    harness.clock.advance(55_000);
    expect(await client.closed).toBe(1006);
  });

  it('does not hold it against a client that its backend takes its time', async () => {
    const { promise, resolve } = Promise.withResolvers<BackendAnswer>();
    const ask = vi.fn<Backend['ask']>(() => promise);
    harness = await startHarness({ backend: { ask } });
    const client = await harness.open();
    client.send('connection', {});
    await expect.poll(() => ask).toHaveBeenCalledOnce();
    harness.clock.advance(600_000);
    resolve({ allowed: true });
    expect(await client.any()).toMatchObject({ message: 'getUserData' });
    harness.clock.advance(5000);
    expect(await client.any()).toMatchObject({ message: 'getVersion' });
  });

  it('uses WebSocket pings instead where configured', async () => {
    harness = await startHarness({ keepAlive: { algorithm: 'INTERNAL', intervalMs: 1000, probes: 2 } });
    const client = await harness.connect();
    const pinged = new Promise<void>((resolve) => client.socket.once('ping', () => resolve()));
    harness.clock.advance(1000);
    await pinged;
    expect(await client.flush()).toEqual([]);
  });

  it('closes a connection that sends too much at once, or too big a message', async () => {
    harness = await startHarness({ messageRate: { perSecond: 1, burst: 5 }, maxMessageBytes: 1000 });
    const fast = await harness.open();
    for (let i = 0; i < 6; i += 1) fast.send('ping');
    expect(await fast.closed).toBe(1008);
    const big = await harness.open();
    big.socket.send('x'.repeat(1001));
    expect(await big.closed).toBe(1009);
  });

  it('refuses connections over the limit and takes new ones when old ones are gone', async () => {
    harness = await startHarness({ maxConnections: 1 });
    const client = await harness.connect();
    await expect(harness.open()).rejects.toThrow('503');
    client.socket.close();
    await expect.poll(() => harness.server.connectionCount).toBe(0);
    await harness.connect();
  });

  it('refuses an address that holds its share of connections, and nobody else, with few words in the log', async () => {
    const warn = vi.fn<Logger['warn']>();
    const logger: Logger = { ...silentLogger, warn, child: () => logger };
    harness = await startHarness({ maxConnectionsPerAddress: 2, logger });
    const [first] = [await harness.connect(), await harness.connect()];
    for (let i = 0; i < 20; i += 1) await expect(harness.open()).rejects.toThrow('503');
    expect(warn).toHaveBeenCalledTimes(5);
    const elsewhere = new WebSocket(`ws://127.0.0.1:${harness.port}/`, { localAddress: '127.0.0.2' });
    await once(elsewhere, 'open');
    elsewhere.terminate();
    first.socket.close();
    await expect.poll(() => harness.server.connectionCount).toBe(1);
    await harness.connect();
  });

  it('finds and terminates sessions for REST, and gives them data', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const [session] = harness.sessions.find({ appKey: 'defaultApp' });
    expect(harness.sessions.find({ appKey: 'other' })).toEqual([]);
    harness.sessions.sendData(session!.sessionId, 'op', { a: 1 });
    expect(await client.any()).toEqual({ message: 'OnDataEvent', data: [{ operationId: 'op', payload: { a: 1 } }] });
    harness.sessions.terminate(session!.sessionId);
    expect(await client.closed).toBe(1000);
    await expect.poll(() => harness.sessions.find()).toEqual([]);
    expect(() => harness.sessions.terminate(session!.sessionId)).toThrow(
      expect.objectContaining({ code: 'SESSION_NOT_FOUND' }),
    );
  });

  it('leaves no timer and no connection behind when it is closed', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    await harness.server.close('shutdown');
    expect(await client.closed).toBe(1001);
    expect(harness.server.connectionCount).toBe(0);
    expect(harness.clock.pendingTimers).toBe(0);
    await expect(harness.open()).rejects.toThrow('503');
  });
});
