import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError, ProtocolError } from '../../../src/domain/errors.ts';
import { silentLogger } from '../../../src/domain/logger.ts';
import { WhipSessions } from '../../../src/edges/rest/whip-sessions.ts';
import { streamFixture, type StreamFixture } from '../../services/stream-fixture.ts';
import { restFixture, type RestFixture } from './rest-fixture.ts';

const SDP = { 'content-type': 'application/sdp' };
const ID = '[0-9a-f-]{36}';
const AUDIO = 'm=audio 9 UDP/TLS/RTP/SAVPF 111';
const VIDEO = 'm=video 9 UDP/TLS/RTP/SAVPF 96';
const OFFER = ['v=0', AUDIO, VIDEO, ''].join('\r\n');

let services: StreamFixture;
let whip: WhipSessions;
let rest: RestFixture;

beforeEach(() => use());
afterEach(() => rest.close());

function use(
  limits: Partial<{ maxSessions: number; maxSessionsPerAddress: number }> = {},
  config: Parameters<typeof restFixture>[0] = {},
): void {
  services = streamFixture();
  const { sessions, streams, webrtcStreams } = services;
  const logger = silentLogger;
  whip = new WhipSessions({
    sessions,
    streams,
    webrtcStreams,
    logger,
    maxSessions: 10,
    maxSessionsPerAddress: 10,
    ...limits,
  });
  rest = restFixture(config, undefined, whip);
}

async function reuse(...options: Parameters<typeof use>): Promise<void> {
  await rest.close();
  use(...options);
}

function post(url: string, headers: Record<string, string> = {}, payload: string | undefined = OFFER) {
  return rest.app.inject({ method: 'POST', url, headers: { ...SDP, ...headers }, payload });
}

function request(method: 'GET' | 'HEAD' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'POST', url: string, headers = {}) {
  return rest.app.inject({ method, url, headers });
}

/** Publishes and lets the media come; the path of the session. */
async function publish(name: string): Promise<string> {
  const { headers, statusCode } = await post(`/whip/${name}`);
  expect(statusCode).toBe(201);
  services.worker.connect(services.worker.published.at(-1)!.sessionId);
  return String(headers.location);
}

