import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { BackendEvent, BackendSession } from '../../../src/services/backend.ts';
import type { RestHooks } from '../../../src/services/hooks/rest-hooks.ts';
import { json, mirror, TROUBLES, withConfig } from '../../support/hook-backend.ts';
import { hooksFixture } from './hooks-fixture.ts';

const FAIL = { restOnError: 'FAIL' };
const WAIT = { timeout: 15_000 };
/** It could not be asked; one that was, and said no, has not that. */
const OUTAGE = { allowed: false, isOutage: true };

async function connected(hooks: RestHooks, session: BackendSession): Promise<BackendSession> {
  expect(await hooks.ask(session, 'connect', {})).toEqual({ allowed: true });
  return session;
}

function status(hooks: RestHooks, session: BackendSession, value: string, event: BackendEvent = 'StreamStatusEvent') {
  return hooks.tell(session, event, { status: value });
}

describe('a hook', () => {
  it('is a POST to the URL of the application and the method, with who it is about before the rest', async () => {
    await using f = await hooksFixture();
    const session = f.session();
    await f.hooks.ask(session, 'connect', { keepAlive: false, custom: { a: 'Ä' }, login: undefined });
    const [request] = f.backend.requests;
    expect(request).toMatchObject({ verb: 'POST', path: '/my-app/connect' });
    expect(request!.raw.toString()).toBe(
      `{"nodeId":"N@192.0.2.1","appKey":"shop","sessionId":"${session.sessionId}","keepAlive":false,"custom":{"a":"Ä"}}`,
    );
    expect(request!.headers).toMatchObject({
      'content-type': 'application/json;charset=UTF-8',
      'content-length': String(request!.raw.length),
      accept: 'application/json',
      'user-agent': 'Transponder/test',
      connection: 'keep-alive',
    });
    expect(request!.headers).not.toHaveProperty('authorization');
  });

  it('cannot be made to speak for another session by what a client says', async () => {
    await using f = await hooksFixture();
    const session = f.session();
    const claim = { appKey: 'admin', text: 'x', sessionId: '/1.1.1.1:1/2.2.2.2:2', nodeId: 'me' };
    await f.hooks.ask(session, 'submitBugReport', claim);
    expect(Object.entries(f.backend.requests[0]!.body)).toEqual([
      ['nodeId', 'N@192.0.2.1'],
      ['appKey', 'shop'],
      ['sessionId', session.sessionId],
      ['text', 'x'],
    ]);
  });

  it('carries the credentials of its application', async () => {
    await using f = await hooksFixture({ backend: { credentials: { username: 'üser', password: 'p:w' } } });
    await f.hooks.ask(f.session(), 'connect', {});
    const [scheme, value] = f.backend.requests[0]!.headers.authorization!.split(' ');
    expect([scheme, Buffer.from(value!, 'base64').toString()]).toEqual(['Basic', 'üser:p:w']);
  });

  it('is signed over the bytes of its body', async () => {
    await using f = await hooksFixture({ secretKey: 'the key' });
    await f.hooks.ask(f.session(), 'connect', { custom: '€' });
    const [request] = f.backend.requests;
    const hash = createHmac('md5', 'the key').update(request!.raw).digest('hex');
    expect(request!.headers.authorization).toBe(`WCS ${hash}`);
  });

  it('uses a connection again', async () => {
    await using f = await hooksFixture();
    for (let n = 0; n < 5; n++) await f.hooks.ask(f.session(), 'connect', {});
    expect(f.backend.connections).toBe(1);
  });

  it('is sent again over a new connection when the backend has just closed the kept one', async () => {
    await using f = await hooksFixture();
    await f.hooks.ask(f.session(), 'connect', {});
    const connections = new Set<unknown>();
    f.backend.answer = (response, request) => {
      connections.add(response.socket);
      if (connections.size === 1) response.socket?.resetAndDestroy();
      else mirror(response, request);
    };
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual({ allowed: true });
    expect(connections.size).toBe(2);
  });

  it('is not sent again when its answer breaks off', async () => {
    await using f = await hooksFixture();
    await f.hooks.ask(f.session(), 'connect', {});
    f.backend.answer = (response) => {
      response.writeHead(200, { 'content-length': 9 });
      response.write('{', () => response.socket?.resetAndDestroy());
    };
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual(OUTAGE);
    await f.hooks.close();
    expect([f.backend.connections, f.backend.requests.length]).toEqual([1, 2]);
  });
});

