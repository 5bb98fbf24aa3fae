import { execa } from 'execa';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { VideoCodec } from '../../src/domain/media.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Snapshots } from '../../src/outputs/snapshots.ts';

const FFMPEG = '/usr/bin/ffmpeg';
const hubs: Hub[] = [];

afterEach(() => {
  for (const hub of hubs.splice(0)) for (const stream of hub.list()) hub.remove(stream, 'over');
});

/** One keyframe as ffmpeg makes it: Annex-B, or the frame of an IVF file. */
async function keyframe(codec: VideoCodec): Promise<Buffer> {
  const encoder =
    codec === 'h264' ? ['-c:v', 'libx264', '-profile:v', 'baseline', '-f', 'h264'] : ['-c:v', 'libvpx', '-f', 'ivf'];
  const source = ['-f', 'lavfi', '-i', 'color=red:size=320x240:rate=1', '-frames:v', '1'];
  const { stdout } = await execa(FFMPEG, ['-v', 'error', ...source, ...encoder, 'pipe:1'], { encoding: 'buffer' });
  const bytes = Buffer.from(stdout);
  return codec === 'h264' ? bytes : bytes.subarray(32 + 12);
}

/** A live stream that gives the keyframe whenever it is asked for one. */
async function streamOf(codec: VideoCodec, timeoutMs = 5000) {
  const hub = new Hub(silentLogger);
  hubs.push(hub);
  const data = await keyframe(codec);
  let rtpTime = 0;
  const stream = hub.publish('cam', {
    id: 'p1',
    source: {
      requestKeyframe() {
        rtpTime += 3000;
        const arrivalUs = systemClock.monotonicUs();
        const frame = { kind: 'video', codec, rtpTime, clockRateHz: 90_000, arrivalUs, isKeyframe: true } as const;
        setImmediate(() => stream.writeFrame({ ...frame, width: 320, height: 240, data }));
      },
      setFramesWanted: () => {},
    },
    tracks: { video: { codec, width: 0, height: 0 } },
    clock: systemClock,
    logger: silentLogger,
  });
  const options = { hub, ffmpegPath: FFMPEG, nonce: 'test', timeoutMs, clock: systemClock, logger: silentLogger };
  return { hub, stream, snapshots: new Snapshots(options) };
}

/** The colour of the middle of a PNG, as three bytes. */
async function middleColour(png: Buffer): Promise<number[]> {
  const process = execa(
    FFMPEG,
    ['-v', 'error', '-i', 'pipe:0', '-vf', 'crop=2:2,scale=1:1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    {
      input: png,
      encoding: 'buffer',
    },
  );
  return [...(await process).stdout];
}

describe('a snapshot', () => {
  it.each(['h264', 'vp8'] as const)('of a %s stream is a PNG of its picture', async (codec) => {
    const { snapshots } = await streamOf(codec);
    const png = await snapshots.take('cam');
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([320, 240]);
    const [red, green, blue] = await middleColour(png);
    expect(red).toBeGreaterThan(200);
    expect(green).toBeLessThan(40);
    expect(blue).toBeLessThan(40);
  });

  it('is taken once for all who ask at the same time', async () => {
    const { snapshots } = await streamOf('h264');
    const [first, second] = await Promise.all([snapshots.take('cam'), snapshots.take('cam')]);
    expect(first).toBe(second);
  });

  it('fails in time when no keyframe comes, when the stream ends and when there is no stream', async () => {
    const { hub, snapshots } = await streamOf('h264', 100);
    await expect(snapshots.take('none')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    const silent = hub.publish('silent', {
      id: 'p2',
      source: { requestKeyframe: () => {}, setFramesWanted: () => {} },
      tracks: { video: { codec: 'h264', width: 0, height: 0 } },
      clock: systemClock,
      logger: silentLogger,
    });
    await expect(snapshots.take('silent')).rejects.toThrow('no keyframe in 100 ms');
    const ending = snapshots.take('silent');
    setImmediate(() => hub.remove(silent, 'over'));
    await expect(ending).rejects.toThrow('the stream has ended');
  });

  it('leaves no reader behind', async () => {
    let wanted: boolean | undefined;
    const hub = new Hub(silentLogger);
    hubs.push(hub);
    const { promise, resolve } = Promise.withResolvers<void>();
    hub.publish('cam', {
      id: 'p1',
      source: {
        requestKeyframe: () => {},
        setFramesWanted(now) {
          wanted = now;
          if (!now) resolve();
        },
      },
      tracks: { video: { codec: 'h264', width: 0, height: 0 } },
      clock: systemClock,
      logger: silentLogger,
    });
    const options = { hub, ffmpegPath: FFMPEG, nonce: 'test', timeoutMs: 50, clock: systemClock, logger: silentLogger };
    await expect(new Snapshots(options).take('cam')).rejects.toThrow('no keyframe');
    await promise;
    expect(wanted).toBe(false);
  });
});
