import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { rtmpPushArguments, RTMP_PUSH_INPUT_FD } from '../../pipelines/rtmp-push.ts';
import { buildAacLcConfig } from '../../src/protocol/aac/audio-specific-config.ts';
import { SILENT_AAC_STEREO } from '../../src/protocol/aac/silence.ts';
import { MatroskaWriter, type MatroskaTrack } from '../../src/protocol/matroska/writer.ts';
import { startChild } from '../../src/supervisor/child-process.ts';
import { classifyFfmpegEnd } from '../../src/supervisor/ffmpeg-exit.ts';
import { FfmpegProgressParser, type FfmpegProgress } from '../../src/supervisor/ffmpeg-progress.ts';
import { AwakeClock } from '../support/awake-clock.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { oneOf } from '../support/one-of.ts';
import { h264Units, host } from './ffmpeg-support.ts';

const VIDEO: MatroskaTrack = { kind: 'video', number: 1, codec: 'h264', width: 640, height: 360 };
const AUDIO: MatroskaTrack = {
  kind: 'audio',
  number: 2,
  codec: 'aac',
  sampleRateHz: 48_000,
  channels: 2,
  audioSpecificConfig: buildAacLcConfig(48_000, 2),
};

const MAX_START_MS = 1000;
/** A busy machine keeps the one or the other ffmpeg waiting. */
const MAX_STARTS = 3;

interface Block {
  readonly track: number;
  readonly ptsUs: number;
  readonly isKeyframe: boolean;
  readonly data: Buffer;
}

async function blocks(hasVideo: boolean, hasAudio: boolean): Promise<Block[]> {
  const video = hasVideo ? await h264Units({ width: 640, height: 360, frames: 60 }, 0) : [];
  const audio = Array.from({ length: hasAudio ? 93 : 0 }, (_, index) => Math.round((index * 1024e6) / 48_000));
  return [
    ...video.map(({ ptsUs, isKeyframe, data }) => ({ track: 1, ptsUs, isKeyframe, data })),
    ...audio.map((ptsUs) => ({ track: 2, ptsUs, isKeyframe: false, data: SILENT_AAC_STEREO })),
  ].toSorted((left, right) => left.ptsUs - right.ptsUs);
}

describe('the push pipeline against nginx-rtmp', () => {
  let nginx: NginxRtmp;
  beforeAll(async () => {
    nginx = await startNginxRtmp();
  });
  afterAll(() => nginx.stop());

  const start = (app: string, playPath: string, hasVideo: boolean, hasAudio: boolean) =>
    startChild({
      program: host.ffmpegPath,
      args: rtmpPushArguments({
        url: `rtmp://127.0.0.1:${nginx.rtmpPort}/`,
        app,
        playPath,
        flashVersion: 'FMLE/3.0 (test)',
        hasVideo,
        hasAudio,
      }),
      name: 'rtmp-push',
      inputFd: RTMP_PUSH_INPUT_FD,
      outputFds: [1],
      ...host,
    });

  it.each([
    ['both', true, true],
    ['audio', false, true],
    ['video', true, false],
  ] as const)('starts at once with %s, and ends in order with its input', async (name, hasVideo, hasAudio) => {
    const startedMs = await oneOf(
      MAX_STARTS,
      (number) => pushOnce(number === 0 ? name : `${name}-${number}`, hasVideo, hasAudio),
      (ms) => ms < MAX_START_MS,
    );
    expect(startedMs).toBeLessThan(MAX_START_MS);
  });

  /** How long it takes until the destination knows of a push, which then ends in order. */
  async function pushOnce(name: string, hasVideo: boolean, hasAudio: boolean): Promise<number> {
    const media = await blocks(hasVideo, hasAudio);
    const tracks = [...(hasVideo ? [VIDEO] : []), ...(hasAudio ? [AUDIO] : [])];
    const writer = new MatroskaWriter({ tracks, baseUs: 0 });
    using awake = new AwakeClock();
    const startMs = Date.now();
    const child = start('live', `-${name} stream?key=a&b`, hasVideo, hasAudio);
    const parser = new FfmpegProgressParser();
    const progress: FfmpegProgress[] = [];
    child.outputs.get(1)!.on('data', (chunk: Buffer) => progress.push(...parser.push(chunk)));
    child.input!.write(writer.header);
    for (const { track, ptsUs, isKeyframe, data } of media) {
      child.input!.write(writer.blockHead(track, ptsUs, isKeyframe, data.length));
      child.input!.write(data);
    }
    await vi.waitFor(() => expect(nginx.calls.some((call) => isPublish(call, name))).toBe(true), {
      timeout: 15_000,
      interval: 2,
    });
    const startedMs = awake.betweenMs(startMs, Date.now());
    expect(await child.stop(10_000)).toEqual({ exitCode: 0, signal: undefined });
    expect(progress.at(-1)).toMatchObject({ isEnd: true });
    expect(progress.at(-1)!.totalSizeBytes).toBeGreaterThan(500);
    const publish = nginx.calls.find((call) => isPublish(call, name))!;
    expect(publish).toMatchObject({ app: 'live', flashver: 'FMLE/3.0 (test)' });
    return startedMs;
  }

  it('says why when the application is not known', async () => {
    const child = start('no-such-app', 'x', false, true);
    const writer = new MatroskaWriter({ tracks: [AUDIO], baseUs: 0 });
    child.outputs.get(1)!.resume();
    child.input!.write(writer.header);
    child.input!.write(writer.blockHead(2, 0, false, SILENT_AAC_STEREO.length));
    child.input!.write(SILENT_AAC_STEREO);
    const end = await child.ended;
    expect(classifyFfmpegEnd(end, child.stderrLines(), false).exitClass).toMatch(/^dest_(rejected|reset)$/);
  });
});

function isPublish(call: Readonly<Record<string, string>>, name: string): boolean {
  return call['call'] === 'publish' && call['name'] === `-${name} stream`;
}
