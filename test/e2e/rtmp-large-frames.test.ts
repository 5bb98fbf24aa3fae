import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { packetsOf } from '../support/recording.ts';
import { ffmpegPlaying, startProgram } from '../support/rtmp-programs.ts';
import { RtmpTap } from '../support/rtmp-tap.ts';
import { startTestApp } from '../support/test-app.ts';
import { waitUntil } from '../support/wait-until.ts';
import { ffmpeg } from './ffmpeg-support.ts';

const FPS = 10;
const FRAMES = 40;
const ROUNDS = 4;
const KEYFRAME_BYTES = 2_000_000;
const MAX_MESSAGE_BYTES = 16 << 20;
/** ffmpeg, which muxes a push, keeps the last few back until more comes; on a busy machine the end overtakes what waits for it. */
const MAX_TAIL = FRAMES;
const DEADLINE_MS = 30_000;

let directory: string;
let nginx: NginxRtmp;
/** 4K with grain that stands still: large keyframes, and small pictures between them. */
let recording: string;
/** Of what is published, in order. */
let published: readonly string[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rtmp-large-frames-'));
  nginx = await startNginxRtmp({ isRecording: true, maxMessageBytes: MAX_MESSAGE_BYTES });
  recording = join(directory, 'recording.flv');
  const seconds = FRAMES / FPS;
  const picture = ['-f', 'lavfi', '-i', `testsrc2=size=3840x2160:rate=${FPS}:duration=${seconds},noise=alls=40`];
  const sound = ['-f', 'lavfi', '-i', `sine=440:sample_rate=48000:duration=${seconds}`];
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '16', '-pix_fmt', 'yuv420p', '-g', '10'];
  await ffmpeg([...picture, ...sound, ...video, '-sc_threshold', '0', '-c:a', 'aac', recording]);
  const once = await pictureChecksums(recording);
  published = Array.from({ length: ROUNDS }, () => once).flat();
});

afterAll(async () => {
  await nginx?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** Of each picture of a file: its slices alone, since parameter sets may be repeated on the way. */
async function pictureChecksums(file: string): Promise<string[]> {
  const slices = 'h264_mp4toannexb,filter_units=remove_types=6-9';
  const text = await ffmpeg(['-i', file, '-map', '0:v', '-c', 'copy', '-bsf:v', slices, '-f', 'framemd5', 'pipe:1']);
  const lines = text.toString().split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(',').at(-1)!.trim());
}

/** They are the last of what was published, from a keyframe on; the first are those of the player's time before it came. */
function expectLastOfPublished(checksums: readonly string[], missing = 0): void {
  const end = published.length - missing;
  const start = end - checksums.length;
  expect(start % FPS).toBe(0);
  expect(checksums.length).toBeGreaterThan(FRAMES);
  expect(checksums).toEqual(published.slice(start, end));
}

it('is recorded with keyframes of 2 MB', async () => {
  const packets = await packetsOf(recording);
  const keyframes = packets.filter(({ kind, isKeyframe }) => kind === 'video' && isKeyframe);
  expect(keyframes).toHaveLength(FRAMES / FPS);
  expect(Math.min(...keyframes.map(({ bytes }) => bytes))).toBeGreaterThan(KEYFRAME_BYTES);
});

it.each(['false', 'true'])(
  'a 4K stream that ffmpeg publishes arrives whole at two players and at a push, rtmp.server_buffer_enabled=%s',
  async (isBuffered) => {
    const app = await startTestApp({ 'rtmp.server_buffer_enabled': isBuffered });
    onTestFinished(() => app.close('the test is over'));
    const name = `cinema-${isBuffered}`;
    const url = `rtmp://127.0.0.1:${app.ports['rtmp.port']}/live/${name}`;
    const input = ['-re', '-stream_loop', String(ROUNDS - 1), '-i', recording];
    const publisher = startProgram(['ffmpeg', '-v', 'error', '-nostdin', ...input, '-c', 'copy', '-f', 'flv', url]);
    onTestFinished(() => publisher.kill());
    const isThere = (filter: object) =>
      waitUntil(
        async () => ((await app.rest('/rest-api/stream/find', filter)).status === 200 ? true : undefined),
        DEADLINE_MS,
        () => `${JSON.stringify(filter)}: ${app.log().slice(-2000)}`,
      );
    await isThere({ name, status: 'PUBLISHING' });
    const file = (player: string) => join(directory, `${player}-${isBuffered}.flv`);
    const rtmpdump = new RtmpTap({ url, file: file('rtmpdump') });
    onTestFinished(() => rtmpdump.close());
    const player = startProgram(ffmpegPlaying(url, file('ffmpeg')));
    onTestFinished(() => player.kill());
    const push = await app.rest('/rest-api/push/startup', { streamName: name, rtmpUrl: nginx.url('live') });
    expect(push).toMatchObject({ status: 200 });
    const untilNginx = (what: 'publish' | 'publish_done') =>
      waitUntil(
        () => nginx.calls.find((call) => call['call'] === what && call['name'] === `rtmp_${name}`),
        DEADLINE_MS,
        () => `${what} of the push: ${JSON.stringify(nginx.calls)}`,
      );
    await untilNginx('publish');
    const beforePush = rtmpdump.pictures.length;

    expect(await publisher.ended).toMatchObject({ exitCode: 0, output: '' });
    await rtmpdump.ended;
    expect(await player.ended).toMatchObject({ exitCode: 0, output: '' });
    expectLastOfPublished(await pictureChecksums(file('rtmpdump')));
    expectLastOfPublished(await pictureChecksums(file('ffmpeg')));

    await untilNginx('publish_done');
    const pushed = await pictureChecksums(nginx.recordingPath(`rtmp_${name}`));
    const missing = published.length - 1 - published.lastIndexOf(pushed.at(-1)!);
    expectLastOfPublished(pushed, missing);
    expect(pushed.length).toBeGreaterThanOrEqual(rtmpdump.pictures.length - beforePush - MAX_TAIL);
  },
);
