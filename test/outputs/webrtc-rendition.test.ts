import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import type { Tracks } from '../../src/domain/media.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { LiveStreamSource } from '../../src/hub/live-stream.ts';
import { Renditions } from '../../src/hub/renditions.ts';
import type { AudioTranscoderOptions, TranscoderFactory, VideoTranscoderOptions } from '../../src/hub/transcoder.ts';
import { WebrtcRenditions } from '../../src/outputs/webrtc-rendition.ts';
import { audioUnit, keyUnit, shape, videoUnit } from '../hub/units.ts';
import { FakeMediaWorker } from '../services/fake-media-worker.ts';
import { ManualClock } from '../support/manual-clock.ts';

const TRACKS: Tracks = {
  video: { codec: 'h264', width: 640, height: 360 },
  audio: { codec: 'opus', sampleRateHz: 48_000, channels: 2 },
};
const SOURCE = { name: 'cam', mediaSessionId: 'P', width: 640, height: 360 };

/** x264 at 640x360: baseline, and high with three B-frames. */
const READY_SPS = Buffer.from('000000016742c01ed900a02ff97011000003000100000300320f162e48', 'hex');
const REORDERING_SPS = Buffer.from('000000016764001eacd940a02ff97011000003000100000300320f162d96', 'hex');

/** So long picture and sound wait for each other at most. */
const MAX_WAIT_MS = 200;

interface SetUp {
  readonly tracks?: Tracks;
  readonly preserveAspectRatio?: boolean;
  /** Not in the worker. */
  readonly isForeign?: boolean;
  readonly isSilent?: boolean;
}

function setUp({ tracks = TRACKS, preserveAspectRatio = true, isForeign = false, isSilent = false }: SetUp = {}) {
  const clock = new ManualClock();
  const hub = new Hub(silentLogger);
  const encoders: (VideoTranscoderOptions & { isClosed: boolean })[] = [];
  const soundEncoders: (AudioTranscoderOptions & { isClosed: boolean })[] = [];
  const factory: TranscoderFactory = {
    audio(options) {
      const encoder = { ...options, isClosed: false };
      soundEncoders.push(encoder);
      return {
        feed: (unit) => options.onUnit({ ...unit, codec: options.to }),
        close: async () => void (encoder.isClosed = true),
      };
    },
    video(options) {
      const encoder = { ...options, isClosed: false };
      encoders.push(encoder);
      const height = options.need.heightPx ?? options.from.height;
      return {
        feed: (unit) =>
          options.onUnit({
            ...unit,
            codec: 'h264',
            height,
            width: options.need.widthPx ?? height,
            data: unit.isKeyframe ? READY_SPS : unit.data,
          }),
        close: async () => void (encoder.isClosed = true),
      };
    },
  };
  let keyframesAsked = 0;
  const source: { -readonly [Field in keyof LiveStreamSource]: LiveStreamSource[Field] } = {
    setFramesWanted: () => {},
    isSilent,
    ...(!isForeign && { webrtcStreamId: 'P', requestKeyframe: () => void keyframesAsked++ }),
  };
  const stream = hub.publish('cam', { id: 'P', source, tracks, clock, logger: silentLogger });
  /** As a publisher does whose tracks have changed. */
  const replace = (changed: Tracks) =>
    hub.replace(hub.find('cam')!, 'replaced', { id: 'P', source, tracks: changed, clock, logger: silentLogger });
  const worker = new FakeMediaWorker();
  let ids = 0;
  const playable = new WebrtcRenditions({
    hub,
    renditions: new Renditions({ factory, clock, logger: silentLogger }),
    worker,
    preserveAspectRatio,
    clock,
    newId: () => `rendition-${ids++}`,
  });
  return {
    clock,
    hub,
    stream,
    source,
    replace,
    worker,
    encoders,
    soundEncoders,
    playable,
    keyframesAsked: () => keyframesAsked,
  };
}

