import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { restFixture } from './rest-fixture.ts';
import type { RestFixture } from './rest-fixture.ts';

const startup = { streamName: 'cam', rtmpUrl: 'rtmp://localhost:1935/live' };
let f: RestFixture;
beforeEach(() => {
  f = restFixture();
});
afterEach(() => f.close());

async function startedId(): Promise<string> {
  return (await f.post('/push/startup', startup)).json().mediaSessionId;
}

describe('/push/startup', () => {
  it('answers with exactly the fields of the documented example', async () => {
    const answer = await f.post('/push/startup', {
      ...startup,
      rtmpTransponderFullUrl: false,
      options: {},
      width: 320,
      height: 240,
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json;charset=UTF-8');
    expect(answer.json()).toEqual({
      mediaSessionId: expect.stringMatching(/^[0-9a-v]{26}$/),
      streamName: 'rtmp_cam',
      rtmpUrl: 'rtmp://localhost:1935/live',
      width: 320,
      height: 240,
      muted: false,
      soundEnabled: false,
      options: {},
      rtmpTransponderFullUrl: false,
    });
  });

  it('takes every parameter, also as strings, and gives it to the run', async () => {
    const answer = await f.post('/push/startup', {
      ...startup,
      width: '1280',
      height: '720',
      fps: '29.97',
      keyFrameInterval: '60',
      rtmpFlashVersion: 'FMLE/3.0',
      rtmpTransponderFullUrl: 'false',
      options: { action: 'sound_on', soundFile: 'test.wav', loop: 'true', custom: 'x' },
    });
    expect(answer.json()).toMatchObject({
      width: 1280,
      height: 720,
      fps: 29.97,
      keyFrameInterval: 60,
      rtmpFlashVersion: 'FMLE/3.0',
      soundEnabled: true,
      soundFile: 'test.wav',
      loop: true,
      options: { action: 'sound_on', soundFile: 'test.wav', loop: true, custom: 'x' },
    });
    expect(f.runs.last.options.params).toEqual({
      width: 1280,
      height: 720,
      fps: 29.97,
      keyFrameInterval: 60,
      rtmpFlashVersion: 'FMLE/3.0',
      sendMetadata: false,
    });
  });

  it.each([
    [{ streamName: 'cam' }, /rtmpUrl/],
    [{ rtmpUrl: 'rtmp://h/a' }, /streamName/],
    [{ ...startup, rtmpUrl: '' }, /rtmpUrl/],
    [{ ...startup, rtmpUrl: 'not a url' }, /rtmp:/],
    [{ ...startup, width: 'wide' }, /width/],
    [{ ...startup, height: -1 }, /height/],
    [{ ...startup, rtmpTransponderFullUrl: 'maybe' }, /rtmpTransponderFullUrl/],
    [{ ...startup, options: { action: 'dance' } }, /action/],
    [{ ...startup, options: 'mute' }, /options/],
    [{ ...startup, rtmpFlashVersion: 'FMLE\0' }, /rtmpFlashVersion/],
    [{ ...startup, restartPolicy: 'never' }, /restartPolicy/],
  ])('answers 400 that names the problem of %o', async (body, problem) => {
    const answer = await f.post('/push/startup', body);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().message).toMatch(problem);
  });

  it('answers 413 for options that are too much to keep', async () => {
    const sized = (chars: number) => ({ ...startup, options: { note: 'x'.repeat(chars) } });
    expect((await f.post('/push/startup', sized(17_000))).statusCode).toBe(413);
    expect((await f.post('/push/startup', sized(15_000))).statusCode).toBe(200);
  });

  it('answers 400 for a host that does not resolve', async () => {
    await f.close();
    f = restFixture({}, { resolveHost: () => Promise.reject(new Error('ENOTFOUND')) });
    const answer = await f.post('/push/startup', startup);
    expect([answer.statusCode, answer.json().message]).toEqual([
      400,
      'the host "localhost" of rtmpUrl cannot be resolved',
    ]);
  });

  it('answers 404 for an unknown stream unless it may wait', async () => {
    expect((await f.post('/push/startup', { ...startup, streamName: 'x' })).statusCode).toBe(404);
    const waiting = await f.post('/push/startup', { ...startup, streamName: 'x', waitForStream: 'true' });
    expect(waiting.statusCode).toBe(200);
  });

  it('lets one of a hundred equal requests through and answers 409 to the others', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => f.post('/push/startup', startup)));
    const statuses = answers.map(({ statusCode }) => statusCode).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 99 }, () => 409)]);
    expect(f.runs.started).toHaveLength(1);
  });
});

