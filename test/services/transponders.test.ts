import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAddressPolicy } from '../../src/egress/address-policy.ts';
import type { StartupRequest } from '../../src/services/transponder-request.ts';
import { rowWith } from '../store/store-fixture.ts';
import { transponderFixture } from './transponder-fixture.ts';
import type { TransponderFixture } from './transponder-fixture.ts';

type Wrap = NonNullable<NonNullable<Parameters<typeof transponderFixture>[0]>['wrapStore']>;

const request: StartupRequest = { streamName: 'cam', rtmpUrl: 'rtmp://dest.example:1935/live' };
let f: TransponderFixture;

async function begin(options?: Parameters<typeof transponderFixture>[0]) {
  await f?.close();
  f = transponderFixture(options);
  f.service.sourceUp('cam');
}

/** A store on a disk that is full when the test says so. */
function smallDisk() {
  const disk = { isFull: false, writes: 0 };
  const wrapStore: Wrap = (store) => ({
    ...store,
    transaction(work) {
      disk.writes++;
      if (disk.isFull) throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
      return store.transaction(work);
    },
  });
  return { disk, wrapStore };
}

const failsWith = (code: string) => expect.objectContaining({ code });
const stateOf = (id: string) => f.store.transponders.get(id)?.state;

beforeEach(() => {
  f = transponderFixture();
  f.service.sourceUp('cam');
});
afterEach(() => f.close());

