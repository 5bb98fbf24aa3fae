import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rowWith } from '../../store/store-fixture.ts';
import { restFixture } from './rest-fixture.ts';
import type { RestFixture } from './rest-fixture.ts';

const startup = { streamName: 'cam', rtmpUrl: 'rtmp://user:canary1@dest.example:1935/live' };
let f: RestFixture;
beforeEach(() => {
  f = restFixture();
});
afterEach(() => f.close());

async function startedId(body: object = startup): Promise<string> {
  const answer = await f.post('/push/startup', body);
  expect(answer.statusCode).toBe(200);
  return answer.json().mediaSessionId;
}

async function ask(method: 'GET' | 'POST', url: string) {
  const answer = await f.app.inject({ method, url: `/api${url}` });
  expect(answer.body).not.toContain('canary');
  return { status: answer.statusCode, body: answer.json(), text: answer.body };
}

describe('GET /api/transponders', () => {
  it('lists live and ended ones, newest first, by state, kind and stream, page by page', async () => {
    const first = await startedId();
    f.runs.last.end('dest_rejected');
    f.clock.advance(1);
    const second = await startedId();
    const { status, body } = await ask('GET', '/transponders');
    expect(status).toBe(200);
    expect(body.total).toBe(2);
    expect(body.transponders.map(({ id }: { id: string }) => id)).toEqual([second, first]);
    const idsOf = async (query: string) =>
      (await ask('GET', `/transponders?${query}`)).body.transponders.map(({ id }: { id: string }) => id);
    expect(await idsOf('state=FAILED')).toEqual([first]);
    expect(await idsOf('streamName=cam&kind=rtmp_push&limit=1&offset=1')).toEqual([first]);
    expect(await idsOf('streamName=other')).toEqual([]);
  });

  it.each(['state=BROKEN', 'kind=x', 'limit=0', 'limit=201', 'offset=-1'])('refuses %s', async (query) => {
    const { status, body } = await ask('GET', `/transponders?${query}`);
    expect(status).toBe(400);
    expect(body.message).toContain(query.split('=')[0]);
  });
});

describe('GET /api/transponders/:id', () => {
  it('has the effective policy, live figures, runs and events, and no secret', async () => {
    const id = await startedId({ ...startup, restartPolicy: { kind: 'persistent', capMs: 5000 } });
    f.runs.last.becomeActive();
    f.clock.advance(2000);
    f.runs.last.options.onEvent({
      type: 'progress',
      bytesOut: 5000,
      framesOut: 50,
      fps: 25,
      bitrateBps: 800_000,
      bytesAcknowledged: 4000,
      backlogBytes: 12,
      droppedUnits: { video: 1, audio: 2 },
    });
    const { body } = await ask('GET', `/transponders/${id}`);
    expect(body).toMatchObject({
      id,
      kind: 'rtmp_push',
      caller: 'rest',
      destination: 'rtmp://dest.example:1935/live/***',
      desired: 'run',
      state: 'ACTIVE',
      restartPolicy: { kind: 'persistent', baseMs: 1000, capMs: 5000, stableAfterMs: 30_000 },
      params: { width: 0, height: 0 },
      live: {
        bitrateBps: 800_000,
        fps: 25,
        backlogBytes: 12,
        bytesAccepted: 5000,
        bytesAcknowledged: 4000,
        uptimeMs: 2000,
        cpuMs: 120,
        rssBytes: 20_000_000,
        maxRssBytes: 30_000_000,
        droppedVideoUnits: 1,
        droppedAudioUnits: 2,
      },
      runs: [{ endedAtMs: null, stderrTail: 'what it says' }],
    });
    f.runs.last.end('dest_reset', 'closed by peer');
    const after = (await ask('GET', `/transponders/${id}`)).body;
    expect(after.live).toBeUndefined();
    expect(after.runs).toEqual([
      expect.objectContaining({
        pid: 1,
        exitClass: 'dest_reset',
        exitDetail: 'closed by peer',
        bytesOut: 5000,
        bytesAcknowledged: 4000,
        framesOut: 50,
        cpuMs: 120,
        maxRssBytes: 30_000_000,
        stderrTail: 'head\ntail',
      }),
    ]);
    expect(after.events.map(({ type, toState }: { type: string; toState: string }) => `${type} ${toState}`)).toEqual([
      'runEnded BACKOFF',
      'active ACTIVE',
      'sourceUp STARTING',
    ]);
    expect(after.events[0]).toMatchObject({ exitClass: 'dest_reset', fromState: 'ACTIVE' });
    expect(JSON.stringify(after)).not.toContain(f.runs.last.options.nonce);
  });

  it('answers 404 for one that never was', async () => {
    expect((await ask('GET', '/transponders/nobody')).status).toBe(404);
    for (const verb of ['stop', 'resume', 'restart']) {
      expect((await ask('POST', `/transponders/nobody/${verb}`)).status).toBe(404);
      expect((await ask('GET', `/transponders/nobody/${verb}`)).status).toBe(405);
    }
  });
});