describe('connect', () => {
  it.each(Object.entries(TROUBLES))('is refused when the backend %s', async (what, answer) => {
    await using f = await hooksFixture();
    f.backend.answer = answer;
    const verdict = what === 'refuses with 403' ? { allowed: false } : OUTAGE;
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual(verdict);
    expect(f.backend.requests.map(({ path }) => path)).toEqual(['/my-app/connect']);
    expect(f.done).toMatchObject([{ method: 'connect', outcome: expect.not.stringMatching('ok') }]);
  });

  it.each<[string, (f: Awaited<ReturnType<typeof hooksFixture>>) => void]>([
    ['hangs', (f) => (f.backend.answer = () => {})],
    [
      'answers byte by byte',
      (f) => (f.backend.answer = (response) => void response.writeHead(200, { 'content-length': 9 }).write('{')),
    ],
  ])('is refused when the backend %s for longer than the timeout', async (_what, prepare) => {
    await using f = await hooksFixture();
    prepare(f);
    const asked = f.hooks.ask(f.session(), 'connect', {});
    await expect.poll(() => f.backend.requests.length, WAIT).toBe(1);
    f.clock.advance(14_999);
    expect(f.done).toEqual([]);
    f.clock.advance(1);
    expect(await asked).toEqual(OUTAGE);
    expect(f.done).toMatchObject([{ outcome: 'timeout', seconds: 15 }]);
    await expect.poll(() => f.backend.openConnections, WAIT).toBe(0);
  });

  it('is refused when nobody listens', async () => {
    await using f = await hooksFixture({ backend: { url: 'http://127.0.0.1:9/x' } });
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual(OUTAGE);
    expect(f.logged.join()).toContain('ECONNREFUSED');
  });

  it('is refused for a key that no application has, whatever else is allowed', async () => {
    await using f = await hooksFixture({ isDisabled: true });
    expect(await f.hooks.ask(f.session('shopp'), 'connect', {})).toEqual({ allowed: false });
  });

  it.each(['', '  \r\n', '{}'])('is allowed by 200 and the body %j', async (text) => {
    await using f = await hooksFixture();
    f.backend.answer = (response) => response.writeHead(200).end(text);
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual({ allowed: true });
  });

  it('waits for ever where there is no timeout', async () => {
    await using f = await hooksFixture({ timeoutMs: 0 });
    f.backend.answer = (response, request) => void setImmediate(() => mirror(response, request));
    const asked = f.hooks.ask(f.session(), 'connect', {});
    f.clock.advance(86_400_000);
    expect(await asked).toEqual({ allowed: true });
    expect(f.clock.pendingTimers).toBe(0);
  });
});

describe('nobody is asked or told', () => {
  it.each<[string, Parameters<typeof hooksFixture>[0], string]>([
    ['of an application without a backend', {}, 'open'],
    ['while REST requests are disabled', { isDisabled: true }, 'shop'],
    ['of methods that the application does not list', { backend: { methods: new Set(['pushLogs']) } }, 'shop'],
  ])('%s', async (_what, options, appKey) => {
    await using f = await hooksFixture(options);
    f.backend.answer = TROUBLES['refuses with 403']!;
    const session = await connected(f.hooks, f.session(appKey));
    expect(await f.hooks.ask(session, 'publishStream', {})).toEqual({ allowed: true });
    expect(await status(f.hooks, session, 'PENDING')).toBe('ok');
    expect(f.backend.requests).toEqual([]);
  });

  it('of methods that the session disables', async () => {
    await using f = await hooksFixture();
    const off = { restPolicy: 'DISABLE', ...FAIL };
    f.backend.answer = withConfig({ publishStream: off, StreamStatusEvent: { ...off, restPolicy: 'DISABLED' } });
    const session = await connected(f.hooks, f.session());
    f.backend.answer = TROUBLES['refuses with 403']!;
    expect(await f.hooks.ask(session, 'publishStream', {})).toEqual({ allowed: true });
    expect(await status(f.hooks, session, 'PENDING')).toBe('ok');
    expect(f.backend.story).toEqual(['connect']);
  });
});