describe('startup', () => {
  it('starts a run for the stream and answers with the transponder', async () => {
    const view = await f.service.startup({ ...request, width: 320, height: 240, fps: 30 }, 'rest');
    expect(view).toMatchObject({
      streamName: 'rtmp_cam',
      rtmpUrl: request.rtmpUrl,
      width: 320,
      height: 240,
      fps: 30,
      muted: false,
      soundEnabled: false,
      options: {},
    });
    expect(view.mediaSessionId).toMatch(/^[0-9a-v]{26}$/);
    expect(f.runs.last.options).toMatchObject({
      id: view.mediaSessionId,
      attempt: 0,
      streamName: 'cam',
      target: { host: 'dest.example', playPath: 'rtmp_cam' },
      params: { width: 320, height: 240, fps: 30, keyFrameInterval: 0, rtmpFlashVersion: 'LNX 76.219.189.0' },
      audio: { mode: 'source' },
    });
    expect(stateOf(view.mediaSessionId)).toBe('STARTING');
    f.runs.last.becomeActive();
    expect(stateOf(view.mediaSessionId)).toBe('ACTIVE');
    expect(f.store.runs.ofTransponder(view.mediaSessionId)[0]).toMatchObject({
      nonce: f.runs.last.options.nonce,
      bootId: 'boot1',
      pid: 1,
      readyAtMs: f.clock.nowMs(),
    });
  });

  it('refuses a stream that is not there, unless it may wait', async () => {
    await expect(f.service.startup({ ...request, streamName: 'x' }, 'rest')).rejects.toThrow(
      failsWith('STREAM_NOT_FOUND'),
    );
    const view = await f.service.startup({ ...request, streamName: 'x', waitForStream: true }, 'rest');
    expect(stateOf(view.mediaSessionId)).toBe('WAITING_SOURCE');
    expect(f.runs.started).toHaveLength(0);
    f.service.sourceUp('x');
    expect(f.runs.started).toHaveLength(1);
  });

  it('of many pushes begin and stop with their stream in one write', async () => {
    const { disk, wrapStore } = smallDisk();
    await begin({ wrapStore });
    for (let n = 0; n < 20; n++) {
      const rtmpUrl = `rtmp://dest${n}.example/live`;
      await f.service.startup({ streamName: 'x', rtmpUrl, waitForStream: true }, 'rest');
    }
    disk.writes = 0;
    f.service.sourceUp('x');
    expect([f.runs.started.length, disk.writes]).toEqual([20, 1]);
    f.runs.diesWhenAsked = false;
    f.service.sourceDown('x');
    expect(disk.writes).toBe(2);
  });

  it('refuses a stream that ended while the host was looked up', async () => {
    const resolveHost = async () => {
      f.service.sourceDown('cam');
      return [{ address: '203.0.114.1' }];
    };
    await begin({ resolveHost });
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(failsWith('STREAM_NOT_FOUND'));
    expect(f.service.find({})).toEqual([]);
  });

  it('refuses a malformed URL and one whose host does not resolve', async () => {
    await expect(f.service.startup({ ...request, rtmpUrl: 'http://x/y' }, 'rest')).rejects.toThrow(
      failsWith('BAD_RTMP_URL'),
    );
    await begin({ resolveHost: () => Promise.reject(new Error('ENOTFOUND')) });
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(failsWith('UNRESOLVABLE_HOST'));
  });

  it('refuses a host all of whose addresses are forbidden to this caller, and nothing is left of the request', async () => {
    const allowAddress = createAddressPolicy({ privateAddresses: 'rest', allow: [], deny: ['192.0.2.7'] });
    const addresses = { now: ['10.0.0.1', '127.0.0.1'] };
    const resolveHost = () => Promise.resolve(addresses.now.map((address) => ({ address })));
    await begin({ allowAddress, resolveHost });
    const forbidden = failsWith('FORBIDDEN_ADDRESS');
    await expect(f.service.startup(request, 'publisher')).rejects.toThrow(forbidden);
    addresses.now = ['169.254.169.254', '192.0.2.7'];
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(/"dest\.example".*metadata address$/);
    expect(f.service.list({}, 10, 0).total).toBe(0);
    addresses.now = [];
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(failsWith('UNRESOLVABLE_HOST'));

    addresses.now = ['169.254.169.254', '10.0.0.1'];
    await f.service.startup(request, 'rest');
    expect(f.runs.started).toHaveLength(1);
  });

  describe('where a push to the same place is still ending', () => {
    const started = (before: number) => expect.poll(() => f.runs.started.length).toBe(before + 1);

    it.each(['rest', 'publisher', 'auto_start'] as const)(
      'by %s: waits for its end when its stream has come back',
      async (caller) => {
        const isAutomatic = caller === 'auto_start';
        await begin(isAutomatic ? { config: { autoStartUrl: request.rtmpUrl } } : {});
        f.runs.diesWhenAsked = false;
        if (!isAutomatic) await f.service.startup(request, caller);
        await started(0);
        f.runs.last.becomeActive();
        f.service.sourceDown('cam');
        expect(f.service.find({})).toEqual([]);
        f.service.sourceUp('cam');
        const again = isAutomatic ? undefined : f.service.startup(request, caller);
        await new Promise((resolve) => setImmediate(resolve));
        expect([f.runs.started.length, f.service.find({}).length]).toEqual([1, 0]);
        f.runs.last.end('asked_stop');
        await again;
        await started(1);
        expect([f.runs.alive.length, f.service.find({}).length]).toEqual([1, 1]);
      },
    );

    it('waits for its end when it was terminated, whichever stream is to go there', async () => {
      f.runs.diesWhenAsked = false;
      f.service.sourceUp('other');
      const url = { rtmpUrl: 'rtmp://dest.example/live/key', rtmpTransponderFullUrl: true };
      let { mediaSessionId } = await f.service.startup({ streamName: 'cam', ...url }, 'rest');
      for (const streamName of ['cam', 'other']) {
        const over = f.service.terminate(mediaSessionId);
        const next = f.service.startup({ streamName, ...url }, 'rest');
        await new Promise((resolve) => setImmediate(resolve));
        expect(f.runs.alive).toHaveLength(1);
        f.runs.last.end('asked_stop');
        await over;
        ({ mediaSessionId } = await next);
        expect(f.runs.alive).toHaveLength(1);
      }
    });

    it('begins nothing for a page whose stream is over by then, though another one has its name', async () => {
      f.runs.diesWhenAsked = false;
      const { mediaSessionId } = await f.service.startup(request, 'publisher', { sessionId: 's1', isLive: () => true });
      const over = f.service.terminate(mediaSessionId);
      let isLive = true;
      const publication = { sessionId: 's2', isLive: () => isLive };
      const next = f.service.startup(request, 'publisher', publication).catch((error: unknown) => error);
      isLive = false;
      f.runs.last.end('asked_stop');
      await over;
      expect(await next).toEqual(failsWith('STREAM_NOT_FOUND'));
      expect(f.runs.started).toHaveLength(1);
    });

    it('is refused as soon as the server stops', async () => {
      f.runs.diesWhenAsked = false;
      const { mediaSessionId } = await f.service.startup(request, 'rest');
      void f.service.terminate(mediaSessionId);
      const next = f.service.startup(request, 'rest').catch((error: unknown) => error);
      await new Promise((resolve) => setImmediate(resolve));
      const closed = f.service.close();
      expect(await next).toEqual(failsWith('OVERLOADED'));
      expect(f.runs.alive).toHaveLength(1);
      f.runs.last.end('asked_stop');
      await closed;
    });

    it('resumes no other one', async () => {
      const failed = await f.service.startup(request, 'rest');
      f.runs.last.end('dest_refused');
      f.runs.diesWhenAsked = false;
      const { mediaSessionId } = await f.service.startup(request, 'rest');
      const over = f.service.terminate(mediaSessionId);
      expect(() => f.service.resume(failed.mediaSessionId)).toThrow(failsWith('TRANSPONDER_EXISTS'));
      f.runs.last.end('asked_stop');
      await over;
      expect(f.service.resume(failed.mediaSessionId).state).toBe('STARTING');
    });
  });

  it('waits three seconds for the resolver and no longer', async () => {
    await begin({ resolveHost: () => new Promise(() => {}) });
    const answer = f.service.startup(request, 'rest').catch((error: unknown) => error);
    f.clock.advance(2999);
    expect(await Promise.race([answer, Promise.resolve('waiting')])).toBe('waiting');
    f.clock.advance(1);
    expect(await answer).toEqual(failsWith('UNRESOLVABLE_HOST'));
  });

  it('lets exactly one of a hundred equal requests through', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 100 }, () => f.service.startup(request, 'rest')));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refusals = answers.filter((answer) => answer.status === 'rejected').map(({ reason }) => reason as unknown);
    expect(refusals).toEqual(Array.from({ length: 99 }, () => failsWith('TRANSPONDER_EXISTS')));
    expect(f.runs.started).toHaveLength(1);
  });

  it('sees the same destination behind another spelling', async () => {
    await f.service.startup(request, 'rest');
    await expect(f.service.startup({ ...request, rtmpUrl: 'rtmp://DEST.example/live' }, 'rest')).rejects.toThrow(
      failsWith('TRANSPONDER_EXISTS'),
    );
  });

  it('shows the source name in full URL mode, where the other one may be a key', async () => {
    const view = await f.service.startup(
      { ...request, rtmpUrl: 'rtmp://h/app/key123', rtmpTransponderFullUrl: true },
      'rest',
    );
    expect(view.streamName).toBe('cam');
    expect(f.runs.last.options.target).toMatchObject({ app: 'app', playPath: 'key123' });
  });

  it('carries out options.action at creation', async () => {
    const muted = await f.service.startup({ ...request, options: { action: 'mute' } }, 'rest');
    expect(muted).toMatchObject({ muted: true, soundEnabled: false, options: { action: 'mute' } });
    expect(f.runs.last.options.audio).toEqual({ mode: 'mute' });
    const options = { action: 'sound_on', soundFile: 'test.wav', loop: true } as const;
    const sound = await f.service.startup({ ...request, rtmpUrl: 'rtmp://other/live', options }, 'rest');
    expect(sound).toMatchObject({ muted: false, soundEnabled: true, soundFile: 'test.wav', loop: true, options });
    expect(f.runs.last.options.audio).toEqual({ mode: 'sound', soundFile: 'test.wav', loop: true });
  });

  it('refuses a sound file that is not there or not named', async () => {
    const unknown = { action: 'sound_on', soundFile: 'no.wav' } as const;
    await expect(f.service.startup({ ...request, options: unknown }, 'rest')).rejects.toThrow(
      failsWith('SOUND_FILE_NOT_FOUND'),
    );
    await expect(f.service.startup({ ...request, options: { action: 'sound_on' } }, 'rest')).rejects.toThrow(
      failsWith('BAD_REQUEST'),
    );
  });

  it('refuses with the reason while the machine is busy, and what runs goes on', async () => {
    await begin({ admission: { ok: false, reason: 'the server is busy: 99 % CPU' } });
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(
      expect.objectContaining({ code: 'OVERLOADED', message: 'the server is busy: 99 % CPU' }),
    );
    expect(f.service.find({})).toEqual([]);
  });

  it('reserves what it is going to use at once, an encoder once for all that share it', async () => {
    const sizes = [{}, { height: 720 }, { height: 720 }, { height: 360 }, { fps: 15 }, { width: 640 }];
    for (const [n, size] of sizes.entries()) {
      await f.service.startup({ ...request, rtmpUrl: `rtmp://h${n}/live`, ...size }, 'rest');
    }
    await f.service.startup({ ...request, streamName: 'later', waitForStream: true, height: 720 }, 'rest');
    expect(f.reserved).toEqual([0.02, 0.5, 0.02, 0.5, 0.5, 0.02]);
  });

  it('reserves for one that is resumed as for a new one', async () => {
    const { mediaSessionId } = await f.service.startup({ ...request, height: 720 }, 'rest');
    f.runs.last.end('media_unsupported');
    await Promise.resolve();
    f.service.resume(mediaSessionId);
    expect(f.reserved).toEqual([0.5, 0.5]);
  });

  it('refuses more than it may hold, and everything when closed', async () => {
    await begin({ config: { maxTransponders: 1 } });
    await f.service.startup(request, 'rest');
    await expect(f.service.startup({ ...request, rtmpUrl: 'rtmp://b/live' }, 'rest')).rejects.toThrow(
      failsWith('OVERLOADED'),
    );
    await f.service.close();
    await expect(f.service.startup(request, 'rest')).rejects.toThrow(failsWith('OVERLOADED'));
  });
});