describe('POST /api/transponders/:id', () => {
  it('stop ends it for good, and once only', async () => {
    const id = await startedId();
    expect(await ask('POST', `/transponders/${id}/stop`)).toMatchObject({
      status: 200,
      body: { state: 'TERMINATED', desired: 'stop', reason: 'asked_stop' },
    });
    for (const verb of ['stop', 'resume', 'restart']) {
      const { status, body } = await ask('POST', `/transponders/${id}/${verb}`);
      expect([verb, status, body.message]).toEqual([verb, 409, expect.stringContaining('TERMINATED')]);
    }
  });

  it('resume starts one that backs off at once', async () => {
    const id = await startedId({ ...startup, restartPolicy: { kind: 'wcs', attempts: 1, intervalMs: 60_000 } });
    expect((await ask('POST', `/transponders/${id}/resume`)).status).toBe(409);
    f.runs.last.end('dest_refused');
    expect((await ask('POST', `/transponders/${id}/resume`)).body).toMatchObject({ state: 'STARTING', attempt: 1 });
    expect(f.runs.started).toHaveLength(2);
  });

  it('resume starts a failed one under its id, with a full budget', async () => {
    const id = await startedId();
    f.runs.last.end('dest_rejected');
    expect((await ask('POST', `/transponders/${id}/resume`)).body).toMatchObject({
      id,
      attempt: 0,
      terminatedAtMs: null,
    });
    expect((await ask('GET', `/transponders/${id}`)).body).toMatchObject({ state: 'STARTING', restartsTotal: 0 });
    expect(f.runs.last.options.target.host).toBe('dest.example');
    f.runs.last.becomeActive();
    expect((await f.post('/push/find_all')).json()).toHaveLength(1);
  });

  it('resume of a failed one is refused where a new one has its place', async () => {
    const id = await startedId();
    f.runs.last.end('dest_rejected');
    await startedId();
    const { status, body } = await ask('POST', `/transponders/${id}/resume`);
    expect([status, body.message]).toEqual([409, expect.stringContaining('already exists')]);
    expect((await ask('GET', `/transponders/${id}`)).body.state).toBe('FAILED');
  });

  it('restart ends the run, starts another one and spends no try', async () => {
    f.runs.diesWhenAsked = false;
    const id = await startedId();
    f.runs.last.becomeActive();
    expect((await ask('POST', `/transponders/${id}/restart`)).body).toMatchObject({ state: 'STOPPING' });
    expect((await ask('POST', `/transponders/${id}/restart`)).status).toBe(409);
    expect(f.runs.started).toHaveLength(1);
    f.runs.last.end('asked_stop');
    const { body } = await ask('GET', `/transponders/${id}`);
    expect(body).toMatchObject({ state: 'STARTING', attempt: 0, restartsTotal: 1 });
    expect(body.runs[1].exitClass).toBe('restart_requested');
  });
});

