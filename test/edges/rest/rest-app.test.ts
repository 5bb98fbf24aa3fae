import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { restFixture, session, stream } from './rest-fixture.ts';
import type { RestFixture } from './rest-fixture.ts';

const accessControl = { allowOrigin: '*', allowHeaders: 'content-type', allowMethods: 'POST', headers: undefined };
let f: RestFixture;
beforeEach(() => {
  f = restFixture();
});
afterEach(() => f.close());

async function use(...options: Parameters<typeof restFixture>) {
  await f.close();
  f = restFixture(...options);
}

describe('errors', () => {
  it('have the body of WCS', async () => {
    const answer = await f.post('/push/mute?a=b', { mediaSessionId: 'nobody' });
    expect(answer.headers['content-type']).toBe('application/json;charset=UTF-8');
    const message = 'transponder "nobody" not found';
    const exception = 'com.flashphoner.rest.server.exception.NotFoundException';
    expect(answer.json()).toEqual({
      exception,
      reason: `${exception}, Not Found, ${message}`,
      path: '/rest-api/push/mute',
      error: 'Not Found',
      message,
      timestamp: 1_800_000_000_000,
      status: 404,
    });
  });

  it.each([
    ['{"a":', 'malformed JSON: the body ends too early'],
    ['{"a":x}', 'malformed JSON: Unexpected token'],
    ["{'a':1}", "malformed JSON: Expected property name or '}' in JSON at position 1"],
    ['[]', 'the body is JSON but no object'],
    ['null', 'the body is JSON but no object'],
    ['"text"', 'the body is JSON but no object'],
    [`{"a":${'['.repeat(40)}${']'.repeat(40)}}`, 'the body nests deeper than 32'],
  ])('name what is wrong with the body %s', async (body, message) => {
    const answer = await f.post('/push/find', body);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().message).toMatch(message);
  });

  it('are 413 for a body of more than 1 MB and 415 for one that is no JSON', async () => {
    expect((await f.post('/push/find', `{"a":"${'x'.repeat(1024 * 1024)}"}`)).statusCode).toBe(413);
    expect(
      (await f.post('/push/find', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' })).json(),
    ).toMatchObject({
      status: 415,
      error: 'Unsupported Media Type',
    });
  });

  it('are 404 for an unknown path, 405 for a wrong method, 400 for a path that is none', async () => {
    expect((await f.post('/push/dance')).json()).toMatchObject({ status: 404, path: '/rest-api/push/dance' });
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const answer = await f.app.inject({ method, url: '/rest-api/push/startup/' });
      expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'POST']);
      expect(answer.json()).toMatchObject({ status: 405, error: 'Method Not Allowed' });
    }
    const bad = await f.app.inject({ method: 'GET', url: '/rest-api/%zz' });
    expect(bad.json()).toMatchObject({ status: 400, error: 'Bad Request' });
  });

  it('of ours say nothing but a request id, which the log has with the reason', async () => {
    f.lists.streams = undefined as unknown as [];
    const answer = await f.post('/stream/find_all');
    expect(answer.statusCode).toBe(500);
    const [, requestId] = /^internal error, request id ([0-9a-f-]{36})$/.exec(answer.json().message)!;
    expect(f.logged.at(-1)).toContain(requestId);
    expect(f.logged.at(-1)).toContain('TypeError');
    expect(answer.body).not.toContain('TypeError');
  });
});

describe('a machine that is busy', () => {
  it('is told to who wants to start a push, with 503 and the reason', async () => {
    await use({}, { admission: { ok: false, reason: 'memory is short: 200 MiB are left' } });
    const answer = await f.post('/push/startup', { streamName: 'cam', rtmpUrl: 'rtmp://127.0.0.1/live' });
    expect(answer.json()).toMatchObject({
      status: 503,
      error: 'Service Unavailable',
      message: 'memory is short: 200 MiB are left',
    });
  });
});