describe('the pushes of a publisher', () => {
  it('are twenty at once for a session, and give their place back when they end', async () => {
    const ask = (n: number, sessionId: string) =>
      f.service.startup({ streamName: 'cam', rtmpUrl: `rtmp://dest.example/live${n}` }, 'publisher', {
        sessionId,
        isLive: () => true,
      });
    const first = await ask(0, 's1');
    await Promise.all(Array.from({ length: 18 }, (_, n) => ask(n + 1, 's1')));
    const late = await Promise.allSettled([ask(30, 's1'), ask(31, 's1')]);
    expect(late.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await expect(ask(32, 's1')).rejects.toThrow(failsWith('OVERLOADED'));
    await ask(33, 's2');
    await f.service.startup({ ...request, rtmpUrl: 'rtmp://dest.example/live34' }, 'rest');
    await f.service.terminate(first.mediaSessionId);
    await ask(35, 's1');
    await expect(ask(36, 's1')).rejects.toThrow(/a publisher has 20 pushes already/);
  });
});

describe('find', () => {
  it('filters by name, bare or prefixed, and by the exact URL, both together', async () => {
    f.service.sourceUp('cam2');
    await f.service.startup(request, 'rest');
    await f.service.startup({ ...request, rtmpUrl: 'rtmp://b/live' }, 'rest');
    await f.service.startup({ ...request, streamName: 'cam2' }, 'rest');
    expect(f.service.find({})).toHaveLength(3);
    expect(f.service.find({ streamName: 'cam' })).toHaveLength(2);
    expect(f.service.find({ streamName: 'rtmp_cam' })).toHaveLength(2);
    expect(f.service.find({ streamName: 'ca' })).toHaveLength(0);
    expect(f.service.find({ rtmpUrl: request.rtmpUrl })).toHaveLength(2);
    expect(f.service.find({ rtmpUrl: 'rtmp://dest.example/live' })).toHaveLength(0);
    expect(f.service.find({ rtmpUrl: request.rtmpUrl, streamName: 'cam2' })).toHaveLength(1);
  });

  it('shows neither ended nor failed nor stopping pushes', async () => {
    f.runs.diesWhenAsked = false;
    const { mediaSessionId } = await f.service.startup(request, 'rest');
    const over = f.service.terminate(mediaSessionId);
    expect(f.service.find({})).toEqual([]);
    f.runs.last.end('killed');
    await over;
    await f.service.startup(request, 'rest');
    f.runs.last.end('dest_refused');
    expect(f.service.find({})).toEqual([]);
  });
});

describe('what is shown of a push', () => {
  it('changes at once with its sound, and with nothing else that happens to it', async () => {
    await begin({ config: { restore: true } });
    const asked = { ...request, options: { action: 'sound_on', soundFile: 'test.wav', loop: true } } as const;
    const started = await f.service.startup(asked, 'rest');
    const { mediaSessionId: id } = started;
    const shown = () => f.service.find({})[0];
    expect(shown()).toBe(started);

    f.runs.last.becomeActive();
    f.runs.last.options.onEvent({ type: 'progress', bytesOut: 1000, backlogBytes: 5 });
    f.clock.advance(5000);
    f.runs.last.end('dest_reset');
    f.clock.advance(5000);
    expect(stateOf(id)).toBe('STARTING');
    expect(shown()).toBe(started);

    const { muted, soundEnabled, soundFile, loop, ...rest } = started;
    expect({ muted, soundEnabled, soundFile, loop }).toEqual({
      muted: false,
      soundEnabled: true,
      soundFile: 'test.wav',
      loop: true,
    });
    f.service.mute(id);
    expect(shown()).toEqual({ ...started, muted: true });
    f.service.unmute(id);
    expect(shown()).toEqual(started);
    await f.service.soundOn(id, 'test.wav', false);
    expect(shown()).toEqual({ ...started, loop: false });
    f.service.soundOff(id);
    expect(shown()).toEqual({ ...rest, muted: false, soundEnabled: false });
    await f.service.terminate(id);
    expect(shown()).toBeUndefined();
  });

  it('takes its URL out of the seal once, however often it is listed and changed', async () => {
    const opened: string[] = [];
    const wrapStore: Wrap = (store) => ({
      ...store,
      secrets: {
        ...store.secrets,
        open(sealed, context) {
          opened.push(context);
          return store.secrets.open(sealed, context);
        },
      },
    });
    await begin({ wrapStore });
    const ids = [];
    for (const name of ['a', 'b', 'c']) {
      const asked = { ...request, rtmpUrl: `rtmp://dest.example/${name}`, streamName: 'later', waitForStream: true };
      ids.push((await f.service.startup(asked, 'rest')).mediaSessionId);
    }
    for (const id of ids) {
      f.service.mute(id);
      expect(f.service.find({ rtmpUrl: 'rtmp://dest.example/b' })).toHaveLength(1);
    }
    expect(opened.toSorted()).toEqual(ids.toSorted());
  });
});

describe('audio', () => {
  it('is switched without a restart, and mute is silent whatever is inserted', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.service.mute(id);
    await f.service.soundOn(id, 'test.wav', false);
    expect(f.service.find({})[0]).toMatchObject({
      muted: true,
      soundEnabled: true,
      soundFile: 'test.wav',
      loop: false,
    });
    f.service.unmute(id);
    f.service.soundOff(id);
    expect(f.service.find({})[0]).toMatchObject({ muted: false, soundEnabled: false });
    expect(f.runs.last.audio.map(({ mode }) => mode)).toEqual(['mute', 'mute', 'sound', 'source']);
    expect(f.runs.started).toHaveLength(1);
    await expect(f.service.soundOn(id, 'no.wav', false)).rejects.toThrow(failsWith('SOUND_FILE_NOT_FOUND'));
  });

  it('is kept over a retry', async () => {
    await begin({ config: { restore: true } });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.service.mute(id);
    f.runs.last.end('dest_reset');
    f.clock.advance(5000);
    expect(f.runs.last.options).toMatchObject({ attempt: 1, audio: { mode: 'mute' } });
  });

  it('is the source’s for good once a sound has been heard to its end: a retry does not begin it again', async () => {
    await begin({ config: { restore: true } });
    const options = { action: 'sound_on', soundFile: 'test.wav' } as const;
    const { mediaSessionId: id } = await f.service.startup({ ...request, options }, 'rest');
    const { events } = f.store;
    const before = events.ofTransponder(id, 10);
    f.runs.last.soundEnded('test.wav');
    expect(f.service.find({})[0]).toMatchObject({ soundEnabled: false });
    expect(f.store.transponders.get(id)).toMatchObject({ soundJson: null });
    expect(events.ofTransponder(id, 10)).toEqual(before);
    f.runs.last.end('dest_reset');
    f.clock.advance(5000);
    expect(f.runs.last.options).toMatchObject({ attempt: 1, audio: { mode: 'source' } });
  });

  it('begins a sound again that was being heard when its run broke', async () => {
    await begin({ config: { restore: true } });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    await f.service.soundOn(id, 'test.wav', false);
    f.runs.last.end('dest_reset');
    f.clock.advance(5000);
    expect(f.runs.last.options).toMatchObject({ audio: { mode: 'sound', soundFile: 'test.wav', loop: false } });
  });

  it('is not changed by the end of a sound in whose place there is another one', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    await f.service.soundOn(id, 'test.wav', false);
    f.runs.last.soundEnded('before.wav');
    expect(f.service.find({})[0]).toMatchObject({ soundEnabled: true, soundFile: 'test.wav' });
    await f.service.soundOn(id, 'test.wav', true);
    f.runs.last.soundEnded('test.wav');
    expect(f.service.find({})[0]).toMatchObject({ soundEnabled: true, loop: true });
  });

  it('is refused for a transponder that is not there', async () => {
    for (const call of [f.service.mute, f.service.unmute, f.service.soundOff]) {
      expect(() => call.call(f.service, 'nobody')).toThrow(failsWith('TRANSPONDER_NOT_FOUND'));
    }
    await expect(f.service.soundOn('nobody', 'test.wav', true)).rejects.toThrow(failsWith('TRANSPONDER_NOT_FOUND'));
    await expect(f.service.terminate('nobody')).rejects.toThrow(failsWith('TRANSPONDER_NOT_FOUND'));
  });
});

