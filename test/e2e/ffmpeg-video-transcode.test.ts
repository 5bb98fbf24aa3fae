import { describe, expect, it, vi } from 'vitest';
import type { VideoUnit } from '../../src/domain/media.ts';
import { startVideoTranscode, type VideoTranscodeOptions } from '../../src/transcode/video-transcode.ts';
import { feedLive, h264Units, host, pidWithNonce, probeFrames, vp8Units } from './ffmpeg-support.ts';

const BASE_US = 3_210_987;

async function transcode(
  units: readonly VideoUnit[],
  need: VideoTranscodeOptions['need'],
  expectedUnits: number,
): Promise<VideoUnit[]> {
  const out: VideoUnit[] = [];
  const video = startVideoTranscode({
    host,
    need,
    maxQueueBytes: 64 << 20,
    onUnit: (unit) => out.push(unit),
    onKeyframeNeeded: () => expect.fail('no keyframe was missing'),
    onEnd: (reason) => expect.fail(reason),
  });
  for (const unit of units) video.feed(unit);
  await vi.waitFor(() => expect(out.length).toBeGreaterThanOrEqual(expectedUnits), { timeout: 20_000 });
  await video.close('test over');
  expect(video.counters).toMatchObject({ droppedUnits: 0, restarts: 0 });
  return out;
}

function keyframeIndexes(units: readonly VideoUnit[]): number[] {
  return units.flatMap((unit, index) => (unit.isKeyframe ? [index] : []));
}