describe('empty bodies', () => {
  it('are taken with and without a content type, by POST and GET', async () => {
    expect((await f.post('/stream/find_all')).statusCode).toBe(200);
    expect((await f.post('/stream/find_all', '')).statusCode).toBe(200);
    expect((await f.post('/stream/find', ' ')).statusCode).toBe(200);
    for (const method of ['GET', 'POST'] as const) {
      expect((await f.app.inject({ method, url: '/rest-api/connection/find_all' })).statusCode).toBe(200);
    }
    const typedGet = {
      method: 'GET',
      url: '/rest-api/stream/find_all',
      headers: { 'content-type': 'application/json' },
    };
    expect((await f.app.inject(typedGet as { method: 'GET' })).statusCode).toBe(200);
  });
});

describe('/stream', () => {
  it('finds by filter and says 404 when there is none', async () => {
    const filter = { name: 'cam', published: 'true', status: 'PUBLISHING', mediaSessionId: 'm1', display: ['metrics'] };
    expect((await f.post('/stream/find', filter)).json()).toEqual([stream]);
    expect(f.asked).toEqual([{ name: 'cam', published: true, status: 'PUBLISHING', mediaSessionId: 'm1' }]);
    f.lists.streams = [];
    for (const path of ['/stream/find', '/stream/find_all']) expect((await f.post(path)).statusCode).toBe(404);
  });

  it('terminates by filter, never everything by accident', async () => {
    const answer = await f.post('/stream/terminate', { mediaSessionIds: ['m1', 'm2'] });
    expect([answer.statusCode, answer.rawPayload.length]).toEqual([200, 0]);
    expect(f.asked).toEqual([{ mediaSessionIds: ['m1', 'm2'] }]);
    expect((await f.post('/stream/terminate', {})).statusCode).toBe(400);
    expect((await f.post('/stream/terminate', { streamName: 'cam' })).statusCode).toBe(400);
    f.lists.streams = [];
    expect((await f.post('/stream/terminate', { name: 'cam' })).statusCode).toBe(404);
  });
});

describe('data for clients', () => {
  it('goes to all players of a stream', async () => {
    const answer = await f.post('/stream/event/send', { streamName: 'cam', payload: { a: 1 } });
    expect([answer.statusCode, answer.rawPayload.length]).toEqual([200, 0]);
    expect(f.asked).toEqual([{ name: 'cam', payload: { a: 1 } }]);
    expect((await f.post('/stream/event/send', { streamName: 'none', payload: 1 })).statusCode).toBe(404);
    expect((await f.post('/stream/event/send', { streamName: 'cam' })).statusCode).toBe(400);
  });

  it.each([
    [{ sessionId: 's1' }, 200],
    [{ sessionIds: ['s1', 's1'] }, 200],
    [{ sessionIds: [] }, 400],
    [{}, 400],
  ])('goes to the connections that are named: %j is %i', async (whom, status) => {
    const answer = await f.post('/data/send', { nodeId: 'n', operationId: 'op', payload: { a: 1 }, ...whom });
    expect(answer.statusCode).toBe(status);
    const sent = f.asked.filter((one) => 'payload' in (one as object));
    expect(sent).toEqual(status === 200 ? [{ sessionId: 's1', operationId: 'op', payload: { a: 1 } }] : []);
  });

  it('goes nowhere where none of them is there', async () => {
    f.lists.sessions = [];
    expect((await f.post('/data/send', { payload: 1, sessionId: 's2' })).statusCode).toBe(404);
  });

  it('is 403 where the backend of one of them forbids it, and goes to the others', async () => {
    f.lists.sessions = [session, { ...session, sessionId: 's2' }];
    f.lists.forbiddenSessions = ['s2'];
    const answer = await f.post('/data/send', { operationId: 'op', payload: 1, sessionIds: ['s1', 's2', 's3'] });
    expect(answer.statusCode).toBe(403);
    expect(f.asked).toContainEqual({ sessionId: 's1', operationId: 'op', payload: 1 });
  });
});