describe('/push/find and /push/find_all', () => {
  it('answer 404, never an empty list', async () => {
    for (const path of ['/push/find', '/push/find_all']) {
      const answer = await f.post(path);
      expect(answer.statusCode).toBe(404);
      expect(answer.json()).toMatchObject({ status: 404, error: 'Not Found', path: `/rest-api${path}` });
    }
  });

  it('answer an array of the same object that startup answered', async () => {
    const started = (await f.post('/push/startup', startup)).json();
    expect((await f.post('/push/find_all')).json()).toEqual([started]);
    expect((await f.post('/push/find', {})).json()).toEqual([started]);
    expect((await f.post('/push/find', { streamName: 'rtmp_cam' })).json()).toEqual([started]);
    expect((await f.post('/push/find', { streamName: 'cam', rtmpUrl: startup.rtmpUrl })).json()).toEqual([started]);
    expect((await f.post('/push/find', { streamName: 'cam', rtmpUrl: 'rtmp://x/y' })).statusCode).toBe(404);
    const listed = await f.app.inject({ method: 'GET', url: '/rest-api/push/find_all' });
    expect(listed.headers['content-type']).toBe('application/json;charset=UTF-8');
    expect(listed.json()).toEqual([started]);
  });

  it('answer what is true now, and the echoed options as they were given', async () => {
    const options = { custom: 'ö "quoted" \u2028', nested: { list: [1, null] } };
    const { mediaSessionId } = (await f.post('/push/startup', { ...startup, options })).json();
    const lists = async () => {
      const all = await f.post('/push/find_all');
      expect((await f.post('/push/find', {})).body).toBe(all.body);
      return all.json();
    };
    expect(await lists()).toMatchObject([{ muted: false, options }]);
    await f.post('/push/mute', { mediaSessionId });
    expect(await lists()).toMatchObject([{ muted: true, options }]);
    await f.post('/push/startup', { ...startup, rtmpUrl: 'rtmp://localhost/other' });
    await f.post('/push/unmute', { mediaSessionId });
    expect(await lists()).toMatchObject([{ mediaSessionId, muted: false }, { rtmpUrl: 'rtmp://localhost/other' }]);
  });

  it('do not show what failed or was terminated', async () => {
    const id = await startedId();
    await f.post('/push/terminate', { mediaSessionId: id });
    expect((await f.post('/push/find_all')).statusCode).toBe(404);
    await startedId();
    f.runs.last.end('dest_refused');
    expect((await f.post('/push/find_all')).statusCode).toBe(404);
  });
});

describe('the commands', () => {
  it('answer 200 and a body of no bytes', async () => {
    const mediaSessionId = await startedId();
    const sound = { soundFile: 'test.wav', loop: 'true' };
    for (const name of ['mute', 'unmute', 'sound_on', 'sound_off', 'terminate']) {
      const answer = await f.post(`/push/${name}`, { mediaSessionId, ...sound });
      expect([name, answer.statusCode, answer.rawPayload.length]).toEqual([name, 200, 0]);
      expect(answer.headers['content-length']).toBe('0');
    }
    expect(f.runs.last.audio.map(({ mode }) => mode)).toEqual(['mute', 'source', 'sound', 'source']);
  });

  it('show in find what they did', async () => {
    const mediaSessionId = await startedId();
    await f.post('/push/mute', { mediaSessionId });
    await f.post('/push/sound_on', { mediaSessionId, soundFile: 'test.wav' });
    expect((await f.post('/push/find_all')).json()[0]).toMatchObject({ muted: true, soundEnabled: true, loop: false });
    await f.post('/push/unmute', { mediaSessionId });
    await f.post('/push/sound_off', { mediaSessionId });
    expect((await f.post('/push/find_all')).json()[0]).toMatchObject({ muted: false, soundEnabled: false });
  });

  it.each(['mute', 'unmute', 'sound_on', 'sound_off', 'terminate'])('%s answers 404 and 400', async (name) => {
    const body = { mediaSessionId: 'nobody', soundFile: 'test.wav' };
    expect((await f.post(`/push/${name}`, body)).statusCode).toBe(404);
    const missing = await f.post(`/push/${name}`, {});
    expect([missing.statusCode, missing.json().message]).toEqual([
      400,
      "body must have required property 'mediaSessionId'",
    ]);
  });

  it('answers 404 for a sound file that is not there', async () => {
    const answer = await f.post('/push/sound_on', { mediaSessionId: await startedId(), soundFile: 'no.wav' });
    expect([answer.statusCode, answer.json().message]).toEqual([404, 'no sound file "no.wav"']);
  });
});

describe('a secret in rtmpUrl', () => {
  it('is answered as rtmpUrl of the push and nowhere else, logged nowhere, stored nowhere', async () => {
    const secret = { ...startup, rtmpUrl: 'rtmp://u:canary1@localhost/live/?key=canary2', rtmpURL: 'rtmp://x/canary3' };
    const started = (await f.post('/push/startup', secret)).json();
    expect(started.rtmpUrl).toBe(secret.rtmpUrl);
    const shown = [started, ...(await f.post('/push/find_all')).json()];
    for (const { rtmpUrl: _, ...rest } of shown) expect(JSON.stringify(rest)).not.toContain('canary');
    const refused = await Promise.all([
      f.post('/push/startup', secret),
      f.post('/push/startup', { ...secret, width: 'x' }),
      f.post('/push/startup', { ...secret, rtmpUrl: 'rtmp:/canary' }),
      f.post('/push/startup', { ...secret, rtmpUrl: 'rtmp://u:canary@ho st/a' }),
      f.post('/push/startup', { ...secret, rtmpUrl: ['rtmp://canary', 'canary'] }),
      f.post('/push/startup', { ...secret, rtmpUrl: `rtmp://localhost/${'canary'.repeat(1000)}` }),
      f.post('/push/startup', '{"streamName":"cam","rtmpUrl":"rtmp://u:canary@h/a" x'),
      f.post('/push/startup', 'canary'),
      f.post('/push/startup?rtmpUrl=canary', {}),
      f.post('/push/find', { rtmpUrl: 'rtmp://canary/x' }),
    ]);
    for (const answer of refused) {
      expect(answer.statusCode).toBeGreaterThanOrEqual(400);
      expect(answer.body).not.toContain('canary');
    }
    f.runs.last.becomeActive();
    await f.post('/push/terminate', { mediaSessionId: started.mediaSessionId });
    f.store.close();
    expect(f.logged.join('\n')).not.toContain('canary');
    expect(readFileSync(f.files.path).includes('canary')).toBe(false);
  });
});