describe('a player’s wish for a picture size', () => {
  it.each([
    ['no wish', { width: 0, height: 0 }],
    ['a width alone', { width: 320, height: 0 }],
    ['the size of the publisher', { width: 640, height: 360 }],
    ['its height, and a width that counts for nothing', { width: 100, height: 360 }],
  ])('is met by what is published: %s', (_what, wish) => {
    const { playable, encoders, worker } = setUp();
    expect(playable.lease(SOURCE, wish)).toBeUndefined();
    expect(encoders).toEqual([]);
    expect(worker.unitStreams.size).toBe(0);
  });

  it('is met by what is published where there is no picture, or another publisher by now', () => {
    const { playable } = setUp({ tracks: { audio: TRACKS.audio } });
    expect(playable.lease(SOURCE, { width: 0, height: 180 })).toBeUndefined();
    expect(setUp().playable.lease({ ...SOURCE, mediaSessionId: 'earlier' }, { width: 0, height: 180 })).toBeUndefined();
    expect(setUp().playable.lease({ ...SOURCE, name: 'gone' }, { width: 0, height: 180 })).toBeUndefined();
  });

  it('includes the width where the aspect ratio is not preserved', async () => {
    const { playable, encoders, stream } = setUp({ preserveAspectRatio: false });
    playable.lease(SOURCE, { width: 100, height: 360 });
    stream.writeUnit(keyUnit(0));
    await Promise.resolve();
    expect(encoders.map(({ need }) => need)).toEqual([expect.objectContaining({ widthPx: 100, heightPx: 360 })]);
  });
});