describe('/connection', () => {
  it('takes a snapshot of a stream as base64 and answers 404 for a stream that is not there', async () => {
    expect((await f.post('/stream/snapshot', { streamName: 'cam' })).json()).toEqual({ data: 'cG5n' });
    expect((await f.post('/stream/snapshot', { streamName: 'none' })).statusCode).toBe(404);
    expect((await f.post('/stream/snapshot', {})).statusCode).toBe(400);
  });

  it('finds and terminates', async () => {
    expect((await f.post('/connection/find_all')).json()).toEqual([session]);
    expect((await f.post('/connection/find', { appKey: 'defaultApp', clientVersion: '2.0' })).json()).toEqual([
      session,
    ]);
    expect(f.asked.at(-1)).toEqual({ appKey: 'defaultApp', clientVersion: '2.0' });
    const ended = await f.post('/connection/terminate', { sessionId: 's1' });
    expect([ended.statusCode, ended.rawPayload.length]).toEqual([200, 0]);
    expect((await f.post('/connection/terminate', { sessionId: 's2' })).statusCode).toBe(404);
    expect((await f.post('/connection/terminate', {})).statusCode).toBe(400);
    f.lists.sessions = [];
    for (const path of ['/connection/find', '/connection/find_all']) expect((await f.post(path)).statusCode).toBe(404);
  });
});

describe('CORS', () => {
  const preflight = () => f.app.inject({ method: 'OPTIONS', url: '/rest-api/push/startup' });

  it('answers a preflight with 200 and the configured headers', async () => {
    const answer = await preflight();
    expect([answer.statusCode, answer.rawPayload.length]).toEqual([200, 0]);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'content-type,x-requested-with',
      'access-control-allow-methods': 'POST',
    });
    expect((await f.post('/push/dance')).headers['access-control-allow-origin']).toBe('*');
  });

  it('sends the custom list in place of the others', async () => {
    const headers = 'Access-Control-Allow-Origin: https://a.example; X-Other: a:b;;bad name: x';
    await use({ accessControl: { ...accessControl, headers } });
    const answer = await preflight();
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': 'https://a.example', 'x-other': 'a:b' });
    expect(answer.headers).not.toHaveProperty('access-control-allow-methods');
    expect(answer.headers).not.toHaveProperty('bad name');
  });
});

describe('HTTP Basic', () => {
  const authorization = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  beforeEach(() => use({ credentials: { user: 'admin', password: 'p:ss' } }));

  it('lets in who knows both, and a preflight, and nobody else', async () => {
    expect((await f.post('/stream/find_all', undefined, authorization('admin:p:ss'))).statusCode).toBe(200);
    for (const text of ['admin:wrong', 'other:p:ss', ':', 'admin', '']) {
      const answer = await f.post('/stream/find_all', undefined, authorization(text));
      expect(answer.json()).toMatchObject({ status: 401, error: 'Unauthorized' });
    }
    const without = await f.post('/push/startup', {});
    expect(without.statusCode).toBe(401);
    expect(without.headers['www-authenticate']).toBe('Basic realm="rest-api", charset="UTF-8"');
    expect((await f.app.inject({ method: 'GET', url: '/rest-api/openapi.json' })).statusCode).toBe(401);
    expect((await f.app.inject({ method: 'OPTIONS', url: '/rest-api/push/startup' })).statusCode).toBe(200);
    expect((await f.app.inject({ method: 'GET', url: '/health/live' })).statusCode).toBe(200);
  });

  it('hears nobody from an address for a minute after twenty wrong passwords, on whatever path', async () => {
    const get = (remoteAddress: string, url: string, password: string) =>
      f.app.inject({ method: 'GET', url, remoteAddress, headers: authorization(`admin:${password}`) });
    const paths = ['/rest-api/openapi.json', '/api/transponders', '/metrics'];
    for (let n = 0; n < 20; n++) {
      expect((await get('198.51.100.1', paths[n % paths.length]!, `guess${n}`)).statusCode).toBe(401);
    }
    f.clock.advance(20_000);
    for (const path of paths) {
      const refused = await get('198.51.100.1', path, 'p:ss');
      expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '40']);
      expect(refused.json()).toMatchObject({ status: 429, error: 'Too Many Requests', path });
    }
    // The same address as a socket for both families has it.
    expect((await get('::ffff:198.51.100.1', '/metrics', 'p:ss')).statusCode).toBe(429);
    expect((await get('198.51.100.2', '/metrics', 'p:ss')).statusCode).toBe(200);
    f.clock.advance(40_000);
    expect((await get('198.51.100.1', '/metrics', 'p:ss')).statusCode).toBe(200);
  });

  it('counts wrong passwords from all addresses of one IPv6 network together, and requests without any not at all', async () => {
    const get = (remoteAddress: string, headers: Record<string, string>) =>
      f.app.inject({ method: 'GET', url: '/metrics', remoteAddress, headers });
    for (let n = 0; n < 30; n++) expect((await get('2001:db8:1:3::1', {})).statusCode).toBe(401);
    expect((await get('2001:db8:1:3::1', authorization('admin:p:ss'))).statusCode).toBe(200);
    for (let n = 0; n < 20; n++) await get(`2001:db8:1:2::${n}`, authorization('admin:wrong'));
    expect((await get('2001:db8:1:2:ffff::1', authorization('admin:p:ss'))).statusCode).toBe(429);
    expect((await get('2001:db8:1:3::1', authorization('admin:p:ss'))).statusCode).toBe(200);
  });
});