describe('video transcoding with the real ffmpeg', () => {
  it('makes pictures of the wanted height, with a keyframe every two seconds, at the times of the input', async () => {
    const input = await h264Units({ width: 640, height: 360, frames: 150 }, BASE_US);
    const out = await transcode(input, { heightPx: 180 }, 145);
    expect(keyframeIndexes(out)).toEqual([0, 60, 120]);
    for (const [index, unit] of out.entries()) {
      expect(Math.abs(unit.ptsUs - input[index]!.ptsUs)).toBeLessThanOrEqual(500);
      expect(unit).toMatchObject({ codec: 'h264', width: 320, height: 180 });
    }
    expect((await probeFrames(out)).every((frame) => frame.width === 320 && frame.height === 180)).toBe(true);
  });

  it('puts parameter sets in front of every keyframe', async () => {
    const input = await h264Units({ width: 320, height: 180, frames: 60 }, BASE_US);
    const out = await transcode(input, { keyFrameIntervalFrames: 12 }, 50);
    const keyframes = out.filter((unit) => unit.isKeyframe);
    expect(keyframes.length).toBeGreaterThan(3);
    for (const { data } of keyframes) {
      expect(data.readUInt32BE(0)).toBe(1);
      expect(data[4]! & 31).toBe(7);
      expect(data.includes(Buffer.from([0, 0, 0, 1, 0x68]))).toBe(true);
    }
  });

  it('obeys frame rate and keyframe interval', async () => {
    const input = await h264Units({ width: 320, height: 180, frames: 120 }, BASE_US);
    const out = await transcode(input, { fps: 15, keyFrameIntervalFrames: 10 }, 50);
    expect(keyframeIndexes(out).slice(0, 5)).toEqual([0, 10, 20, 30, 40]);
    const steps = out.slice(1).map((unit, index) => unit.dtsUs - out[index]!.dtsUs);
    for (const step of steps) expect(Math.abs(step - 66_667)).toBeLessThanOrEqual(1_000);
  });

  it('takes VP8', async () => {
    const out = await transcode(
      await vp8Units({ width: 320, height: 240, frames: 60 }, BASE_US),
      { heightPx: 120 },
      55,
    );
    const frames = await probeFrames(out);
    expect(frames.every((frame) => frame.width === 160 && frame.height === 120)).toBe(true);
  });

  it('keeps its size when the input turns or changes size', async () => {
    const first = await h264Units({ width: 640, height: 360, frames: 45, gop: 15 }, BASE_US);
    const second = await h264Units({ width: 360, height: 640, frames: 45, gop: 15 }, BASE_US + 1_500_000);
    const third = await h264Units({ width: 320, height: 180, frames: 45, gop: 15 }, BASE_US + 3_000_000);
    const out = await transcode([...first, ...second, ...third], { heightPx: 360 }, 130);
    const frames = await probeFrames(out);
    expect(frames.length).toBeGreaterThanOrEqual(130);
    expect(frames.every((frame) => frame.width === 640 && frame.height === 360)).toBe(true);
  });

  it.each([
    { how: 'in the middle of a group of pictures, without a gap', group: 100, need: {}, asked: 0, maxStepUs: 40_000 },
    {
      how: 'likewise with a frame rate and a keyframe interval of its own',
      group: 100,
      need: { fps: 15, keyFrameIntervalFrames: 10 },
      asked: 0,
      maxStepUs: 134_000,
    },
    {
      how: 'in a group that is too long to be decoded again, with the next keyframe',
      group: 140,
      need: {},
      asked: 1,
      maxStepUs: 700_000,
    },
  ])('comes back when ffmpeg is killed $how, and time never goes back', async ({ group, need, asked, maxStepUs }) => {
    const nonce = `video-kill-${process.pid}-${group}-${maxStepUs}`;
    const before = await h264Units({ width: 320, height: 180, frames: group, gop: group }, BASE_US);
    const killAt = group - 10;
    const after = await h264Units({ width: 320, height: 180, frames: 30 }, before.at(-1)!.ptsUs + 33_333);
    const input = [...before, ...after];
    const out: VideoUnit[] = [];
    let requests = 0;
    const video = startVideoTranscode({
      host: { ...host, nonce },
      need,
      maxQueueBytes: 1 << 20,
      onUnit: (unit) => out.push(unit),
      onKeyframeNeeded: () => requests++,
      onEnd: (reason) => expect.fail(reason),
    });
    await feedLive(input.slice(0, killAt), 33, (unit) => video.feed(unit));
    process.kill(pidWithNonce(nonce), 'SIGKILL');
    // Its end may be known late on a busy machine: the rest of the group is for the one that comes back.
    await vi.waitUntil(() => video.counters.restarts === 1, { timeout: 20_000, interval: 1 });
    await feedLive(input.slice(killAt), 33, (unit) => video.feed(unit));
    await vi.waitFor(() => expect(out.at(-1)!.ptsUs).toBeGreaterThan(input.at(-6)!.ptsUs), { timeout: 20_000 });
    await video.close('test over');

    expect(video.counters.restarts).toBe(1);
    expect(requests).toBe(asked);
    const steps = out.slice(1).map((unit, index) => unit.dtsUs - out[index]!.dtsUs);
    expect(Math.min(...steps)).toBeGreaterThan(0);
    expect(Math.max(...steps)).toBeLessThan(maxStepUs);
    const frames = await probeFrames(out);
    expect(frames).toHaveLength(out.length);
  });

  it('drops up to the next keyframe when ffmpeg is too slow, and asks for one', async () => {
    const input = await h264Units({ width: 640, height: 360, frames: 90, gop: 15 }, BASE_US);
    const bytes = input.reduce((sum, unit) => sum + unit.data.length, 0);
    const out: VideoUnit[] = [];
    let requests = 0;
    const video = startVideoTranscode({
      host,
      need: {},
      maxQueueBytes: Math.floor(bytes / 6),
      onUnit: (unit) => out.push(unit),
      onKeyframeNeeded: () => requests++,
      onEnd: (reason) => expect.fail(reason),
    });
    for (const unit of input) video.feed(unit);
    expect(video.counters.droppedUnits).toBeGreaterThan(0);
    await vi.waitFor(() => expect(out.length).toBeGreaterThanOrEqual(90 - video.counters.droppedUnits - 2), {
      timeout: 20_000,
    });
    const tail = (await h264Units({ width: 640, height: 360, frames: 30, gop: 15 }, BASE_US + 4_000_000)).slice(1);
    const before = out.length;
    for (const unit of tail) video.feed(unit);
    expect(requests).toBe(1);
    await vi.waitFor(() => expect(out.length).toBeGreaterThan(before + 12), { timeout: 20_000 });
    await video.close('test over');
  });
});
