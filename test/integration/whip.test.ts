import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { json, mirror } from '../support/hook-backend.ts';
import { startHookRig } from '../support/hook-rig.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { connectWhip, whipRequest } from '../support/whip-client.ts';

const WAIT = { timeout: 15_000 };
/** RtcClient is reached on loopback only. */
const LOOPBACK = { ip: '127.0.0.1' };
const OBS = readFileSync(new URL('../vectors/sdp/publish-obs.sdp', import.meta.url), 'utf8');
const GSTREAMER = readFileSync(new URL('../vectors/sdp/play-gstreamer.sdp', import.meta.url), 'utf8');

async function started(settings: Readonly<Record<string, string>> = {}) {
  const app = await startTestApp({ ...LOOPBACK, ...settings });
  const url = `http://127.0.0.1:${app.ports['http.port']}`;
  return { app, url, [Symbol.asyncDispose]: () => app.close('end of test') };
}

async function streamsOf(app: TestApp): Promise<readonly Record<string, unknown>[]> {
  const { status, json: body } = await app.rest('/rest-api/stream/find_all');
  return status === 200 ? (body() as Record<string, unknown>[]) : [];
}

const sections = (sdp: string): string[] => sdp.split(/^m=/m).slice(1);

describe('the offer of OBS', () => {
  it('is taken whole: Opus in stereo and H.264 on one transport, received only', async () => {
    await using server = await started();
    const { status, headers, body } = await whipRequest('POST', `${server.url}/whip/obs`, { sdp: OBS });
    expect([status, headers.get('content-type')]).toEqual([201, 'application/sdp']);
    expect(body).toContain('a=group:BUNDLE 0 1\r\na=ice-lite\r\n');
    const [audio, video] = sections(body);
    for (const section of [audio, video]) {
      expect(section).toMatch(/^\w+ [1-9]\d* UDP\/TLS\/RTP\/SAVPF /);
      expect(section).toContain('a=recvonly\r\na=rtcp-mux\r\n');
      expect(section).toContain('a=setup:passive\r\n');
      expect(section).toContain('a=fingerprint:sha-256 ');
    }
    expect(audio).toContain('a=mid:0\r\n');
    expect(audio).toMatch(/a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 \d+ typ host/);
    expect(audio).toMatch(/a=rtpmap:111 opus\/48000\/2\r\na=fmtp:111 .*stereo=1;sprop-stereo=1/);
    expect(video).toContain('a=mid:1\r\n');
    expect(video).toMatch(/a=fmtp:96 .*packetization-mode=1;profile-level-id=42e01f/);
    expect(video).toContain('a=rtcp-fb:96 nack pli\r\n');
    expect(await streamsOf(server.app)).toMatchObject([
      { name: 'obs', published: true, status: 'PENDING', audioCodec: 'opus', videoCodec: 'H264' },
    ]);
  });

  it('ends with the DELETE of OBS, and its name is free at once', async () => {
    await using server = await started();
    for (let round = 0; round < 2; round += 1) {
      const { status, headers } = await whipRequest('POST', `${server.url}/whip/obs`, { sdp: OBS });
      expect(status).toBe(201);
      expect((await whipRequest('POST', `${server.url}/whip/obs`, { sdp: OBS })).status).toBe(409);
      const session = new URL(headers.get('location')!, server.url);
      expect((await whipRequest('PATCH', session)).status).toBe(405);
      expect((await whipRequest('DELETE', session)).status).toBe(200);
    }
    expect(await streamsOf(server.app)).toEqual([]);
    expect((await server.app.rest('/rest-api/connection/find_all')).status).toBe(404);
  });

  it('with a codec that nobody here takes is refused whole', async () => {
    await using server = await started();
    const sdp = OBS.replace('H264/90000', 'AV1/90000');
    expect((await whipRequest('POST', `${server.url}/whip/obs`, { sdp })).status).toBe(422);
    expect((await whipRequest('POST', `${server.url}/whip/obs`, { sdp: 'v=0\r\n' })).status).toBe(400);
    expect((await whipRequest('POST', `${server.url}/whip/obs`, { sdp: 'hello' })).status).toBe(400);
    expect(await streamsOf(server.app)).toEqual([]);
  });

  it('that hangs up before its answer holds no name', async () => {
    await using rig = await startHookRig();
    const waiting: (() => void)[] = [];
    rig.backend.answer = (response, asked) => {
      if (asked.method === 'publishStream') waiting.push(() => mirror(response, asked));
      else mirror(response, asked);
    };
    const url = `http://127.0.0.1:${rig.app.ports['http.port']}/whip/obs`;
    const client = request(url, { method: 'POST', headers: { 'content-type': 'application/sdp' } });
    client.on('error', () => {});
    client.end(OBS);
    await expect.poll(() => waiting.length, WAIT).toBe(1);
    client.destroy();
    await expect.poll(() => rig.backend.story.at(-1), WAIT).toBe('ConnectionStatusEvent DISCONNECTED');
    waiting[0]!();
    rig.backend.answer = mirror;
    expect((await whipRequest('POST', url, { sdp: OBS })).status).toBe(201);
  });
});