describe('health', () => {
  it('says what listens, and 503 until all does', async () => {
    const ready = () => f.app.inject({ method: 'GET', url: '/health/ready' });
    expect((await ready()).json()).toEqual({ state: 'ready', ports: { http: 8081 } });
    f.readiness.now = { ready: false, state: 'starting', ports: {} };
    const answer = await ready();
    expect([answer.statusCode, answer.json()]).toEqual([503, { state: 'starting', ports: {} }]);
    expect((await f.app.inject({ method: 'GET', url: '/health/live' })).json()).toEqual({ state: 'live' });
  });
});

describe('/apps/EchoApp', () => {
  const echo = (method: string, payload: string) =>
    f.app.inject({
      method: 'POST',
      url: `/apps/EchoApp/${method}`,
      headers: { 'content-type': 'application/json;charset=UTF-8' },
      payload,
    });

  it('answers any method with its own body, to everybody', async () => {
    const guarded = restFixture({ credentials: { user: 'operator', password: 'correct horse' } });
    const body = '{"nodeId":"x@1","custom":{"b":[1,"2",null],"a":{}},"name":"Ä"}';
    for (const { app } of [f, guarded]) {
      const answer = await app.inject({
        method: 'POST',
        url: '/apps/EchoApp/publishStream',
        headers: { 'content-type': 'application/json' },
        payload: body,
      });
      expect([answer.statusCode, answer.body]).toEqual([200, body]);
      expect(answer.headers['content-type']).toBe('application/json;charset=UTF-8');
    }
    await guarded.close();
  });

  it('refuses what is no JSON object, and what is too much', async () => {
    expect((await echo('connect', 'x=y')).statusCode).toBe(400);
    expect((await echo('connect', '[]')).statusCode).toBe(400);
    expect((await echo('connect', JSON.stringify({ a: 'x'.repeat(2 ** 20) }))).statusCode).toBe(413);
    expect((await f.app.inject({ method: 'GET', url: '/apps/EchoApp/connect' })).statusCode).toBe(405);
  });
});

describe('/rest-api/openapi.json', () => {
  it('describes every method', async () => {
    const answer = await f.app.inject({ method: 'GET', url: '/rest-api/openapi.json' });
    const { paths } = answer.json();
    expect(Object.keys(paths).sort()).toEqual(
      [
        '/api/events',
        '/apps/EchoApp/{method}',
        ...['', '/{id}', '/{id}/restart', '/{id}/resume', '/{id}/stop'].map((path) => `/api/transponders${path}`),
        ...['find', 'find_all', 'terminate'].map((name) => `/rest-api/connection/${name}`),
        ...['find', 'find_all', 'mute', 'sound_off', 'sound_on', 'startup', 'terminate', 'unmute'].map(
          (name) => `/rest-api/push/${name}`,
        ),
        '/rest-api/data/send',
        ...['event/send', 'find', 'find_all', 'snapshot', 'terminate'].map((name) => `/rest-api/stream/${name}`),
      ].sort(),
    );
    const { schema } = paths['/rest-api/push/startup'].post.requestBody.content['application/json'];
    expect(schema.required).toEqual(['streamName', 'rtmpUrl']);
  });
});