describe('restart', () => {
  it('does not happen with rtmp_push_restore off', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.end('dest_reset', 'closed by peer');
    expect(stateOf(id)).toBe('FAILED');
    f.clock.advance(3_600_000);
    expect(f.runs.started).toHaveLength(1);
    expect(f.store.events.ofTransponder(id, 10).map(({ toState }) => toState)).toEqual(['FAILED', 'STARTING']);
    expect(f.store.runs.ofTransponder(id)[0]).toMatchObject({ exitClass: 'dest_reset', stderrTail: 'tail' });
  });

  it('wcs: happens exactly three times, each exactly the interval after the end', async () => {
    await begin({ config: { restore: true } });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    for (let attempt = 1; attempt <= 3; attempt++) {
      f.runs.last.end('dest_refused');
      expect(stateOf(id)).toBe('BACKOFF');
      expect(f.store.transponders.get(id)).toMatchObject({ nextRetryAtMs: f.clock.nowMs() + 5000, attempt });
      f.clock.advance(4999);
      expect(f.runs.started).toHaveLength(attempt);
      f.clock.advance(1);
      expect(f.runs.started).toHaveLength(attempt + 1);
    }
    f.runs.last.end('dest_refused');
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'FAILED', restartsTotal: 3, nextRetryAtMs: null });
    f.clock.advance(3_600_000);
    expect(f.runs.started).toHaveLength(4);
  });

  it('persistent: goes on for ever with jittered delays up to 30 s', async () => {
    const { mediaSessionId: id } = await f.service.startup({ ...request, restartPolicy: 'persistent' }, 'rest');
    for (let n = 0; n < 50; n++) {
      f.runs.last.end('dest_refused');
      expect(stateOf(id)).toBe('BACKOFF');
      f.clock.advance(30_000);
      expect(f.runs.started).toHaveLength(n + 2);
    }
  });

  it('follows a stall, which the service ends', async () => {
    await begin({ config: { restore: true } });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.becomeActive();
    f.runs.last.options.onEvent({ type: 'stalled' });
    expect(f.runs.last.stops).toBe(1);
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'BACKOFF', reason: 'stalled' });
  });

  it('takes a factory that throws for a run that ended', async () => {
    await begin({ config: { restore: true } });
    f.runs.failsToStart = true;
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'BACKOFF', reason: 'spawn_error' });
    f.runs.failsToStart = false;
    f.clock.advance(5000);
    expect(stateOf(id)).toBe('STARTING');
  });

  it('hears nothing more of a run that is over', async () => {
    await begin({ config: { restore: true } });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    const first = f.runs.last;
    first.end('dest_reset');
    f.clock.advance(5000);
    first.becomeActive();
    first.options.onEvent({ type: 'stalled' });
    first.options.onEvent({ type: 'ended', end: { exitClass: 'crash', detail: '' }, stderrHead: '', stderrTail: '' });
    expect(stateOf(id)).toBe('STARTING');
    expect(f.runs.last.stops).toBe(0);
  });
});