describe('streams over WHIP and WHEP', () => {
  it('are connections and streams like any other, and a player ends with its publisher', async () => {
    await using server = await started();
    const publisher = await connectWhip(`${server.url}/whip/cam?appKey=flashStreamingApp`);
    await expect
      .poll(() => streamsOf(server.app), WAIT)
      .toMatchObject([{ status: 'PUBLISHING', appKey: 'flashStreamingApp' }]);
    const player = await connectWhip(`${server.url}/whep/cam`);
    await expect.poll(() => streamsOf(server.app), WAIT).toMatchObject([{}, { status: 'PLAYING', published: false }]);
    const { json: connections } = await server.app.rest('/rest-api/connection/find_all');
    expect(connections()).toMatchObject([
      { appKey: 'flashStreamingApp' },
      { appKey: 'defaultApp', mediaProviders: ['WebRTC'] },
    ]);

    expect((await whipRequest('DELETE', publisher.session)).status).toBe(200);
    await expect.poll(() => streamsOf(server.app), WAIT).toEqual([]);
    expect((await whipRequest('DELETE', player.session)).status).toBe(404);
    publisher.close();
    player.close();
  });

  it('end when an operator ends their stream or their connection', async () => {
    await using server = await started();
    for (const path of ['/rest-api/stream/terminate', '/rest-api/connection/terminate']) {
      const publisher = await connectWhip(`${server.url}/whip/cam`);
      const [stream] = await streamsOf(server.app);
      const { mediaSessionId, sessionId } = stream!;
      const body = path.includes('stream') ? { mediaSessionId } : { sessionId };
      expect((await server.app.rest(path, body)).status).toBe(200);
      expect(await streamsOf(server.app)).toEqual([]);
      expect((await whipRequest('DELETE', publisher.session)).status).toBe(404);
      publisher.close();
    }
  });

  it('need no Basic credentials, which the rest of the server wants', async () => {
    await using server = await started({ disable_rest_auth: 'false', rest_username: 'operator', rest_password: 'x y' });
    expect((await whipRequest('POST', `${server.url}/whip/cam`, { sdp: OBS })).status).toBe(201);
    expect((await server.app.rest('/rest-api/stream/find_all')).status).toBe(401);
  });

  it('are not there with whip_enabled=false', async () => {
    await using server = await started({ whip_enabled: 'false' });
    expect((await whipRequest('POST', `${server.url}/whip/cam`, { sdp: OBS })).status).toBe(404);
  });
});

describe('the backend', () => {
  it('decides by the bearer token, which no log and no operator sees', async () => {
    await using rig = await startHookRig(LOOPBACK);
    const { backend, app } = rig;
    const url = `http://127.0.0.1:${app.ports['http.port']}`;
    backend.answer = (response, asked) => {
      const { token } = (asked.body['custom'] ?? {}) as { token?: string };
      if (asked.method === 'connect' && token !== 'open-sesame') json(response, {}, 403);
      else mirror(response, asked);
    };
    const none = await whipRequest('POST', `${url}/whip/cam`, { sdp: OBS });
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect((await whipRequest('POST', `${url}/whip/cam`, { sdp: OBS, token: 'guess' })).status).toBe(403);
    expect((await whipRequest('POST', `${url}/whep/cam`, { sdp: GSTREAMER, token: 'guess' })).status).toBe(403);

    const publisher = await connectWhip(`${url}/whip/cam?room=7`, 'open-sesame');
    await expect.poll(() => backend.story, WAIT).toContain('StreamStatusEvent PUBLISHING');
    const custom = { room: '7', token: 'open-sesame' };
    expect(backend.bodies('connect').at(-1)).toMatchObject({
      custom,
      mediaProviders: ['WebRTC'],
      appKey: 'defaultApp',
    });
    expect(backend.bodies('publishStream')).toMatchObject([{ custom, name: 'cam', mediaProvider: 'WebRTC' }]);
    const shown = await Promise.all(
      ['/rest-api/connection/find_all', '/rest-api/stream/find_all'].map((path) => app.rest(path)),
    );
    for (const text of [...shown.map((answer) => answer.text), app.log()]) {
      expect(text).toContain('"sessionId"');
      expect(text).not.toContain('open-sesame');
    }
    expect((await whipRequest('DELETE', publisher.session)).status).toBe(200);
    publisher.close();
    await expect.poll(() => backend.story.at(-1), WAIT).toBe('ConnectionStatusEvent DISCONNECTED');
    expect(backend.story).toContain('unPublishStream');
  });
});