describe('an offer', () => {
  it('to publish is answered with 201, the answer and a place to end the stream', async () => {
    const answer = await post('/whip/cam');
    expect([answer.statusCode, answer.body]).toEqual([201, 'answer']);
    expect(answer.headers).toMatchObject({ 'content-type': 'application/sdp', 'cache-control': 'no-store' });
    expect(answer.headers.location).toMatch(new RegExp(`^/whip/cam/${ID}$`));
    expect(answer.headers).not.toHaveProperty('link');
    expect(services.worker.published).toMatchObject([{ offerSdp: OFFER, transport: 'UDP', maxBitrateKbps: 0 }]);
  });

  it('to play a live stream is answered the same', async () => {
    await publish('cam');
    const answer = await post('/whep/cam');
    expect([answer.statusCode, answer.body]).toEqual([201, 'answer']);
    expect(answer.headers.location).toMatch(new RegExp(`^/whep/cam/${ID}$`));
    expect(services.worker.played).toMatchObject([{ streamId: services.worker.published[0]!.sessionId }]);
  });

  it('takes the name as the path has it, decoded', async () => {
    const answer = await post('/whip/a%20b%2Fc%C3%A9');
    expect(answer.headers.location).toMatch(/^\/whip\/a%20b%2Fc%C3%A9\//);
    expect([...services.streams.all].map(({ name }) => name)).toEqual(['a b/cé']);
  });

  it.each(['%20', 'a%0Ab', 'x'.repeat(257)])('is 400 under the name %j', async (name) => {
    expect((await post(`/whip/${name}`)).statusCode).toBe(400);
    expect(services.sessions.count).toBe(0);
  });

  it('makes a session like any other, with an id unlike the secret one', async () => {
    const { headers } = await post('/whip/cam?appKey=shop', { 'user-agent': 'OBS/30' });
    const [session] = services.sessions.find();
    expect(session).toMatchObject({ appKey: 'shop', clientVersion: 'OBS/30', mediaProviders: ['WebRTC'] });
    expect(session!.sessionId).toMatch(new RegExp(`^/127.0.0.1:0/.*:0-${ID}$`));
    const secret = String(headers.location).split('/').at(-1)!;
    expect(JSON.stringify([services.sessions.find(), services.streams.find()])).not.toContain(secret);
  });

  it('of several clients behind one connection gives each a session', async () => {
    await publish('one');
    await publish('two');
    expect(services.sessions.count).toBe(2);
  });

  it.each([
    ['application/json', '{}'],
    ['text/plain', 'v=0'],
  ])('is 415 as %s', async (type, body) => {
    expect((await post('/whip/cam', { 'content-type': type }, body)).statusCode).toBe(415);
  });

  it('is 413 above 64 KB, 400 without a body, 406 for a client that takes no SDP', async () => {
    expect((await post('/whip/cam', {}, 'v'.repeat(64 * 1024 + 1))).statusCode).toBe(413);
    expect((await post('/whip/cam', {}, '')).statusCode).toBe(400);
    expect((await request('POST', '/whip/cam')).statusCode).toBe(400);
    for (const accept of ['text/html', 'application/sdp;q=0, text/html']) {
      expect((await post('/whip/cam', { accept })).statusCode).toBe(406);
    }
    expect(services.sessions.count).toBe(0);
    expect((await post('/whip/cam', { accept: 'text/html, application/*;q=0.5' })).statusCode).toBe(201);
  });

  it.each([
    [new ProtocolError('SDP_VERSION', 'no v=0'), 400],
    [new AppError('BAD_SDP', 'no media'), 400],
    [new AppError('NO_COMMON_CODECS', 'nothing'), 422],
    [new AppError('INTERNAL', 'secret reason'), 500],
  ])('that the media worker refuses with %s is %i, and leaves nothing behind', async (refusal, status) => {
    services.worker.refusal = refusal as AppError;
    const answer = await post('/whip/cam');
    expect(answer.statusCode).toBe(status);
    expect(answer.body).not.toContain('secret reason');
    expect([services.sessions.count, services.names.holderOf('cam')]).toEqual([0, undefined]);
  });

  it('to publish is 422 when only a part of it can be taken, because half a stream misleads', async () => {
    services.worker.answer = {
      answerSdp: 'v=0\r\nm=audio 9 x 111\r\nm=video 0 x 96\r\n',
      audio: { codec: 'opus' },
    };
    expect((await post('/whip/cam')).statusCode).toBe(422);
    expect([services.sessions.count, services.worker.open.size]).toEqual([0, 0]);
  });

  it('to play may be taken in part', async () => {
    await publish('cam');
    services.worker.answer = { answerSdp: 'm=audio 9 x 111\r\nm=video 0 x 96\r\n', audio: { codec: 'opus' } };
    expect((await post('/whep/cam')).statusCode).toBe(201);
  });

  it('is 409 for a name that is taken', async () => {
    await publish('cam');
    const second = await post('/whip/cam');
    expect([second.statusCode, services.sessions.count]).toEqual([409, 1]);
  });

  it('to play what is not live is 409 with a time to come again', async () => {
    const answer = await post('/whep/cam');
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([409, '5']);
    expect(services.sessions.count).toBe(0);
  });

  it('that nobody answers in time is 504', async () => {
    const gate = Promise.withResolvers<void>();
    services.worker.gate = gate.promise;
    const answer = post('/whip/cam');
    await expect.poll(() => services.worker.published.length).toBe(1);
    services.clock.advance(15_000);
    expect((await answer).statusCode).toBe(504);
    gate.resolve();
  });

  it('is 503 while there are too many sessions, of all or of one address', async () => {
    for (const limits of [{ maxSessions: 1 }, { maxSessionsPerAddress: 1 }]) {
      await reuse(limits);
      const session = await publish('one');
      const answer = await post('/whip/two');
      expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '5']);
      await request('DELETE', session);
      expect((await post('/whip/two')).statusCode).toBe(201);
    }
  });

  it('is 429 from an address that asks too often, until the minute is over', async () => {
    await reuse({}, { whip: { iceServers: [], maxOffersPerMinute: 2 } });
    await post('/whep/cam');
    await post('/whep/cam');
    const answer = await post('/whep/cam');
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '60']);
    rest.clock.advance(60_000);
    expect((await post('/whep/cam')).statusCode).toBe(409);
  });

  it('is told the ICE servers of the configuration', async () => {
    const iceServers = [
      { uri: 'stun:stun.example.net' },
      { uri: 'turn:turn.example.net?transport=udp', login: { username: 'u"1', credential: 'p\\w' } },
    ];
    await reuse({}, { whip: { iceServers, maxOffersPerMinute: 10 } });
    expect((await post('/whip/cam')).headers.link).toEqual([
      '<stun:stun.example.net>; rel="ice-server"',
      String.raw`<turn:turn.example.net?transport=udp>; rel="ice-server"; username="u\"1"; credential="p\\w"; credential-type="password"`,
    ]);
  });
});