describe('restartPolicy of /push/startup', () => {
  it.each([
    ['forever', 'must match pattern'],
    [{ attempts: 3 }, "must have required property 'kind'"],
    [{ kind: 'sometimes' }, 'restartPolicy.kind must be equal to one of the allowed values'],
    [{ kind: 'wcs', attempts: 3 }, 'needs attempts and intervalMs'],
    [{ kind: 'wcs', attempts: 3, intervalMs: 100, capMs: 5 }, 'capMs must be >= 100'],
    [{ kind: 'wcs', attempts: 3, intervalMs: 100, capMs: 500 }, 'of kind "wcs" has no capMs'],
    [{ kind: 'persistent', attempts: 3 }, 'of kind "persistent" has no attempts'],
    [{ kind: 'persistent', baseMs: 500, capMs: 400 }, 'capMs 400 is less than baseMs 500'],
    [{ kind: 'persistent', color: 'red' }, 'must NOT have additional properties'],
  ])('%o is refused with a sentence that says why', async (restartPolicy, sentence) => {
    const answer = await f.post('/push/startup', { ...startup, restartPolicy });
    expect([answer.statusCode, answer.json().message]).toEqual([400, expect.stringContaining(sentence)]);
    expect(f.runs.started).toHaveLength(0);
  });

  it.each([
    [undefined, { kind: 'wcs', attempts: 0, intervalMs: 5000 }],
    ['wcs', { kind: 'wcs', attempts: 0, intervalMs: 5000 }],
    ['persistent', { kind: 'persistent', baseMs: 1000, capMs: 30_000, stableAfterMs: 30_000 }],
    [
      { kind: 'wcs', attempts: 2, intervalMs: 100 },
      { kind: 'wcs', attempts: 2, intervalMs: 100 },
    ],
    [
      { kind: 'persistent', baseMs: 60_000 },
      { kind: 'persistent', baseMs: 60_000, capMs: 60_000, stableAfterMs: 30_000 },
    ],
  ])('%o becomes the effective policy %o', async (restartPolicy, effective) => {
    const id = await startedId({ ...startup, restartPolicy });
    expect((await ask('GET', `/transponders/${id}`)).body.restartPolicy).toEqual(effective);
  });
});