describe.each(Object.entries(TROUBLES))('when the backend %s', (_what, answer) => {
  it('clients go on with LOG, and are refused with FAIL', async () => {
    await using f = await hooksFixture();
    const lenient = await connected(f.hooks, f.session());
    f.backend.answer = withConfig({ publishStream: FAIL, StreamStatusEvent: FAIL });
    const strict = await connected(f.hooks, f.session());
    f.backend.answer = answer;
    expect(await f.hooks.ask(lenient, 'publishStream', {})).toEqual({ allowed: true });
    expect(await f.hooks.ask(strict, 'publishStream', {})).toEqual({ allowed: false });
    expect(await f.hooks.ask(strict, 'playStream', {})).toEqual({ allowed: true });
    expect(await status(f.hooks, lenient, 'PUBLISHING')).toBe('ok');
    expect(await status(f.hooks, strict, 'PUBLISHING')).toBe('denied');
    expect(await status(f.hooks, strict, 'x', 'StreamKeepAliveEvent')).toBe('ok');
  });
});

describe('restClientConfig', () => {
  it('replaces with OVERWRITE the listed fields of the answer, and no others', async () => {
    await using f = await hooksFixture();
    const policy = { restPolicy: 'OVERWRITE', restOverwrite: 'name, custom, record' };
    f.backend.answer = withConfig({ publishStream: policy, playStream: { ...policy, restPolicy: 'NOTIFY' } });
    const session = await connected(f.hooks, f.session());
    f.backend.answer = (response) => json(response, { name: 'renamed', custom: { a: 1 }, rtmpUrl: 'rtmp://h/a/b' });
    const body = { name: 'mine' };
    expect(await f.hooks.ask(session, 'publishStream', body)).toEqual({
      allowed: true,
      overwrite: { name: 'renamed', custom: { a: 1 } },
    });
    expect(await f.hooks.ask(session, 'playStream', body)).toEqual({ allowed: true });
  });

  it('keeps fields from the backend and from the client, but not those that clients need', async () => {
    await using f = await hooksFixture();
    const clientExclude = 'info,name,mediaSessionId,status';
    f.backend.answer = withConfig({ StreamStatusEvent: { restExclude: 'sdp, nodeId', clientExclude } });
    const page = await connected(f.hooks, f.session());
    const encoder = await connected(f.hooks, f.session('shop', 'rtmp'));
    const body = { mediaSessionId: 'm', name: 'n', status: 'FAILED', info: 'i', sdp: 'v=0' };
    await f.hooks.tell(page, 'StreamStatusEvent', body);
    const { appKey, sessionId } = page;
    expect(f.backend.bodies('StreamStatusEvent')).toEqual([
      { appKey, sessionId, mediaSessionId: 'm', name: 'n', status: 'FAILED', info: 'i' },
    ]);
    const shown = { mediaSessionId: 'm', status: 'FAILED', sdp: 'v=0' };
    expect(f.hooks.forClient(page, 'StreamStatusEvent', body)).toEqual(shown);
    expect(f.hooks.forClient(page, 'OnDataEvent', body)).toEqual(body);
    expect(f.hooks.forClient(encoder, 'StreamStatusEvent', body)).toEqual(body);
  });

  it('belongs to one session and ends with it; what is not known of it is logged once', async () => {
    await using f = await hooksFixture();
    f.backend.answer = withConfig({ publishStream: { ...FAIL, restOnFire: 1 }, publishstream: FAIL });
    const session = await connected(f.hooks, f.session());
    const ignored = f.logged.filter((line) => line.includes('restClientConfig'));
    expect(ignored).toHaveLength(1);
    expect(ignored[0]).toContain('["publishStream.restOnFire","publishstream"]');
    f.backend.answer = TROUBLES['refuses with 403']!;
    expect(await f.hooks.ask(f.session(), 'publishStream', {})).toEqual({ allowed: true });
    expect(await f.hooks.ask(session, 'publishStream', {})).toEqual({ allowed: false });
  });
});