describe('a push', () => {
  it.each(['rest', 'publisher'] as const)('ends with its stream (asked by %s)', async (caller) => {
    const { mediaSessionId: id } = await f.service.startup(request, caller);
    f.service.sourceDown('cam');
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'TERMINATED', reason: 'source_gone' });
    f.service.sourceUp('cam');
    expect(f.runs.started).toHaveLength(1);
  });

  it('waits for its stream to come back where asked to', async () => {
    const { mediaSessionId: id } = await f.service.startup({ ...request, waitForStream: true }, 'rest');
    f.service.sourceDown('cam');
    expect(stateOf(id)).toBe('WAITING_SOURCE');
    expect(f.service.find({})).toHaveLength(1);
    f.service.sourceUp('cam');
    expect(stateOf(id)).toBe('STARTING');
  });

  it('degrades while the destination is too slow for ten seconds, and recovers', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.becomeActive();
    const progress = (backlogBytes: number) =>
      f.runs.last.options.onEvent({ type: 'progress', bytesOut: 1, backlogBytes });
    for (let report = 0; report < 20; report++) {
      progress(600_000);
      f.clock.advance(500);
    }
    expect(stateOf(id)).toBe('ACTIVE');
    progress(600_000);
    expect(stateOf(id)).toBe('DEGRADED');
    progress(300_000);
    expect(stateOf(id)).toBe('DEGRADED');
    progress(0);
    expect(stateOf(id)).toBe('ACTIVE');
    expect(f.runs.started).toHaveLength(1);
  });

  it('has its progress written every five seconds and when it ends', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.becomeActive();
    const progress = (bytesOut: number) =>
      f.runs.last.options.onEvent({ type: 'progress', bytesOut, framesOut: 3, backlogBytes: 0 });
    progress(100);
    expect(f.store.runs.ofTransponder(id)[0]!.bytesOut).toBe(0);
    f.clock.advance(5000);
    expect(f.store.runs.ofTransponder(id)[0]).toMatchObject({ bytesOut: 100, framesOut: 3 });
    expect(f.store.transponders.get(id)!.lastActiveAtMs).toBe(f.clock.nowMs());
    progress(200);
    f.runs.last.end('dest_reset');
    expect(f.store.runs.ofTransponder(id)[0]!.bytesOut).toBe(200);
  });
});