describe('a rendition for players', () => {
  it('is one transcoder and one stream of the worker for all that ask for the same, with the sound of the publisher', async () => {
    const { playable, encoders, soundEncoders, worker, stream, clock } = setUp();
    const leases = Array.from({ length: 10 }, () => playable.lease(SOURCE, { width: 0, height: 180 })!);
    const other = playable.lease(SOURCE, { width: 0, height: 90 })!;
    expect(new Set(leases.map(({ streamId }) => streamId)).size).toBe(1);
    expect(other.streamId).not.toBe(leases[0]!.streamId);
    stream.writeUnit(keyUnit(0));
    stream.writeUnit(audioUnit(0));
    stream.writeUnit(videoUnit(40));
    await Promise.resolve();
    clock.advance(MAX_WAIT_MS);
    expect(encoders.map(({ need }) => need.heightPx)).toEqual([180, 90]);
    const units = worker.unitStreams.get(leases[0]!.streamId)!;
    expect(units.filter(({ kind }) => kind === 'video').map(({ ptsUs }) => ptsUs)).toEqual([0, 40_000]);
    expect(units.filter(({ kind }) => kind === 'audio').map(({ codec }) => codec)).toContain('opus');
    expect(units.filter(({ kind }) => kind === 'video')).toEqual([
      expect.objectContaining({ height: 180 }),
      expect.objectContaining({ height: 180 }),
    ]);
    expect(leases[0]!.size).toEqual({ width: 180, height: 180 });
    expect(soundEncoders).toEqual([]);

    for (const lease of leases) lease.release();
    expect([...worker.unitStreams.keys()]).toEqual([other.streamId]);
    expect(encoders[0]!.isClosed).toBe(false);
    clock.advance(6000);
    expect(encoders.map(({ isClosed }) => isClosed)).toEqual([true, false]);
    other.release();
    other.release();
    clock.advance(10_000);
    expect(encoders.map(({ isClosed }) => isClosed)).toEqual([true, true]);
    expect(worker.unitStreams.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('asks the publisher for the keyframe that its players need', () => {
    const { playable, keyframesAsked, clock, stream } = setUp();
    const { streamId } = playable.lease(SOURCE, { width: 0, height: 180 })!;
    stream.writeUnit(keyUnit(0));
    clock.advance(600);
    const before = keyframesAsked();
    playable.onMediaEvent({ type: 'keyframeNeeded', streamId: 'another' });
    expect(keyframesAsked()).toBe(before);
    playable.onMediaEvent({ type: 'keyframeNeeded', streamId });
    expect(keyframesAsked()).toBe(before + 1);
  });

  it('ends with its publisher or with its transcoder, and a new one is made for who comes then', async () => {
    const { playable, encoders, worker, stream, hub } = setUp();
    const first = playable.lease(SOURCE, { width: 0, height: 180 })!;
    stream.writeUnit(keyUnit(0));
    await Promise.resolve();
    encoders[0]!.onEnd('the encoder gave up');
    expect(worker.unitStreams.size).toBe(0);
    const second = playable.lease(SOURCE, { width: 0, height: 180 })!;
    expect(second.streamId).not.toBe(first.streamId);
    first.release();
    expect([...worker.unitStreams.keys()]).toEqual([second.streamId]);
    hub.remove(stream, 'unpublished');
    await Promise.resolve();
    expect(worker.unitStreams.size).toBe(0);
    second.release();
  });
});

const NO_WISH = { width: 0, height: 0 };
const AAC: Tracks = { ...TRACKS, audio: { codec: 'aac', sampleRateHz: 44_100, channels: 1 } };

describe('a stream that did not come by WebRTC', () => {
  it('is one stream of the worker for all its players, with picture and sound copied where browsers take them', async () => {
    const { playable, encoders, soundEncoders, worker, stream, clock } = setUp({ isForeign: true });
    const leases = [playable.lease(SOURCE, NO_WISH)!, playable.lease(SOURCE, { width: 0, height: 360 })!];
    stream.writeUnit({ ...keyUnit(0), data: READY_SPS });
    stream.writeUnit(audioUnit(0));
    stream.writeUnit(videoUnit(40));
    await Promise.resolve();
    clock.advance(MAX_WAIT_MS);
    expect([...worker.unitStreams.keys()]).toEqual([leases[0]!.streamId]);
    expect(shape(worker.unitStreams.get(leases[0]!.streamId)!)).toBe('K0 a0 v40');
    expect([encoders, soundEncoders]).toEqual([[], []]);
    expect(leases[1]!.size).toEqual({ width: 640, height: 360 });
    for (const lease of leases) lease.release();
    expect(worker.unitStreams.size).toBe(0);
  });

  it('gets its AAC made Opus by one transcoder, whatever sizes its players ask for', async () => {
    const { playable, encoders, soundEncoders, worker, stream, clock } = setUp({ isForeign: true, tracks: AAC });
    const whole = playable.lease(SOURCE, NO_WISH)!;
    const half = playable.lease(SOURCE, { width: 0, height: 180 })!;
    stream.writeUnit({ ...keyUnit(0), data: READY_SPS });
    stream.writeUnit(audioUnit(0, 3, 'aac'));
    await Promise.resolve();
    expect(soundEncoders.map(({ to }) => to)).toEqual(['opus']);
    expect(encoders.map(({ need }) => need.heightPx)).toEqual([180]);
    for (const { streamId } of [whole, half]) {
      const units = worker.unitStreams.get(streamId)!;
      expect(units.filter(({ kind }) => kind === 'audio').map(({ codec }) => codec)).toEqual(['opus']);
    }
    whole.release();
    half.release();
    clock.advance(6000);
    expect([encoders[0]!.isClosed, soundEncoders[0]!.isClosed]).toEqual([true, true]);
    stream.end('its publisher is gone');
    expect(clock.pendingTimers).toBe(0);
  });

  it('gets a transcoder where it is known that browsers do not take its picture', async () => {
    const { playable, encoders, worker, stream, clock } = setUp({ isForeign: true });
    stream.writeUnit({ ...keyUnit(0), data: REORDERING_SPS });
    const lease = playable.lease(SOURCE, NO_WISH)!;
    await Promise.resolve();
    clock.advance(MAX_WAIT_MS);
    expect(encoders).toHaveLength(1);
    expect(worker.unitStreams.get(lease.streamId)!.map(({ data }) => data)).toEqual([READY_SPS]);
  });

  it('goes on for its players with a transcoder from the very keyframe with which browsers stop taking it', async () => {
    const { playable, encoders, worker, stream } = setUp({ isForeign: true, tracks: { video: TRACKS.video } });
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    stream.writeUnit({ ...keyUnit(0), data: READY_SPS });
    stream.writeUnit(videoUnit(40));
    stream.writeUnit({ ...keyUnit(80), data: REORDERING_SPS });
    await Promise.resolve();
    stream.writeUnit(videoUnit(120));
    stream.writeUnit({ ...keyUnit(160), data: READY_SPS });
    expect(encoders).toHaveLength(1);
    const units = worker.unitStreams.get(streamId)!;
    expect(shape(units)).toBe('K0 v40 K80 v120 K160');
    expect(units.some(({ data }) => data === REORDERING_SPS)).toBe(false);
  });

  it('begins with the sound of now, though its transcoder begins with that of the cached pictures', async () => {
    const { playable, worker, stream } = setUp({ isForeign: true, tracks: { audio: AAC.audio } });
    for (let ms = 0; ms < 1000; ms += 20) stream.writeUnit(audioUnit(ms, 3, 'aac'));
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    await Promise.resolve();
    stream.writeUnit(audioUnit(1000, 3, 'aac'));
    const [first, ...more] = worker.unitStreams.get(streamId)!.map(({ ptsUs }) => ptsUs / 1000);
    expect(first).toBeGreaterThanOrEqual(900);
    expect(more.at(-1)).toBe(1000);
  });

  it('gives picture and sound of one moment together, whichever of them its transcoder delays', async () => {
    const { playable, worker, stream } = setUp({ isForeign: true });
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    for (const ms of [0, 40, 80]) stream.writeUnit({ ...videoUnit(ms), isKeyframe: ms === 0, data: READY_SPS });
    for (const ms of [0, 20, 40, 60]) stream.writeUnit(audioUnit(ms));
    expect(shape(worker.unitStreams.get(streamId)!)).toBe('K0 a0 a20 v40 a40 a60');
  });

  it('goes on for its players where it is replaced, with the very next picture and sound', async () => {
    const { playable, worker, stream, hub, replace, clock } = setUp({ isForeign: true, tracks: AAC });
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    const keyframe = { ...keyUnit(0), data: READY_SPS };
    for (const unit of [keyframe, audioUnit(0, 3, 'aac'), videoUnit(40), audioUnit(20, 3, 'aac')])
      stream.writeUnit(unit);
    await Promise.resolve();
    const next = replace({ ...AAC, audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 } });
    for (const unit of [keyframe, videoUnit(40)]) next.writeUnit(unit);
    await Promise.resolve();
    for (const unit of [videoUnit(80), audioUnit(40, 3, 'aac'), videoUnit(120)]) next.writeUnit(unit);
    await Promise.resolve();
    clock.advance(MAX_WAIT_MS);
    const units = worker.unitStreams.get(streamId)!;
    expect(shape(units.filter(({ kind }) => kind === 'video'))).toBe('K0 v40 v80 v120');
    expect(shape(units.filter(({ kind }) => kind === 'audio'))).toBe('a0 a20 a40');
    hub.remove(next, 'unpublished');
    await Promise.resolve();
    expect(worker.unitStreams.size).toBe(0);
  });

  it('goes on with a keyframe of its next transcoder', async () => {
    const video = { video: TRACKS.video };
    const { playable, worker, stream, replace, encoders } = setUp({ isForeign: true, tracks: video });
    const { streamId } = playable.lease(SOURCE, { width: 0, height: 180 })!;
    for (const unit of [keyUnit(0), videoUnit(40)]) stream.writeUnit(unit);
    const next = replace(video);
    for (const unit of [keyUnit(0), videoUnit(40)]) next.writeUnit(unit);
    await Promise.resolve();
    await Promise.resolve();
    for (const unit of [videoUnit(80), keyUnit(120), videoUnit(160)]) next.writeUnit(unit);
    expect(shape(worker.unitStreams.get(streamId)!)).toBe('K0 v40 K120 v160');
    expect(encoders).toHaveLength(2);
  });

  it.each<[string, Tracks, SetUp]>([
    ['sound that was not there', TRACKS, { tracks: { video: TRACKS.video } }],
    ['sound of another codec', { ...TRACKS, audio: { codec: 'pcma', sampleRateHz: 8000, channels: 1 } }, {}],
    ['a picture that was not there', TRACKS, { tracks: { audio: TRACKS.audio } }],
  ])('ends for its players where it is replaced by one with %s', async (_what, tracks, options) => {
    const { playable, worker, replace } = setUp({ isForeign: true, ...options });
    const { release } = playable.lease(SOURCE, NO_WISH)!;
    replace(tracks);
    await Promise.resolve();
    expect(worker.unitStreams.size).toBe(0);
    release();
    playable.lease(SOURCE, NO_WISH);
    expect(worker.unitStreams.size).toBe(1);
  });

  it.each([
    ['of the hub', { tracks: { video: TRACKS.video } }],
    ['of its source', { tracks: AAC, isSilent: true }],
  ])('without sound is played without sound, not with silence %s', (_whose, options) => {
    const { playable, worker, stream, clock, soundEncoders } = setUp({ isForeign: true, ...options });
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    for (let ms = 0; ms < 1000; ms += 40) {
      stream.writeUnit({ ...videoUnit(ms), isKeyframe: ms === 0, data: READY_SPS });
      clock.advance(40);
    }
    expect(worker.unitStreams.get(streamId)!.filter(({ kind }) => kind === 'audio')).toEqual([]);
    expect(worker.unitStreams.get(streamId)!).toHaveLength(25);
    expect(soundEncoders).toEqual([]);
  });

  it('ends for players that have agreed to no sound when there is some, which those who come get', async () => {
    const { playable, worker, stream, source, clock } = setUp({ isForeign: true, tracks: AAC, isSilent: true });
    const { release } = playable.lease(SOURCE, NO_WISH)!;
    stream.writeUnit({ ...videoUnit(0), isKeyframe: true, data: READY_SPS });
    expect(worker.unitStreams.size).toBe(1);
    source.isSilent = false;
    stream.writeUnit(videoUnit(40));
    expect(worker.unitStreams.size).toBe(0);
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    for (let ms = 80; ms < 1000; ms += 40) {
      stream.writeUnit({ ...videoUnit(ms), isKeyframe: ms === 80, data: READY_SPS });
      for (const audioMs of [ms, ms + 20]) stream.writeUnit(audioUnit(audioMs, 3, 'aac'));
      await Promise.resolve();
      clock.advance(40);
    }
    expect(worker.unitStreams.get(streamId)!.some(({ kind }) => kind === 'audio')).toBe(true);
    release();
  });

  it('of sound alone is played without a picture, whatever size is asked for', () => {
    const { playable, worker, stream } = setUp({ isForeign: true, tracks: { audio: TRACKS.audio } });
    const { streamId } = playable.lease(SOURCE, { width: 0, height: 180 })!;
    stream.writeUnit(audioUnit(0));
    expect(shape(worker.unitStreams.get(streamId)!)).toBe('a0');
  });

  it('is asked for no keyframe where nobody can give one', () => {
    const { playable, keyframesAsked } = setUp({ isForeign: true });
    const { streamId } = playable.lease(SOURCE, NO_WISH)!;
    playable.onMediaEvent({ type: 'keyframeNeeded', streamId });
    expect(keyframesAsked()).toBe(0);
  });
});
