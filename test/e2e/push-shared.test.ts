import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { appChildren, countOfKind } from '../support/app-children.ts';
import { H264_ONLY, startPushRig, type PushRig } from '../support/push-rig.ts';
import { packetsOf, pictureSizes, record } from '../support/recording.ts';

const STREAM = 'many';
const DESTINATIONS = 10;
const DEADLINE_MS = 15_000;
const RECORD_SECONDS = 5;
/** A busy browser publishes fewer pictures a second. */
const MAX_RECORD_SECONDS = 20;
const MIN_KEYFRAMES = 5;

describe('pushes of one stream', () => {
  let rig: PushRig;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'push-shared-'));
    rig = await startPushRig();
    await rig.page.publish({ name: STREAM, stripCodecs: H264_ONLY });
  });
  afterAll(async () => {
    await rig?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** Pushes to as many names. */
  function pushToAll(more: object): Promise<PushView[]> {
    return Promise.all(
      Array.from({ length: DESTINATIONS }, (_, index) =>
        rig.startup({
          streamName: STREAM,
          rtmpUrl: `rtmp://user:pass-sesame@localhost:${rig.nginx.rtmpPort}/live/name-sesame-${index}?key=key-sesame`,
          rtmpTransponderFullUrl: true,
          ...more,
        }),
      ),
    );
  }

  async function untilActive(views: readonly PushView[]): Promise<void> {
    await Promise.all(views.map(({ mediaSessionId }) => rig.waitForState(mediaSessionId, 'ACTIVE')));
  }

  /** Terminates them and waits until neither a push nor, after its linger, a transcoder is left. */
  async function endAll(views: readonly PushView[]): Promise<void> {
    await Promise.all(views.map((view) => rig.terminate(view)));
    expect(countOfKind('rtmp-push')).toBe(0);
    await vi.waitFor(() => expect(appChildren()).toEqual([]), { timeout: DEADLINE_MS, interval: 100 });
  }

  it('to ten destinations cost one audio encoder, and no command line names a destination', async () => {
    const views = await pushToAll({});
    onTestFinished(() => endAll(views));
    await untilActive(views);
    expect(countOfKind('rtmp-push')).toBe(DESTINATIONS);
    expect(countOfKind('audio-transcode')).toBe(1);
    expect(countOfKind('video-transcode')).toBe(0);
    for (const { commandLine } of appChildren()) {
      expect(commandLine).not.toMatch(/sesame|localhost|user:/);
      expect(commandLine).not.toContain(String(rig.nginx.rtmpPort));
    }
    const runs = views.flatMap(({ mediaSessionId }) =>
      rig.rows('SELECT argv_redacted FROM run WHERE transponder_id = ?', mediaSessionId),
    );
    expect(runs).toHaveLength(DESTINATIONS);
    expect(JSON.stringify(runs)).not.toMatch(/sesame|localhost/);
    expect(rig.app.log()).not.toContain('sesame');
  });

  it('to ten destinations of one height cost one video encoder', async () => {
    const views = await pushToAll({ height: 120 });
    onTestFinished(() => endAll(views));
    await untilActive(views);
    expect(countOfKind('rtmp-push')).toBe(DESTINATIONS);
    expect(countOfKind('audio-transcode')).toBe(1);
    expect(countOfKind('video-transcode')).toBe(1);
    for (const { mediaSessionId } of views) {
      expect(rig.rows('SELECT exit_class FROM run WHERE transponder_id = ?', mediaSessionId)).toHaveLength(1);
    }
  });

  it('are transcoded by height, fps and keyFrameInterval as asked, and not by width alone', async () => {
    const files = await recordAll(rig, directory, {
      height: { height: 120 },
      wide: { width: 100, height: 180 },
      width: { width: 100 },
      zero: { width: 0, height: 0, fps: 0, keyFrameInterval: 0 },
      rate: { fps: 10 },
      interval: { keyFrameInterval: 15 },
    });
    expect(countOfKind('video-transcode')).toBe(4);
    expect(await pictureSizes(files['height']!)).toEqual(['160x120']);
    expect(await pictureSizes(files['wide']!)).toEqual(['240x180']);
    for (const name of ['width', 'zero', 'rate', 'interval']) {
      expect([name, await pictureSizes(files[name]!)]).toEqual([name, ['320x240']]);
    }
    const rated = (await packetsOf(files['rate']!)).filter(({ kind }) => kind === 'video');
    const spanSeconds = rated.at(-1)!.dtsSeconds - rated[0]!.dtsSeconds;
    expect((rated.length - 1) / spanSeconds).toBeCloseTo(10, 0);
    const file = files['interval']!;
    let keyframes = await keyframePlaces(file);
    for (
      let seconds = 2 * RECORD_SECONDS;
      keyframes.length < MIN_KEYFRAMES && seconds <= MAX_RECORD_SECONDS;
      seconds *= 2
    ) {
      await record(rig.nginx.url('app/interval'), seconds, file);
      keyframes = await keyframePlaces(file);
    }
    expect(keyframes.length).toBeGreaterThanOrEqual(MIN_KEYFRAMES);
    const distances = keyframes.slice(1).map((at, index) => at - keyframes[index]!);
    expect(new Set(distances)).toEqual(new Set([15]));
  });

  it('are as wide as asked where proportions need not be kept and a height is given', async () => {
    const settings = { video_transcoder_preserve_aspect_ratio: 'false' };
    const other = await startPushRig({ settings, sharing: rig });
    onTestFinished(() => other.close());
    await other.page.publish({ name: STREAM, stripCodecs: H264_ONLY });
    const files = await recordAll(other, directory, {
      'both-free': { width: 200, height: 120 },
      'width-free': { width: 200 },
    });
    expect(await pictureSizes(files['both-free']!)).toEqual(['200x120']);
    expect(await pictureSizes(files['width-free']!)).toEqual(['320x240']);
  });

  it('leave no process behind when the application closes', async () => {
    await untilActive(await pushToAll({ height: 120 }));
    await rig.close();
    expect(appChildren()).toEqual([]);
  });
});

/** Which of the pictures of a file are keyframes. */
async function keyframePlaces(path: string): Promise<readonly number[]> {
  return (await packetsOf(path))
    .filter(({ kind }) => kind === 'video')
    .flatMap(({ isKeyframe }, index) => (isKeyframe ? [index] : []));
}

/** Files by name: what nginx has got of pushes with these parameters, all at the same time. */
async function recordAll(
  rig: PushRig,
  directory: string,
  pushes: Readonly<Record<string, object>>,
): Promise<Readonly<Record<string, string>>> {
  const recorded = Object.entries(pushes).map(async ([name, parameters]) => {
    const rtmpUrl = rig.nginx.url(`app/${name}`);
    const view = await rig.startup({ streamName: STREAM, rtmpUrl, rtmpTransponderFullUrl: true, ...parameters });
    onTestFinished(() => rig.terminate(view));
    await rig.waitForState(view.mediaSessionId, 'ACTIVE');
    const path = join(directory, `${name}.flv`);
    await record(rtmpUrl, RECORD_SECONDS, path);
    return [name, path] as const;
  });
  return Object.fromEntries(await Promise.all(recorded));
}