describe('the status of a push', () => {
  it('has the latest figures of its run, and counts restarts', async () => {
    const { mediaSessionId: id } = await f.service.startup({ ...request, restartPolicy: 'persistent' }, 'rest');
    expect(f.service.status(id)).toMatchObject({ state: 'STARTING', bitrateBps: undefined, restartsTotal: 0 });
    f.runs.last.becomeActive();
    f.runs.last.options.onEvent({ type: 'progress', bytesOut: 1, bitrateBps: 800_000, fps: 25, backlogBytes: 0 });
    const stateSinceMs = f.clock.nowMs();
    f.clock.advance(3000);
    expect(f.service.status(id)).toMatchObject({ state: 'ACTIVE', stateSinceMs, bitrateBps: 800_000, fps: 25 });
    f.runs.last.end('dest_reset');
    f.clock.advance(60_000);
    expect(f.service.status(id)).toMatchObject({ state: 'STARTING', bitrateBps: undefined, restartsTotal: 1 });
  });

  it('is unknown once the push has ended', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    const terminated = f.service.terminate(id);
    f.runs.last.end('asked_stop');
    await terminated;
    expect(f.service.status(id)).toBeUndefined();
  });
});

describe('terminate', () => {
  const moments: [string, (id: string) => void][] = [
    ['starting', () => {}],
    ['active', () => f.runs.last.becomeActive()],
    ['backing off', () => f.runs.last.end('dest_refused')],
    ['waiting for its source', () => f.service.sourceDown('cam')],
    [
      'stopping for a stall',
      () => {
        f.runs.diesWhenAsked = false;
        f.runs.last.options.onEvent({ type: 'stalled' });
      },
    ],
  ];
  it.each(moments)('ends a push that is %s, leaving no run, no timer and no retry', async (_, bring) => {
    await begin({ config: { restore: true } });
    const timers = f.clock.pendingTimers;
    const { mediaSessionId: id } = await f.service.startup({ ...request, waitForStream: true }, 'rest');
    bring(id);
    const over = f.service.terminate(id);
    for (const run of f.runs.alive) run.end('killed');
    await over;
    expect(f.store.transponders.get(id)).toMatchObject({ desired: 'stop', state: 'TERMINATED' });
    expect([f.runs.alive.length, f.clock.pendingTimers]).toEqual([0, timers]);
    f.service.sourceUp('cam');
    f.clock.advance(60_000);
    expect(stateOf(id)).toBe('TERMINATED');
    await expect(f.service.terminate(id)).rejects.toThrow(failsWith('TRANSPONDER_NOT_FOUND'));
  });

  it('waits until the child is gone, however often it is asked', async () => {
    f.runs.diesWhenAsked = false;
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    let over = 0;
    const ends = [f.service.terminate(id), f.service.terminate(id)].map((end) => end.then(() => over++));
    await Promise.resolve();
    expect([over, f.runs.last.stops]).toEqual([0, 1]);
    f.runs.last.end('killed');
    await Promise.all(ends);
    expect(over).toBe(2);
    await f.service.startup(request, 'rest');
  });

  it('takes a child that went without a word for gone', async () => {
    f.runs.diesWhenAsked = false;
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    const over = f.service.terminate(id);
    f.runs.last.vanish();
    await over;
    expect(stateOf(id)).toBe('TERMINATED');
  });
});