describe('the order', () => {
  it('of what one session tells is kept, one request at a time, and what it asks comes behind', async () => {
    await using f = await hooksFixture();
    f.backend.answer = (response, request) => void setImmediate(() => mirror(response, request));
    const session = await connected(f.hooks, f.session());
    for (let n = 0; n < 20; n++) void status(f.hooks, session, String(n));
    const asked = f.hooks.ask(session, 'unPublishStream', {});
    await asked;
    const told = Array.from({ length: 20 }, (_, n) => `StreamStatusEvent ${n}`);
    expect(f.backend.story).toEqual(['connect', ...told, 'unPublishStream']);
    expect(f.backend.mostAtOnce).toBe(1);
  });

  it('is given up for a direct invocation after a second, so that a client does not wait for events', async () => {
    await using f = await hooksFixture();
    const session = await connected(f.hooks, f.session());
    f.backend.answer = (response, request) => {
      if (request.method !== 'StreamStatusEvent') mirror(response, request);
    };
    void status(f.hooks, session, 'PENDING');
    const asked = f.hooks.ask(session, 'playStream', {});
    await expect.poll(() => f.backend.story, WAIT).toEqual(['connect', 'StreamStatusEvent PENDING']);
    f.clock.advance(1000);
    expect(await asked).toEqual({ allowed: true });
    expect(f.backend.story.at(-1)).toBe('playStream');
  });

  it('is not lost by events that come up while a question waits for those before it', async () => {
    await using f = await hooksFixture();
    const session = await connected(f.hooks, f.session());
    const waiting: (() => void)[] = [];
    f.backend.answer = (response, request) => void waiting.push(() => mirror(response, request));
    void status(f.hooks, session, 'before');
    const asked = f.hooks.ask(session, 'playStream', {});
    void status(f.hooks, session, 'after');
    for (const count of [1, 2, 3]) {
      await expect.poll(() => waiting.length, WAIT).toBeGreaterThanOrEqual(count);
      waiting[count - 1]!();
    }
    expect(await asked).toEqual({ allowed: true });
    const [, ...rest] = f.backend.story;
    expect(rest[0]).toBe('StreamStatusEvent before');
    expect(rest.slice(1).toSorted()).toEqual(['StreamStatusEvent after', 'playStream']);
  });

  it('ends with the session: what it had told goes out by its rules, and nothing is asked or told any more', async () => {
    await using f = await hooksFixture();
    f.backend.answer = withConfig({ StreamStatusEvent: FAIL, DataStatusEvent: { restPolicy: 'DISABLE' } });
    const session = await connected(f.hooks, f.session());
    const waiting: (() => void)[] = [];
    f.backend.answer = (response, request) => void waiting.push(() => mirror(response, request));
    const established = status(f.hooks, session, 'ESTABLISHED', 'ConnectionStatusEvent');
    const asked = f.hooks.ask(session, 'publishStream', {});
    void status(f.hooks, session, 'DISCONNECTED', 'ConnectionStatusEvent');
    f.hooks.sessionGone(session);
    await expect.poll(() => waiting.length, WAIT).toBe(1);
    waiting[0]!();
    expect(await established).toBe('ok');
    expect(await asked).toEqual({ allowed: false });
    expect(await f.hooks.ask(session, 'unPublishStream', {})).toEqual({ allowed: false });
    expect(await status(f.hooks, session, 'x', 'DataStatusEvent')).toBe('ok');
    await expect.poll(() => waiting.length, WAIT).toBe(2);
    waiting[1]!();
    await f.hooks.close();
    expect(f.backend.story.slice(1)).toEqual([
      'ConnectionStatusEvent ESTABLISHED',
      'ConnectionStatusEvent DISCONNECTED',
    ]);
  });

  it('goes on after an event that failed', async () => {
    await using f = await hooksFixture();
    const session = await connected(f.hooks, f.session());
    f.backend.answer = (response, request) => {
      if (request.body['status'] === 'a') response.socket?.destroy();
      else mirror(response, request);
    };
    const verdicts = ['a', 'b'].map((value) => status(f.hooks, session, value));
    expect(await Promise.all(verdicts)).toEqual(['ok', 'ok']);
    expect(f.backend.story.at(-1)).toBe('StreamStatusEvent b');
  });
});