describe('the backend', () => {
  it('is given the bearer token and the parameters of the URL, which operators are not shown', async () => {
    await post('/whip/cam?appKey=shop&user=eve&token=of-url&user=ann', { authorization: 'Bearer abc.def' });
    const custom = { user: 'ann', token: 'abc.def' };
    expect(services.backend.asked).toMatchObject([
      { operation: 'connect', body: { custom } },
      { operation: 'publishStream', body: { name: 'cam', custom } },
    ]);
    expect(JSON.stringify([services.sessions.find(), services.streams.find()])).not.toContain('abc.def');
  });

  it.each([
    ['connect', '/whip/cam'],
    ['publishStream', '/whip/cam'],
    ['connect', '/whep/live'],
    ['playStream', '/whep/live'],
  ])('that refuses %s makes it 401 without a token, else 403: %s', async (op, path) => {
    await publish('live');
    services.backend.answer = (operation) => ({ allowed: operation !== op });
    const without = await post(path);
    expect([without.statusCode, without.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    const withToken = await post(path, { authorization: 'bearer wrong' });
    expect([withToken.statusCode, withToken.headers['www-authenticate']]).toEqual([403, undefined]);
    expect([services.sessions.count, services.worker.published.length, services.worker.played]).toEqual([1, 1, []]);
  });

  it('that cannot be asked makes it 503 for now, whatever token the client has', async () => {
    services.backend.answer = () => ({ allowed: false, isOutage: true });
    for (const authorization of ['', 'bearer good']) {
      const { statusCode, headers } = await post('/whip/cam', { authorization });
      expect([statusCode, headers['retry-after'], headers['www-authenticate']]).toEqual([503, '5', undefined]);
    }
    expect(services.sessions.count).toBe(0);
  });

  it.each([
    [[AUDIO], { hasVideo: false, hasAudio: true }],
    [[VIDEO], { hasVideo: true, hasAudio: false }],
    [[AUDIO, VIDEO.replace(' 9 ', ' 0 ')], { hasVideo: false, hasAudio: true }],
    [[AUDIO, VIDEO.replace(' 9 ', ' 0 '), 'a=bundle-only'], { hasVideo: true, hasAudio: true }],
  ])('is told what is in the offer: %j', async (sections, tracks) => {
    await post('/whip/cam', {}, ['v=0', ...sections, ''].join('\r\n'));
    expect(services.backend.asked).toMatchObject([
      { operation: 'connect' },
      { operation: 'publishStream', body: tracks },
    ]);
  });

  it.each(['v=0', 'hello', 'v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'v=0\r\nm=audio x'])(
    'is not asked about %j, which is 400',
    async (sdp) => {
      expect((await post('/whip/cam', {}, sdp)).statusCode).toBe(400);
      expect(services.backend.asked).toEqual([]);
    },
  );

  it('that forbids the end of a stream makes DELETE 403, and may change its mind', async () => {
    const session = await publish('cam');
    services.backend.answer = (operation) => ({ allowed: operation !== 'unPublishStream' });
    expect((await request('DELETE', session)).statusCode).toBe(403);
    expect(services.sessions.count).toBe(1);
    services.backend.answer = () => ({ allowed: true });
    expect((await request('DELETE', session)).statusCode).toBe(200);
  });

  it('is not asked for Basic credentials, which the rest of the server wants', async () => {
    await reuse({}, { credentials: { user: 'operator', password: 'secret' } });
    expect((await post('/whip/cam')).statusCode).toBe(201);
    expect((await rest.post('/push/find_all')).statusCode).toBe(401);
  });
});

describe('a session', () => {
  it('ends with DELETE, once', async () => {
    const session = await publish('cam');
    const [first, second] = await Promise.all([request('DELETE', session), request('DELETE', session)]);
    expect([first.statusCode, first.body, second.statusCode]).toEqual([200, '', 200]);
    expect([services.sessions.count, services.worker.open.size, services.names.holderOf('cam')]).toEqual([
      0,
      0,
      undefined,
    ]);
    expect(services.backend.story.at(-2)).toBe('StreamStatusEvent UNPUBLISHED: Stopped by publisher stop');
    expect((await request('DELETE', session)).statusCode).toBe(404);
  });

  it.each(['application/json', 'text/plain; charset=utf-8', 'application/sdp'])(
    'ends with DELETE whatever content that says it has: %s',
    async (type) => {
      for (const payload of ['', '{}']) {
        const url = await publish('cam');
        const answer = await rest.app.inject({ method: 'DELETE', url, headers: { 'content-type': type }, payload });
        expect([answer.statusCode, services.sessions.count]).toEqual([200, 0]);
      }
    },
  );

  it('is not found under another name, as a player, or without its id', async () => {
    const session = await publish('cam');
    const id = session.split('/').at(-1);
    for (const path of [`/whip/other/${id}`, `/whep/cam/${id}`, '/whip/cam/00000000-0000-4000-8000-000000000000']) {
      expect((await request('DELETE', path)).statusCode).toBe(404);
    }
    expect(services.sessions.count).toBe(1);
  });

  it('ends with its media', async () => {
    const session = await publish('cam');
    services.worker.end(services.worker.published[0]!.sessionId, 'ice_keep_alive');
    await expect.poll(() => services.sessions.count).toBe(0);
    expect((await request('DELETE', session)).statusCode).toBe(404);
  });

  it('of a player ends with the publisher', async () => {
    const session = await publish('cam');
    await post('/whep/cam');
    services.worker.connect(services.worker.played[0]!.sessionId);
    await request('DELETE', session);
    await expect.poll(() => services.sessions.count).toBe(0);
  });

  it('ends when an operator ends it, or the server stops', async () => {
    await publish('one');
    services.sessions.terminate(services.sessions.find()[0]!.sessionId);
    expect([services.sessions.count, services.worker.open.size]).toEqual([0, 0]);
    await publish('two');
    whip.close('shutdown');
    expect([services.sessions.count, services.worker.open.size]).toEqual([0, 0]);
    expect((await post('/whip/three')).statusCode).toBe(503);
  });
});

describe('every other method', () => {
  it.each(['/whip/cam', '/whep/cam', '/whip/cam/id', '/whep/cam/id'])(
    'on %s is 405, and GET says nothing',
    async (url) => {
      const isEndpoint = !url.endsWith('/id');
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await request(method, url);
        expect([answer.statusCode, answer.body]).toEqual([204, '']);
      }
      for (const method of isEndpoint ? (['PUT', 'PATCH', 'DELETE'] as const) : (['PUT', 'POST'] as const)) {
        const answer = await request(method, url);
        expect(answer.statusCode).toBe(405);
        expect(String(answer.headers.allow).split(', ').toSorted()).toEqual(
          ['GET', 'HEAD', 'OPTIONS', isEndpoint ? 'POST' : 'DELETE'].toSorted(),
        );
      }
    },
  );

  it('a PATCH with candidates is 405 with what is allowed, and the stream goes on', async () => {
    const session = await publish('cam');
    const answer = await rest.app.inject({
      method: 'PATCH',
      url: session,
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
      payload: 'a=ice-ufrag:x',
    });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers.allow).toContain('DELETE');
    expect(services.sessions.count).toBe(1);
  });
});

describe('pages of any origin', () => {
  it.each(['/whip/cam', '/whep/cam', '/whip/cam/id'])('may ask %s, and see where their session is', async (url) => {
    const answer = await request('OPTIONS', url, { origin: 'https://page', 'access-control-request-method': 'POST' });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': url.endsWith('/id') ? 'DELETE' : 'POST',
      'access-control-allow-headers': 'authorization, content-type, if-match',
      'access-control-expose-headers': 'location, link, retry-after, www-authenticate',
    });
    expect(answer.headers['accept-post']).toBe(url.endsWith('/id') ? undefined : 'application/sdp');
  });

  it('see errors too', async () => {
    const answers = [await post('/whep/cam'), await post('/whip/cam', { 'content-type': 'text/plain' })];
    for (const { headers } of answers) expect(headers['access-control-allow-origin']).toBe('*');
  });
});

it('the OpenAPI description has both endpoints and their sessions, and nothing that is for browsers only', async () => {
  const { paths } = (await request('GET', '/rest-api/openapi.json')).json<{ paths: Record<string, object> }>();
  for (const path of ['/whip/{name}', '/whep/{name}']) {
    expect(paths[path]).toMatchObject({
      post: { requestBody: { content: { 'application/sdp': {} } }, responses: { 201: {} } },
    });
    expect(Object.keys(paths[path]!)).toEqual(['post']);
    expect(Object.keys(paths[`${path}/{id}`]!)).toEqual(['delete']);
  }
});

it('there is neither WHIP nor WHEP where they are switched off', async () => {
  await rest.close();
  rest = restFixture();
  expect((await post('/whip/cam')).statusCode).toBe(404);
});