describe('rtmp_push_auto_start', () => {
  it('pushes every stream once, ends with it, and does not follow what it republished itself', async () => {
    await begin({ config: { autoStartUrl: 'rtmp://dest.example/live' } });
    f.service.sourceUp('cam');
    f.service.sourceUp('rtmp_cam');
    await expect.poll(() => f.runs.started.length).toBe(1);
    expect(f.runs.last.options.target.playPath).toBe('rtmp_cam');
    f.service.sourceDown('cam');
    expect(f.service.find({})).toEqual([]);
  });
});

it('old history is forgotten pass by pass, a second apart, until nothing is left of it', async () => {
  await begin();
  const longAgoMs = f.clock.nowMs() - 31 * 24 * 3_600_000;
  for (let n = 0; n < 25; n++) {
    f.store.transponders.insert(rowWith({ id: `t${n}`, state: 'FAILED', terminatedAtMs: longAgoMs }));
  }
  f.clock.advance(600_000 + 3000);
  expect(f.store.transponders.list({}, 100, 0).total).toBe(0);
});

describe('a restart of the process', () => {
  it('gives up rows that were live with restore_on_start=never, and closes their runs', async () => {
    const wrapStore = (store: typeof f.store) => {
      store.transponders.insert(rowWith({ id: 'run', state: 'ACTIVE' }));
      store.transponders.insert(rowWith({ id: 'stop', destHash: '2', desired: 'stop', state: 'STOPPING' }));
      store.runs.open({ transponderId: 'run', attempt: 0, bootId: 'boot0', nonce: 'n', spawnedAtMs: 1 });
      return store;
    };
    await begin({ wrapStore, config: { restoreOnStart: { onStart: 'never', windowMs: 600_000 } } });
    expect(f.store.transponders.get('run')).toMatchObject({ state: 'FAILED', reason: 'server_restart' });
    expect(f.store.transponders.get('stop')).toMatchObject({ state: 'TERMINATED' });
    expect(f.store.runs.ofTransponder('run')[0]).toMatchObject({ exitClass: 'server_crash' });
    expect(f.store.events.ofTransponder('run', 1)[0]).toMatchObject({ fromState: 'ACTIVE', toState: 'FAILED' });
    expect(f.service.find({})).toEqual([]);
  });

  it('leaves rows wanted and their runs closed when it was told to close', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.becomeActive();
    await Promise.all([f.service.close(), f.service.close()]);
    expect(f.runs.last.stops).toBe(1);
    expect(f.store.transponders.get(id)).toMatchObject({ desired: 'run', state: 'ACTIVE' });
    expect(f.store.runs.ofTransponder(id)[0]!.endedAtMs).not.toBeNull();
    expect(f.clock.pendingTimers).toBe(0);
  });
});

