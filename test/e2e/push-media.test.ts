import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { appChildren } from '../support/app-children.ts';
import { AwakeClock } from '../support/awake-clock.ts';
import { openPublisherPage, type PublisherPage, type PublishOptions } from '../support/publisher-page.ts';
import { H264_ONLY, startPushRig, VP8_ONLY, type PushRig } from '../support/push-rig.ts';
import { beepTimes, flashTimes, packetsOf, pictureSizes, probeStreams, record } from '../support/recording.ts';

const MINUTE_SECONDS = 60;
/** A push that is stopped has so long to end by itself. */
const STOP_GRACE_MS = 500;

describe('a browser pushed to nginx-rtmp', () => {
  let rig: PushRig;
  let directory: string;
  /** A page of its own is recorded while all else goes on, because it takes so long. */
  let minutePage: PublisherPage;
  let minute: Promise<void>;
  let minuteSinceMs: number;
  const awake = new AwakeClock();
  afterAll(() => awake[Symbol.dispose]());
  beforeAll(async () => {
    rig = await startPushRig();
    directory = await mkdtemp(join(tmpdir(), 'push-media-'));
    minutePage = await openPublisherPage(rig.browser, rig.app.wsUrl);
    await minutePage.publish({ name: 'minute', stripCodecs: H264_ONLY });
    const { playUrl } = await push('minute');
    await minutePage.takeLateness();
    minuteSinceMs = Date.now();
    minute = record(playUrl, MINUTE_SECONDS, join(directory, 'minute.flv'));
    // It is awaited by the last test.
    minute.catch(() => {});
  });
  const published: string[] = [];
  afterEach(async () => {
    for (const name of published.splice(0)) await rig.page.unpublish(name);
  });
  afterAll(async () => {
    await rig?.close();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  async function publish(options: PublishOptions): Promise<void> {
    await rig.page.publish(options);
    published.push(options.name);
  }

  /** Starts a push and resolves when the destination takes media. */
  async function push(streamName: string, more: object = {}) {
    const view = await rig.startup({ streamName, rtmpUrl: rig.nginx.url('live'), ...more });
    await rig.waitForState(view.mediaSessionId, 'ACTIVE');
    return { ...view, playUrl: `${rig.nginx.url('live')}/rtmp_${streamName}` };
  }

  it('arrives as H.264 and AAC under the prefixed name, and the store tells the story', async () => {
    const { nginx } = rig;
    const before = pushProcesses();
    await publish({ name: 'plain', stripCodecs: H264_ONLY });
    const view = await rig.startup({ streamName: 'plain', rtmpUrl: nginx.url('live') });
    expect(view).toEqual({
      mediaSessionId: expect.stringMatching(/^[a-z0-9]{26}$/),
      streamName: 'rtmp_plain',
      rtmpUrl: nginx.url('live'),
      width: 0,
      height: 0,
      muted: false,
      soundEnabled: false,
      options: {},
    });
    const id = view.mediaSessionId;
    await rig.waitForNginx('connect', { app: 'live' });
    await rig.waitForNginx('publish', { app: 'live', name: 'rtmp_plain' });
    await rig.waitForState(id, 'ACTIVE');
    const [video, audio] = await probeStreams(`${nginx.url('live')}/rtmp_plain`);
    expect(video).toMatchObject({ codec_name: 'h264', width: 320, height: 240 });
    expect(audio).toMatchObject({ codec_name: 'aac', sample_rate: '48000', channels: 2 });

    await rig.terminate(view);
    await rig.waitForNginx('publish_done', { name: 'rtmp_plain' });
    expect(rig.row(id)).toMatchObject({ state: 'TERMINATED', desired: 'stop', reason: 'asked_stop' });
    const [run, ...more] = rig.rows('SELECT * FROM run WHERE transponder_id = ?', id);
    expect(more).toEqual([]);
    expect(run).toMatchObject({ attempt: 0, exit_class: 'asked_stop' });
    expect(run!['ready_at']).toBeGreaterThan(Number(run!['spawned_at']) - 1);
    expect(run!['bytes_out']).toBeGreaterThan(4096);
    expect(run!['frames_out']).toBeGreaterThan(0);
    const events = rig.rows('SELECT at, to_state FROM event WHERE transponder_id = ? ORDER BY seq', id);
    expect(events.map((event) => event['to_state'])).toEqual(['STARTING', 'ACTIVE', 'STOPPING', 'TERMINATED']);
    const [stoppingMs, terminatedMs] = events.slice(-2).map(({ at }) => Number(at));
    // It ends by itself, unless the machine has let it wait for so long that it was killed.
    const isLate = run!['exit_signal'] === 'SIGKILL' && terminatedMs! - stoppingMs! >= STOP_GRACE_MS - 1;
    expect([run!['exit_code'], run!['exit_signal']]).toEqual(isLate ? [null, 'SIGKILL'] : [0, null]);
    expect(pushProcesses()).toEqual(before);
  });

  it('goes on through a change of size when it copies, and keeps one size when it transcodes', async () => {
    await publish({ name: 'resized', stripCodecs: H264_ONLY });
    const copy = await push('resized');
    const transcode = await rig.startup({ streamName: 'resized', rtmpUrl: rig.nginx.url('app'), height: 120 });
    await rig.waitForState(transcode.mediaSessionId, 'ACTIVE');
    const files = [join(directory, 'copy.flv'), join(directory, 'transcoded.flv')] as const;
    const recordings = Promise.all([
      record(copy.playUrl, 7, files[0]),
      record(`${rig.nginx.url('app')}/rtmp_resized`, 7, files[1]),
    ]);
    for (const file of files) await untilPictureIn(file);
    await rig.page.resize(240, 180);
    await recordings;
    await rig.page.resize(320, 240);

    expect(await pictureSizes(files[0])).toEqual(['320x240', '240x180']);
    expect(await pictureSizes(files[1])).toEqual(['160x120']);
    for (const file of files) {
      const packets = await packetsOf(file);
      expect(largestStep(packets.filter(({ kind }) => kind === 'audio'))).toBeLessThanOrEqual(0.25);
      expect(packets.at(-1)!.dtsSeconds).toBeGreaterThan(5);
    }
    expect(rig.rows('SELECT * FROM run WHERE transponder_id = ?', copy.mediaSessionId)).toHaveLength(1);
  });

  it.each([
    ['VP8 and Opus', 'vp8', { stripCodecs: VP8_ONLY }],
    ['G.711 A-law', 'pcma', { stripCodecs: `${H264_ONLY},opus,red,G722,PCMU` }],
    ['G.711 µ-law', 'pcmu', { stripCodecs: `${H264_ONLY},opus,red,G722,PCMA` }],
  ] as const)('makes H.264 and AAC of %s, picture and sound together', async (_, name, options) => {
    await publish({ name, ...options });
    const { playUrl } = await push(name);
    const file = join(directory, `${name}.flv`);
    await rig.page.takeLateness();
    await record(playUrl, 5, file);
    const { flashMs } = await rig.page.takeLateness();
    const [video, audio] = await probeStreams(file);
    expect(video).toMatchObject({ codec_name: 'h264', width: 320, height: 240 });
    expect(audio).toMatchObject({ codec_name: 'aac', sample_rate: '48000', channels: 2 });
    const offsets = avOffsets(await flashTimes(file), await beepTimes(file));
    expect(offsets.length).toBeGreaterThan(1);
    expect(Math.max(...offsets.map(Math.abs)) - flashMs / 1000).toBeLessThanOrEqual(0.15);
  });

  it('sends sound alone where nothing else is published', async () => {
    await publish({ name: 'sound', video: false });
    const { playUrl } = await push('sound');
    const file = join(directory, 'sound.flv');
    await record(playUrl, 4, file);
    expect((await probeStreams(file)).map(({ codec_name }) => codec_name)).toEqual(['aac']);
    expect((await beepTimes(file)).length).toBeGreaterThan(1);
    expect(largestStep(await packetsOf(file))).toBeLessThanOrEqual(0.25);
  });

  it('gives a picture without a microphone silent AAC', async () => {
    await publish({ name: 'picture', audio: false, stripCodecs: H264_ONLY });
    const { playUrl } = await push('picture');
    const file = join(directory, 'picture.flv');
    await record(playUrl, 4, file);
    expect((await probeStreams(file)).map(({ codec_name }) => codec_name)).toEqual(['h264', 'aac']);
    const packets = await packetsOf(file);
    expect((await flashTimes(file)).length).toBeGreaterThan(1);
    expect(await beepTimes(file)).toEqual([]);
    expect(largestStep(packets.filter(({ kind }) => kind === 'audio'))).toBeLessThanOrEqual(0.25);
    expect(packets.filter(({ kind }) => kind === 'audio').length).toBeGreaterThan(100);
  });

  it('keeps picture and sound together and without a gap for a minute', async () => {
    await minute;
    const late = await minutePage.takeLateness();
    console.log(`the page itself was late by: ${JSON.stringify(late)}`);
    const file = join(directory, 'minute.flv');
    const packets = await packetsOf(file);
    const video = packets.filter(({ kind }) => kind === 'video');
    const audio = packets.filter(({ kind }) => kind === 'audio');
    expect(video.at(-1)!.dtsSeconds - video[0]!.dtsSeconds).toBeGreaterThan(MINUTE_SECONDS - 3);
    expect(largestStep(video) - late.paintMs / 1000).toBeLessThanOrEqual(0.25);
    expect(largestStep(audio)).toBeLessThanOrEqual(0.25);
    const keyframes = video.filter(({ isKeyframe }) => isKeyframe);
    // They come because this process asks for them.
    const pauseMs = awake.longestPauseMs(minuteSinceMs, Date.now());
    expect(largestStep(keyframes) - (late.paintMs + pauseMs) / 1000).toBeLessThanOrEqual(2.5);

    const offsets = avOffsets(await flashTimes(file), await beepTimes(file));
    expect(offsets.length).toBeGreaterThan(MINUTE_SECONDS - 6 - late.missedFlashes);
    expect(Math.max(...offsets.map(Math.abs)) - late.flashMs / 1000).toBeLessThanOrEqual(0.15);
  });
});

function pushProcesses(): readonly number[] {
  return appChildren().flatMap(({ kind, pid }) => (kind === 'rtmp-push' ? [pid] : []));
}

/** The recording has begun. */
function untilPictureIn(file: string): Promise<void> {
  return vi.waitFor(async () => expect((await packetsOf(file)).some(({ kind }) => kind === 'video')).toBe(true), {
    timeout: 10_000,
    interval: 100,
  });
}

function largestStep(packets: readonly { readonly dtsSeconds: number }[]): number {
  const steps = packets.slice(1).map(({ dtsSeconds }, index) => dtsSeconds - packets[index]!.dtsSeconds);
  return Math.max(...steps);
}

/** How much later each flash is than its beep, in seconds; flashes at the rims of the recording have none. */
function avOffsets(flashes: readonly number[], beeps: readonly number[]): number[] {
  return flashes.flatMap((flash) => {
    const offset = beeps.map((beep) => flash - beep).toSorted((a, b) => Math.abs(a) - Math.abs(b))[0];
    return offset !== undefined && Math.abs(offset) < 0.5 ? [offset] : [];
  });
}