describe('GET /api/events', () => {
  /** The routes on a real socket, because a feed never ends by itself. */
  async function listening() {
    await f.app.ready();
    const first = Promise.withResolvers<ServerResponse>();
    const server = createServer((request, response) => {
      first.resolve(response);
      f.app.routing(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/api/events`;
    return { port, url, response: first.promise, close: () => (server.closeAllConnections(), server.close()) };
  }

  /** Reads on until the text holds what is waited for. */
  function reader(response: Response) {
    const stream = response.body!.getReader();
    let text = '';
    return {
      async until(wanted: string): Promise<string> {
        while (!text.includes(wanted)) {
          const { value, done } = await stream.read();
          if (done) throw new Error(`the feed ended before "${wanted}": ${text}`);
          text += Buffer.from(value).toString();
        }
        return text;
      },
      isDone: async () => (await stream.read()).done,
      cancel: () => stream.cancel(),
    };
  }

  it('tells every transition with its number, and goes on behind the last one that a client has', async () => {
    const server = await listening();
    try {
      const response = await fetch(server.url);
      expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
      const feed = reader(response);
      await feed.until('retry: 2000');
      const id = await startedId();
      f.runs.last.becomeActive();
      const text = await feed.until('"toState":"ACTIVE"');
      expect(text).toContain(
        `id: 1\ndata: {"seq":1,"atMs":${f.clock.nowMs()},"transponderId":"${id}","type":"sourceUp"`,
      );
      expect(text).not.toContain('canary');
      await feed.cancel();
      f.runs.last.end('dest_reset', 'closed by peer');
      const again = reader(await fetch(server.url, { headers: { 'last-event-id': '1' } }));
      const rest = await again.until('"toState":"FAILED"');
      expect(rest.match(/^id: \d+$/gm)).toEqual(['id: 2', 'id: 3']);
      expect(rest).toContain('"exitClass":"dest_reset"');
      await again.cancel();
    } finally {
      server.close();
    }
  });

  it('shows that it lives every 15 seconds, ends with the server and leaves no timer', async () => {
    const server = await listening();
    try {
      const timers = f.clock.pendingTimers;
      const feed = reader(await fetch(server.url));
      await feed.until('retry');
      expect(f.clock.pendingTimers).toBe(timers + 1);
      f.clock.advance(15_000);
      await feed.until(': still here');
      await f.app.close();
      expect(await feed.isDone()).toBe(true);
      await expect.poll(() => f.clock.pendingTimers).toBe(timers);
    } finally {
      server.close();
    }
  });

  it('holds a bounded part of what a client does not read, and gives it up after a minute', async () => {
    const server = await listening();
    const event = { type: 'x', fromState: 'NEW', toState: 'NEW', exitClass: null } as const;
    const detail = 'x'.repeat(2000);
    f.store.transaction(() => {
      for (let n = 0; n < 10; n++) {
        const transponderId = `t${n}`;
        f.store.transponders.insert(rowWith({ id: transponderId, streamName: transponderId }));
        for (let atMs = 0; atMs < 1000; atMs++) f.store.events.append({ ...event, transponderId, atMs, detail });
      }
    });
    const client = connect(server.port, '127.0.0.1').pause();
    try {
      client.write('GET /api/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n');
      const response = await server.response;
      // It takes what the two kernels hold between them, and then no more.
      await expect.poll(() => response.writableNeedDrain).toBe(true);
      let written = -1;
      await expect
        .poll(
          () => {
            const isAtRest = response.socket!.bytesWritten === written;
            written = response.socket!.bytesWritten;
            return isAtRest;
          },
          { interval: 200 },
        )
        .toBe(true);
      expect(written).toBeLessThan(20_000_000);
      expect(response.writableLength + response.socket!.writableLength).toBeLessThan(1_000_000);
      for (let n = 0; n < 3; n++) f.clock.advance(15_000);
      expect(response.destroyed).toBe(false);
      f.clock.advance(15_000);
      expect(response.destroyed).toBe(true);
    } finally {
      client.destroy();
      server.close();
    }
  });

  it('refuses a position that is no number', async () => {
    const answer = await f.app.inject({ url: '/api/events', headers: { 'last-event-id': 'yesterday' } });
    expect(answer.statusCode).toBe(400);
  });
});

describe('/api/docs', () => {
  it('lists every operation of the description, and loads nothing', async () => {
    const answer = await f.app.inject({ url: '/api/docs' });
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
    expect(answer.body).not.toMatch(/<script|src=|@import|url\(/i);
    const { paths } = (await f.app.inject({ url: '/rest-api/openapi.json' })).json();
    const operations = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `<b>${method.toUpperCase()}</b> ${path}</h2>`),
    );
    expect(operations.length).toBeGreaterThan(20);
    for (const operation of operations) expect(answer.body).toContain(operation);
    expect(answer.body).toContain('restartPolicy');
  });
});

describe('HTTP Basic', () => {
  it('guards everything under /api as it guards /rest-api', async () => {
    const guarded = restFixture({ credentials: { user: 'u', password: 'p' } });
    try {
      for (const url of ['/api/transponders', '/api/transponders/x', '/api/events', '/api/docs']) {
        expect((await guarded.app.inject({ url })).statusCode).toBe(401);
      }
      const authorization = `Basic ${Buffer.from('u:p').toString('base64')}`;
      expect((await guarded.app.inject({ url: '/api/docs', headers: { authorization } })).statusCode).toBe(200);
    } finally {
      await guarded.close();
    }
  });
});
