import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { VideoUnit } from '../../src/domain/media.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';
import { createRtmpPushGate } from '../../src/egress/rtmp-push-gate.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Renditions } from '../../src/hub/renditions.ts';
import type { RunEvent } from '../../src/outputs/push-run.ts';
import { LARGE_BOUNDS } from '../../src/outputs/rtmp-push/push-bounds.ts';
import { createRtmpPushFactory } from '../../src/outputs/rtmp-push/rtmp-push.ts';
import { SpawnQueue } from '../../src/supervisor/spawn-limits.ts';
import { createFfmpegTranscoders } from '../../src/transcode/ffmpeg-transcoders.ts';
import { startRtmpDestination } from '../support/rtmp-destination.ts';
import { waitUntil } from '../support/wait-until.ts';
import { aacUnits, feedLive, ffmpeg, host } from './ffmpeg-support.ts';

const [WIDTH, HEIGHT] = [3840, 2160];
const FPS = 10;
const GOP = 10;
const FRAMES = 40;
const KEYFRAME_BYTES = 2_000_000;
const AUD = Buffer.from([0, 0, 0, 1, 9]);
/** Enough of a picture's end to know it by. */
const TAIL_BYTES = 4096;
const ARRIVED_MS = 20_000;

/** 4K with grain that stands still: large keyframes, and small pictures between them. */
async function grainyPictures(): Promise<VideoUnit[]> {
  const source = `testsrc2=size=${WIDTH}x${HEIGHT}:rate=${FPS},noise=alls=40`;
  const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-qp', '16', '-pix_fmt', 'yuv420p'];
  const shape = ['-g', String(GOP), '-sc_threshold', '0', '-x264-params', 'aud=1:repeat-headers=1'];
  const input = ['-f', 'lavfi', '-i', source, '-frames:v', String(FRAMES)];
  const stream = await ffmpeg([...input, ...codec, ...shape, '-f', 'h264', 'pipe:1']);
  const starts: number[] = [];
  for (let at = stream.indexOf(AUD); at >= 0; at = stream.indexOf(AUD, at + 5)) starts.push(at);
  return starts.map((start, index) => ({
    kind: 'video',
    codec: 'h264',
    ptsUs: (index * 1_000_000) / FPS,
    dtsUs: (index * 1_000_000) / FPS,
    isKeyframe: index % GOP === 0,
    width: WIDTH,
    height: HEIGHT,
    data: stream.subarray(start, starts[index + 1] ?? stream.length),
  }));
}

describe('rtmp.server_buffer_enabled', () => {
  const closers: (() => Promise<unknown>)[] = [];
  let pictures: VideoUnit[];
  beforeAll(async () => {
    pictures = await grainyPictures();
  });
  afterAll(async () => {
    for (const close of closers.toReversed()) await close();
  });

  it('lets a 4K stream with keyframes of 2 MB arrive whole', async () => {
    const keyframes = pictures.filter(({ isKeyframe }) => isKeyframe);
    expect(Math.min(...keyframes.map(({ data }) => data.length))).toBeGreaterThan(KEYFRAME_BYTES);
    const clock = systemClock;
    const logger = silentLogger;
    const destination = await startRtmpDestination();
    closers.push(() => destination.stop());
    const gate = await createRtmpPushGate({ logger, clock, allowAddress: () => undefined });
    closers.push(() => gate.close());
    const transcoders = createFfmpegTranscoders(host);
    closers.push(() => transcoders.close('test ended'));
    const hub = new Hub(logger);
    const stream = hub.publish('cinema', {
      id: 'publisher',
      source: { setFramesWanted: () => {} },
      tracks: {
        video: { codec: 'h264', width: WIDTH, height: HEIGHT },
        audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
      },
      clock,
      logger,
    });
    const runs = createRtmpPushFactory({
      hub,
      renditions: new Renditions({ factory: transcoders, clock, logger }),
      gate,
      loadSound: async () => [],
      ffmpegPath: 'ffmpeg',
      preserveAspectRatio: true,
      stallTimeoutMs: 8000,
      bounds: LARGE_BOUNDS,
      spawnQueue: new SpawnQueue(clock),
      clock,
      logger,
    });
    const events: RunEvent[] = [];
    const run = runs.start({
      id: 'push',
      attempt: 0,
      nonce: 'push-large-frames',
      streamName: 'cinema',
      target: parseRtmpTarget({
        rtmpUrl: `rtmp://127.0.0.1:${destination.port}/live`,
        streamName: 'cinema',
        fullUrl: false,
        prefix: '',
      }),
      caller: 'rest',
      params: { width: 0, height: 0, fps: 0, keyFrameInterval: 0, rtmpFlashVersion: '', sendMetadata: false },
      audio: { mode: 'source' },
      onEvent: (event) => events.push(event),
    });
    onTestFinished(() => run.stop());

    const units = [...pictures, ...(await aacUnits(FRAMES / FPS, 0))].toSorted((a, b) => a.ptsUs - b.ptsUs);
    await feedLive(units, (FRAMES / FPS / units.length) * 1000, (unit) => stream.writeUnit(unit));
    const arrived = (): readonly Buffer[] =>
      (destination.peers[0]?.messages ?? []).flatMap((message) => (message.kind === 'video' ? [message.payload] : []));
    // ffmpeg keeps the last few back until more comes.
    const expected = pictures.slice(0, -3);
    const hasArrived = ({ data }: VideoUnit): boolean => {
      const tail = data.subarray(-Math.min(TAIL_BYTES, data.length - 64));
      return arrived().some((payload) => payload.subarray(-tail.length).equals(tail));
    };
    await waitUntil(
      () => hasArrived(expected.at(-1)!) || undefined,
      ARRIVED_MS,
      () => `all pictures, of ${expected.length} came ${arrived().length}: ${JSON.stringify(events.at(-1))}`,
    );
    expect(expected.map(hasArrived)).toEqual(expected.map(() => true));
    const large = arrived().filter((payload) => payload.length > KEYFRAME_BYTES);
    expect(large).toHaveLength(keyframes.length);
    expect(events.some(({ type }) => type === 'ended')).toBe(false);
  });
});