describe('a backend that hangs', () => {
  it('costs a session its oldest events, which is counted and counts as failed', async () => {
    await using f = await hooksFixture();
    f.backend.answer = withConfig({ StreamStatusEvent: FAIL });
    const session = await connected(f.hooks, f.session());
    f.backend.answer = () => {};
    const verdicts = Array.from({ length: 103 }, (_, n) => status(f.hooks, session, String(n)));
    expect(await Promise.all(verdicts.slice(1, 3))).toEqual(['denied', 'denied']);
    expect(f.done.filter(({ outcome }) => outcome === 'dropped')).toHaveLength(2);
    expect(f.logged.join('\n')).toContain('"outcome":"dropped"');
  });

  it('holds up no other application, and never has more than its connections', async () => {
    const open = await hooksFixture();
    await using other = open;
    const more = [{ name: 'Other', appKey: 'other', backend: { url: other.backend.url } }];
    await using f = await hooksFixture({ maxConnections: 3, more });
    f.backend.answer = () => {};
    const asked = Array.from({ length: 10 }, () => f.hooks.ask(f.session(), 'connect', {}));
    await expect.poll(() => f.backend.requests.length, WAIT).toBe(3);
    expect(await f.hooks.ask(f.session('other'), 'connect', {})).toEqual({ allowed: true });
    f.clock.advance(15_000);
    expect(await Promise.all(asked)).toEqual(asked.map(() => OUTAGE));
    expect(f.backend.requests).toHaveLength(3);
    f.backend.answer = mirror;
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual({ allowed: true });
  });

  it('is asked no more than a hundred things at once for one client; others are asked on', async () => {
    await using f = await hooksFixture();
    f.backend.answer = withConfig({ snapshot: FAIL });
    const session = await connected(f.hooks, f.session());
    const other = await connected(f.hooks, f.session());
    f.backend.answer = () => {};
    const asked = Array.from({ length: 100 }, () => f.hooks.ask(session, 'availableStream', {}));
    expect(await f.hooks.ask(session, 'availableStream', {})).toEqual({ allowed: true });
    expect(await f.hooks.ask(session, 'snapshot', {})).toEqual({ allowed: false });
    const overloaded = f.done.filter(({ outcome }) => outcome === 'overloaded');
    expect(overloaded.map(({ method }) => method)).toEqual(['availableStream', 'snapshot']);
    void f.hooks.ask(other, 'sendData', {});
    await expect.poll(() => f.backend.requests.length, WAIT).toBe(103);
    f.clock.advance(15_000);
    await Promise.all(asked);
    f.backend.answer = mirror;
    expect(await f.hooks.ask(session, 'snapshot', {})).toEqual({ allowed: true });
  });

  it('holds no more than 64 MiB of bodies', async () => {
    await using f = await hooksFixture({ maxConnections: 1 });
    f.backend.answer = () => {};
    const custom = 'x'.repeat(4 * 1024 * 1024);
    const asked = Array.from({ length: 15 }, () => f.hooks.ask(f.session(), 'connect', { custom }));
    expect(await f.hooks.ask(f.session(), 'connect', { custom })).toEqual(OUTAGE);
    expect(f.done.map(({ outcome }) => outcome)).toEqual(['overloaded']);
    f.clock.advance(15_000);
    await Promise.all(asked);
    f.backend.answer = (response) => json(response, {});
    expect(await f.hooks.ask(f.session(), 'connect', { custom })).toEqual({ allowed: true });
  });

  it('fills the log at no more than a line a second', async () => {
    await using f = await hooksFixture();
    f.backend.answer = TROUBLES['answers 500']!;
    for (let n = 0; n < 50; n++) await f.hooks.ask(f.session(), 'connect', {});
    expect(f.logged).toHaveLength(10);
  });
});

describe('the end of the server', () => {
  it('waits until everything is told', async () => {
    await using f = await hooksFixture();
    f.backend.answer = (response, request) => void setImmediate(() => mirror(response, request));
    const session = await connected(f.hooks, f.session());
    void status(f.hooks, session, 'UNPUBLISHED');
    void status(f.hooks, session, 'DISCONNECTED', 'ConnectionStatusEvent');
    f.hooks.sessionGone(session);
    await f.hooks.close();
    expect(f.backend.story.slice(1)).toEqual(['StreamStatusEvent UNPUBLISHED', 'ConnectionStatusEvent DISCONNECTED']);
    expect(f.clock.pendingTimers).toBe(0);
  });

  it('but not longer than two seconds', async () => {
    await using f = await hooksFixture();
    f.backend.answer = () => {};
    const session = f.session();
    const verdicts = ['a', 'b'].map((value) => status(f.hooks, session, value));
    const asked = f.hooks.ask(f.session(), 'connect', {});
    await expect.poll(() => f.backend.requests.length, WAIT).toBe(2);
    const closed = f.hooks.close();
    f.clock.advance(2000);
    await closed;
    expect(await Promise.all([...verdicts, asked])).toEqual(['ok', 'ok', OUTAGE]);
    await expect.poll(() => f.backend.openConnections, WAIT).toBe(0);
    expect(await f.hooks.ask(f.session(), 'connect', {})).toEqual(OUTAGE);
    expect(f.clock.pendingTimers).toBe(0);
  });
});

it('no secret and no body gets into the log', async () => {
  const secret = 'canary-secret';
  const backend = { url: `http://127.0.0.1:9/${secret}`, credentials: { username: 'u', password: secret } };
  await using f = await hooksFixture({ backend });
  await f.hooks.ask(f.session(), 'connect', { custom: secret });
  await f.hooks.tell(f.session(), 'StreamStatusEvent', { rtmpUrl: secret, status: 'FAILED' });
  expect(f.logged).toHaveLength(2);
  expect(f.logged.join()).not.toContain(secret);
});
