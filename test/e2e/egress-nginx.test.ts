import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { RunEnd } from '../../src/domain/transponder.ts';
import type { GateCounters, GateEvent, GateOptions, GateSession } from '../../src/egress/gate.ts';
import { createRtmpPushGate } from '../../src/egress/rtmp-push-gate.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import type { NginxRtmpOptions } from '../support/nginx-rtmp.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function nginx(options?: NginxRtmpOptions) {
  const server = await startNginxRtmp(options);
  cleanups.push(() => server.stop());
  return server;
}

class Push {
  readonly events: GateEvent[] = [];
  readonly session: GateSession;
  readonly ffmpeg: ChildProcess;
  stderr = '';
  readonly #emitter = new EventEmitter();

  constructor(session: (onEvent: (event: GateEvent) => void) => GateSession, inputs: readonly string[]) {
    this.session = session((event) => {
      this.events.push(event);
      this.#emitter.emit('event');
    });
    const { childUrl, childApp, childPlayPath } = this.session;
    const output = ['-f', 'flv', '-rtmp_app', childApp, '-rtmp_playpath', childPlayPath, childUrl];
    this.ffmpeg = spawn('/usr/bin/ffmpeg', ['-nostdin', '-loglevel', 'error', ...inputs, ...output], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.ffmpeg.stderr!.on('data', (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  async until<T>(pick: () => T | undefined): Promise<T> {
    for (;;) {
      const found = pick();
      if (found !== undefined) return found;
      await once(this.#emitter, 'event');
    }
  }

  publishing(): Promise<GateEvent> {
    return this.until(() => this.events.find(({ type }) => type === 'publishing' || type === 'ended'));
  }

  async ended(): Promise<RunEnd> {
    const event = await this.until(() => this.events.find((candidate) => candidate.type === 'ended'));
    return event.end;
  }
}

const VIDEO = ['-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25'];
const AUDIO = ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '25', '-pix_fmt', 'yuv420p'];
const BOTH = [...VIDEO, ...AUDIO, ...H264, '-c:a', 'aac'];

async function push(
  rtmpUrl: string,
  inputs: readonly string[],
  more: Partial<GateOptions> & { fullUrl?: boolean } = {},
) {
  const gate = await createRtmpPushGate({ logger: silentLogger, clock: systemClock, allowAddress: () => undefined });
  cleanups.push(() => gate.close());
  const target = parseRtmpTarget({ rtmpUrl, streamName: 'stream1', fullUrl: more.fullUrl ?? false, prefix: 'rtmp_' });
  const made = new Push(
    (onEvent) =>
      gate.admit({
        target,
        flashVersion: 'LNX 76.219.189.0',
        connectTimeoutMs: 5000,
        maxBacklogBytes: 256 * 1024,
        onEvent,
        ...more,
      }),
    inputs,
  );
  cleanups.push(async () => {
    if (made.ffmpeg.exitCode !== null || made.ffmpeg.signalCode !== null) return;
    made.ffmpeg.kill('SIGKILL');
    await once(made.ffmpeg, 'exit');
  });
  return made;
}

/** What a player sees: one line of `codec,width` per stream. */
async function probe(url: string): Promise<string> {
  const entries = 'stream=codec_name,width,sample_rate';
  const child = spawn('/usr/bin/ffprobe', ['-v', 'error', '-show_entries', entries, '-of', 'csv=p=0', url]);
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(child, 'close');
  return text.trim().split('\n').sort().join(' ');
}

/** Longer than the looks at the connection are apart: equal counters then mean that nothing moves any more. */
const SETTLED_MS = 600;

async function settledCounters(session: GateSession): Promise<GateCounters> {
  for (let before = session.counters(); ;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const after = session.counters();
    if (isDeepStrictEqual(after, before)) return after;
    before = after;
  }
}

describe('the push gate between ffmpeg and nginx-rtmp', () => {
  it('publishes seconds of sound and picture that a player can play, and ends in good order', async () => {
    const server = await nginx();
    const made = await push(server.url('live'), [...BOTH, '-t', '4']);
    expect((await made.publishing()).type).toBe('publishing');
    expect(await server.waitForCall('publish')).toMatchObject({
      app: 'live',
      name: 'rtmp_stream1',
      flashver: 'LNX 76.219.189.0',
    });
    expect(await probe(`${server.url('live')}/rtmp_stream1`)).toBe('aac,48000 h264,320');
    expect(await made.ended()).toMatchObject({ exitClass: 'source_gone' });
    await server.waitForCall('publish_done');
    const counters = made.session.counters();
    expect(counters).toMatchObject({ mediaStarted: true, backlogBytes: 0 });
    expect(counters.bytesAccepted).toBeGreaterThan(20_000);
    expect(made.stderr).toBe('');
    expect(made.events.map(({ type }) => type).filter((type) => type !== 'status')).toEqual([
      'dialling',
      'publishing',
      'ended',
    ]);
  });

  it('gives the query of the URL to the application, as WCS documents it', async () => {
    const server = await nginx();
    const made = await push(`${server.url('app_name')}/?user=user1&pass=pass1`, BOTH);
    await made.publishing();
    expect(await server.waitForCall('connect')).toMatchObject({ app: 'app_name', user: 'user1', pass: 'pass1' });
    expect(await server.waitForCall('publish')).toMatchObject({ app: 'app_name', name: 'rtmp_stream1' });
  });

  it('publishes under the name in the URL in full-URL mode, byte for byte', async () => {
    const server = await nginx();
    const made = await push(`${server.url('app')}/kéy+%20=$?sig=a/b`, BOTH, { fullUrl: true });
    await made.publishing();
    expect(await server.waitForCall('publish')).toMatchObject({ app: 'app', name: 'kéy+%20=$', sig: 'a/b' });
  });

  it('passes metadata on only when asked', async () => {
    const server = await nginx();
    for (const sendMetadata of [false, true]) {
      const made = await push(server.url('live'), BOTH, { sendMetadata });
      await made.publishing();
      await server.waitForCall('publish');
      while (!made.session.counters().mediaStarted) await new Promise(setImmediate);
      const stat = await server.stat();
      expect(/<frame_rate>25<\/frame_rate>/.test(stat)).toBe(sendMetadata);
      await made.session.close();
    }
  });

  it('calls sound without picture started', async () => {
    const server = await nginx();
    const made = await push(server.url('live'), [...AUDIO, '-c:a', 'aac', '-t', '2']);
    await made.ended();
    expect(made.session.counters().mediaStarted).toBe(true);
  });

  it('says busy when the name is taken, and ffmpeg never starts', async () => {
    const server = await nginx();
    await (await push(server.url('live'), BOTH)).publishing();
    const second = await push(server.url('live'), BOTH);
    const end = await second.ended();
    expect(end.exitClass).toBe('dest_busy');
    expect(end.detail).toContain('NetStream.Publish.BadName');
    expect(second.events.some(({ type }) => type === 'publishing')).toBe(false);
  });

  it('says closed when on_publish answers 403 and when the application is unknown, of which nginx says no word', async () => {
    const server = await nginx({ onPublish: () => 403 });
    expect(await (await push(server.url('live'), BOTH)).ended()).toMatchObject({ exitClass: 'dest_closed' });
    expect(await (await push(server.url('nowhere'), BOTH)).ended()).toMatchObject({ exitClass: 'dest_closed' });
  });

  it('says reset when the server dies while publishing', async () => {
    const server = await nginx();
    const made = await push(server.url('live'), BOTH);
    await made.publishing();
    server.kill('SIGKILL');
    expect((await made.ended()).exitClass).toBe('dest_reset');
    if (made.ffmpeg.exitCode === null) await once(made.ffmpeg, 'exit');
  });

  it('unpublishes at once when it is closed', async () => {
    const server = await nginx();
    const made = await push(server.url('live'), BOTH);
    await made.publishing();
    await made.session.close();
    expect((await made.ended()).exitClass).toBe('asked_stop');
    await server.waitForCall('publish_done');
  });

  it('holds ffmpeg back when the server freezes, within a bound', async () => {
    const server = await nginx();
    const source = [
      '-f',
      'lavfi',
      '-i',
      'testsrc2=size=1280x720:rate=60',
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-b:v',
      '80M',
    ];
    const made = await push(server.url('live'), source);
    await made.publishing();
    server.kill('SIGSTOP');
    const isBackedUp = () => made.session.counters().backlogBytes > 256 * 1024;
    while (!isBackedUp()) await new Promise((resolve) => setTimeout(resolve, 50));
    const after = await settledCounters(made.session);
    expect(after.backlogBytes).toBeLessThan(2_000_000);
    expect(after.unacceptedBytes).toBeGreaterThan(0);
    server.kill('SIGCONT');
    while (made.session.counters().bytesAccepted === after.bytesAccepted)
      await new Promise((resolve) => setTimeout(resolve, 50));
  });
});
