import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/domain/clock.ts';
import { silentLogger } from '../../../src/domain/logger.ts';
import { createRtmpPushGate } from '../../../src/egress/rtmp-push-gate.ts';
import { parseRtmpTarget } from '../../../src/egress/rtmp-target.ts';
import { Hub } from '../../../src/hub/hub.ts';
import { Renditions } from '../../../src/hub/renditions.ts';
import type { PushRunOptions, RunEvent } from '../../../src/outputs/push-run.ts';
import { USUAL_BOUNDS } from '../../../src/outputs/rtmp-push/push-bounds.ts';
import { createRtmpPushFactory } from '../../../src/outputs/rtmp-push/rtmp-push.ts';
import { SpawnQueue } from '../../../src/supervisor/spawn-limits.ts';
import { audioUnit, keyUnit, videoUnit } from '../../hub/units.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { startRtmpDestination } from '../../support/rtmp-destination.ts';

const DEAF_FFMPEG = fileURLToPath(new URL('../../children/deaf-ffmpeg.sh', import.meta.url));
const PARAMS = { width: 0, height: 0, fps: 0, keyFrameInterval: 0, rtmpFlashVersion: '', sendMetadata: false };
const RETRY = { attempt: 1 };
const STALL_TIMEOUT_MS = 8000;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A run of a stream that is there, through the real gate, to a destination that accepts when told to. */
async function startRun(more: Partial<PushRunOptions> = {}, ffmpegPath = DEAF_FFMPEG) {
  let accept: (() => void) | undefined;
  const destination = await startRtmpDestination(({ name }, peer) => {
    if (name !== 'publish') return false;
    accept = () => peer.status('status', 'NetStream.Publish.Start');
    return true;
  });
  cleanups.push(() => destination.stop());
  const gate = await createRtmpPushGate({ logger: silentLogger, clock: systemClock, allowAddress: () => undefined });
  cleanups.push(() => gate.close());
  const clock = new ManualClock();
  const logger = silentLogger;
  const hub = new Hub(logger);
  const streamOptions = {
    id: 'publisher',
    source: { setFramesWanted: () => {} },
    tracks: {
      video: { codec: 'h264', width: 640, height: 360 },
      audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
    },
    clock,
    logger,
  } as const;
  const stream = hub.publish('source', streamOptions);
  const noTranscoder = (): never => expect.unreachable('nothing needs a transcoder');
  const factory = createRtmpPushFactory({
    hub,
    renditions: new Renditions({ factory: { audio: noTranscoder, video: noTranscoder }, clock, logger }),
    gate,
    loadSound: () => Promise.resolve([]),
    ffmpegPath,
    preserveAspectRatio: true,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    bounds: USUAL_BOUNDS,
    spawnQueue: new SpawnQueue(clock),
    clock,
    logger,
  });
  const events: RunEvent[] = [];
  const run = factory.start({
    id: 'push',
    attempt: 0,
    nonce: 'nonce-of-the-run',
    streamName: 'source',
    target: parseRtmpTarget({
      rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live`,
      streamName: 'key',
      fullUrl: false,
      prefix: '',
    }),
    caller: 'rest',
    params: PARAMS,
    audio: { mode: 'source' },
    onEvent: (event) => events.push(event),
    ...more,
  });
  cleanups.push(() => run.stop());
  return {
    run,
    gate,
    hub,
    stream,
    streamOptions,
    clock,
    destination,
    events,
    types: () => events.map(({ type }) => type),
    told: (type: RunEvent['type']) => expect.poll(() => events.map((event) => event.type)).toContain(type),
    /** The destination has been asked to let it publish, and has not answered. */
    asked: () => expect.poll(() => accept).toBeDefined(),
    accept: () => accept!(),
    media: () => {
      stream.writeUnit(keyUnit(0));
      stream.writeUnit(audioUnit(0, 3, 'aac'));
    },
    ended: async () => {
      await expect.poll(() => events.at(-1)?.type).toBe('ended');
      return events.find((event) => event.type === 'ended')!.end;
    },
    /** All connections that the destination ever had are closed. */
    isLeft: () => expect.poll(() => destination.peers.map(({ socket }) => socket.closed)).toEqual([true]),
  };
}

describe('a push that is tried again', () => {
  it('asks the destination before it starts a process, and reads its source only when it has accepted', async () => {
    const push = await startRun(RETRY);
    push.media();
    await push.asked();
    expect(push.types()).toEqual([]);
    push.accept();
    await push.told('spawned');
    expect(push.types()).toEqual(['publishing', 'spawned']);
    expect(push.destination.peers).toHaveLength(1);
  });

  it('begins with the cached group of pictures, though it is ten seconds of 8 Mbit/s', async () => {
    const push = await startRun(RETRY);
    const oneMbyte = { bytes: 1_000_000 };
    push.stream.writeUnit(keyUnit(0, oneMbyte));
    for (let second = 1; second < 10; second++) push.stream.writeUnit(videoUnit(second * 1000, oneMbyte));
    await push.asked();
    push.accept();
    await push.told('spawned');
    expect(push.types()).toEqual(['publishing', 'spawned']);
  });

  it('waits for the next keyframe of a stream with groups of thirty seconds, which its cache does not hold', async () => {
    const push = await startRun(RETRY);
    push.stream.writeUnit(keyUnit(0));
    const pictures = (fromSecond: number, toSecond: number): void => {
      for (let second = fromSecond; second < toSecond; second++) {
        push.stream.writeUnit(videoUnit(second * 1000));
        push.clock.advance(1000);
      }
    };
    pictures(1, 12);
    await push.asked();
    push.accept();
    await push.told('publishing');
    pictures(12, 30);
    push.stream.writeUnit(keyUnit(30_000));
    await push.told('spawned');
    expect(push.types()).toEqual(['publishing', 'spawned']);
  });

  it('leaves no connection and starts no process when it is stopped while the destination is asked', async () => {
    const push = await startRun(RETRY);
    push.media();
    await push.asked();
    await push.run.stop();
    expect(push.types()).toEqual(['ended']);
    expect(await push.ended()).toMatchObject({ exitClass: 'asked_stop' });
    await push.isLeft();
    expect(push.clock.pendingTimers).toBe(0);
  });

  it('ends with its source, without a process, when that has gone while the destination was asked', async () => {
    const push = await startRun(RETRY);
    await push.asked();
    push.hub.remove(push.stream, 'unpublished');
    push.accept();
    expect(await push.ended()).toMatchObject({ exitClass: 'source_gone' });
    expect(push.types()).toEqual(['publishing', 'ended']);
    await push.isLeft();
  });

  it('is to be begun anew when its source was replaced under its name', async () => {
    const push = await startRun(RETRY);
    push.media();
    await push.asked();
    push.accept();
    await push.told('spawned');
    push.hub.replace(push.stream, 'other tracks', push.streamOptions);
    expect(await push.ended()).toMatchObject({ exitClass: 'replan', detail: 'other tracks' });
  });

  it('ends when the gate is closed while the destination is asked', async () => {
    const push = await startRun(RETRY);
    await push.asked();
    await push.gate.close();
    expect(await push.ended()).toMatchObject({ exitClass: 'asked_stop' });
    await push.isLeft();
    expect(push.clock.pendingTimers).toBe(0);
  });

  it('ends when the gate is closed before the destination is asked, which never hears of it', async () => {
    const push = await startRun(RETRY);
    const closed = push.gate.close();
    expect(await push.ended()).toMatchObject({ exitClass: 'asked_stop' });
    await closed;
    expect(push.types()).toEqual(['ended']);
    expect(push.destination.peers).toEqual([]);
  });

  it('ends when the gate is closed while the source gives nothing yet, and starts no process afterwards', async () => {
    const push = await startRun(RETRY);
    await push.asked();
    push.accept();
    await push.told('publishing');
    await push.gate.close();
    expect(await push.ended()).toMatchObject({ exitClass: 'asked_stop' });
    push.media();
    expect(push.types()).toEqual(['publishing', 'ended']);
  });

  it('says spawn_error and leaves the destination when the process cannot be started after the acceptance', async () => {
    const push = await startRun(RETRY, '/nonexistent/ffmpeg');
    push.media();
    await push.asked();
    push.accept();
    expect(await push.ended()).toMatchObject({ exitClass: 'spawn_error' });
    await push.isLeft();
    const commands = push.destination.peers[0]!.messages.flatMap((message) =>
      message.kind === 'command' ? [message.name] : [],
    );
    expect(commands.slice(-2)).toEqual(['FCUnpublish', 'deleteStream']);
  });

  it('says reset, and ends its process, when the destination closes between its acceptance and the first byte', async () => {
    const push = await startRun(RETRY);
    push.media();
    await push.asked();
    push.accept();
    await push.told('spawned');
    push.destination.peers[0]!.socket.end();
    expect(await push.ended()).toMatchObject({ exitClass: 'dest_reset' });
    const spawned = push.events.find((event) => event.type === 'spawned')!;
    expect(() => process.kill(spawned.pid, 0)).toThrow('ESRCH');
    await push.isLeft();
  });
});

describe('a push whose process takes its input and publishes nothing', () => {
  it('is given up, and its destination, which has accepted, is not blamed', async () => {
    const push = await startRun();
    await expect
      .poll(() => {
        push.media();
        return push.types();
      })
      .toContain('spawned');
    await push.asked();
    push.accept();
    await push.told('publishing');
    for (let seconds = 0; seconds < 20; seconds++) push.clock.advance(1000);
    expect(await push.ended()).toMatchObject({
      exitClass: 'start_timeout',
      detail: 'the publishing process does not publish',
    });
    await push.isLeft();
  });
});