describe('a store that takes no writes', () => {
  it('is found out by an idle server that is asked, at most every five seconds', async () => {
    const { disk, wrapStore } = smallDisk();
    await begin({ wrapStore });
    f.clock.advance(5000);
    expect(f.service.probeStore()).toBe(true);
    disk.isFull = true;
    disk.writes = 0;
    f.clock.advance(4000);
    expect([f.service.probeStore(), f.service.isStoreWritable, disk.writes]).toEqual([true, true, 0]);
    f.clock.advance(1000);
    expect([f.service.probeStore(), f.service.isStoreWritable, disk.writes]).toEqual([false, false, 1]);
    expect([f.service.probeStore(), disk.writes]).toEqual([false, 1]);
    disk.isFull = false;
    f.clock.advance(5000);
    expect(f.service.probeStore()).toBe(true);
  });

  it('is not what says how a push is that has ended meanwhile', async () => {
    const { disk, wrapStore } = smallDisk();
    await begin({ wrapStore });
    const ids = await Promise.all(
      ['a', 'b'].map(
        async (app) => (await f.service.startup({ ...request, rtmpUrl: `rtmp://${app}/live` }, 'rest')).mediaSessionId,
      ),
    );
    const [stopped, failed] = ids as [string, string];
    for (const run of f.runs.started) run.becomeActive();
    disk.isFull = true;
    expect(await f.service.stop(stopped)).toMatchObject({ state: 'TERMINATED' });
    f.runs.started[1]!.end('dest_reset');
    expect(stateOf(stopped)).toBe('ACTIVE');
    for (const [id, state] of [
      [stopped, 'TERMINATED'],
      [failed, 'FAILED'],
    ] as const) {
      const { runs, ...view } = f.service.detail(id);
      expect(view).toMatchObject({ state });
      expect(runs.map(({ endedAtMs }) => endedAtMs)).toEqual([f.clock.nowMs()]);
      await expect(f.service.stop(id)).rejects.toThrow(failsWith('TRANSPONDER_STATE'));
    }
    expect(
      f.service
        .list({}, 10, 0)
        .transponders.map(({ state }) => state)
        .toSorted(),
    ).toEqual(['FAILED', 'TERMINATED']);
    expect(() => f.service.resume(failed)).toThrow(failsWith('OVERLOADED'));
    disk.isFull = false;
    f.clock.advance(5000);
    expect(ids.map(stateOf)).toEqual(['TERMINATED', 'FAILED']);
    expect(f.service.resume(failed)).toMatchObject({ state: 'STARTING' });
  });

  it('disturbs no run, refuses new pushes, and gets everything once it is back', async () => {
    const { disk, wrapStore } = smallDisk();
    await begin({ wrapStore });
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    disk.isFull = true;
    f.runs.last.becomeActive();
    expect(f.service.isStoreWritable).toBe(false);
    await expect(f.service.startup({ ...request, rtmpUrl: 'rtmp://b/live' }, 'rest')).rejects.toThrow(
      failsWith('OVERLOADED'),
    );
    expect(f.runs.last.isGone).toBe(false);
    expect(stateOf(id)).toBe('STARTING');
    disk.isFull = false;
    f.clock.advance(5000);
    expect(f.service.isStoreWritable).toBe(true);
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'ACTIVE' });
    expect(f.store.runs.ofTransponder(id)[0]).toMatchObject({ pid: 1 });
  });
});

describe('secrets', () => {
  it('reach no log line and no byte of the database', async () => {
    await begin({ config: { restore: true } });
    const rtmpUrl = 'rtmp://user:canary1@dest.example/live/canary2?key=canary3';
    const full = { ...request, rtmpUrl, rtmpTransponderFullUrl: true };
    const { mediaSessionId: id } = await f.service.startup(full, 'rest');
    await expect(f.service.startup(full, 'rest')).rejects.not.toThrow(/canary/);
    f.runs.last.becomeActive();
    f.runs.last.end('dest_reset');
    f.clock.advance(5000);
    expect(f.runs.last.options.target.playPath).toContain('canary2');
    await f.service.terminate(id);
    f.store.close();
    const bytes = readFileSync(f.files.path);
    expect(bytes.includes('dest.example')).toBe(true);
    expect(bytes.includes('canary')).toBe(false);
    expect(f.logged.length).toBeGreaterThan(3);
    expect(f.logged.join('\n')).not.toContain('canary');
  });
});
