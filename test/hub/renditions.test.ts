import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import type { MediaUnit, Tracks } from '../../src/domain/media.ts';
import { LiveStream } from '../../src/hub/live-stream.ts';
import { type RenditionLease, Renditions } from '../../src/hub/renditions.ts';
import type { AudioTranscoderOptions, TranscoderFactory, VideoTranscoderOptions } from '../../src/hub/transcoder.ts';
import type { RenditionNeed } from '../../src/hub/unit-source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { audioUnit, keyUnit, shape, videoUnit } from './units.ts';

const TRACKS: Tracks = {
  video: { codec: 'h264', width: 640, height: 360 },
  audio: { codec: 'opus', sampleRateHz: 48_000, channels: 2 },
};
const PUSH: RenditionNeed = { video: 'h264', audio: 'aac' };

/** Transcoders that give each unit back at once, marked by codec and size. */
class FakeFactory implements TranscoderFactory {
  readonly audios: (AudioTranscoderOptions & { closed: boolean })[] = [];
  readonly videos: (VideoTranscoderOptions & { closed: boolean; fed: MediaUnit[] })[] = [];
  isAudioStalled = false;
  /** What video encoders give waits in here, where there is one. */
  heldVideo: (() => void)[] | undefined;

  audio(options: AudioTranscoderOptions): ReturnType<TranscoderFactory['audio']> {
    const record = { ...options, closed: false };
    this.audios.push(record);
    return {
      feed: (unit) => {
        if (!this.isAudioStalled) options.onUnit({ ...unit, codec: options.to });
      },
      close: async () => void (record.closed = true),
    };
  }

  video(options: VideoTranscoderOptions): ReturnType<TranscoderFactory['video']> {
    const record = { ...options, closed: false, fed: [] as MediaUnit[] };
    this.videos.push(record);
    const height = options.need.heightPx ?? options.from.height;
    return {
      feed: (unit) => {
        record.fed.push(unit);
        const give = (): void => options.onUnit({ ...unit, codec: 'h264', height, width: (height * 16) / 9 });
        if (this.heldVideo) this.heldVideo.push(give);
        else give();
      },
      close: async () => void (record.closed = true),
    };
  }
}

function setUp(tracks = TRACKS): {
  clock: ManualClock;
  stream: LiveStream;
  factory: FakeFactory;
  renditions: Renditions;
} {
  const clock = new ManualClock();
  const source = { setFramesWanted: () => {}, requestKeyframe: () => {} };
  const stream = new LiveStream({ name: 's', id: 'i', source, tracks, clock, logger: silentLogger });
  const factory = new FakeFactory();
  return { clock, stream, factory, renditions: new Renditions({ factory, clock, logger: silentLogger }) };
}

function read(lease: RenditionLease): { units: MediaUnit[]; ended: string[] } {
  const units: MediaUnit[] = [];
  const ended: string[] = [];
  lease.source.addReader({
    label: 'test',
    fromCachedGop: true,
    maxQueueBytes: 1_000_000,
    onUnit: (unit) => units.push(unit) > 0,
    onEnd: (reason) => ended.push(reason),
  });
  return { units, ended };
}

/** A second of 25 pictures and 50 sounds. */
function play(stream: LiveStream, fromMs: number, codec: 'h264' | 'vp8' = 'h264'): void {
  for (let ms = fromMs; ms < fromMs + 1000; ms += 20) {
    if (ms % 40 === 0) stream.writeUnit(videoUnit(ms, { isKeyframe: ms === fromMs, codec }));
    stream.writeUnit(audioUnit(ms));
  }
}

describe('Renditions', () => {
  it('gives the stream itself where it is what is needed', () => {
    const { renditions, stream, factory } = setUp({
      ...TRACKS,
      audio: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
    });
    expect(renditions.renditionOf(stream, { ...PUSH, widthPx: 1280, heightPx: 0, fps: 0 }).source).toBe(stream);
    expect(renditions.renditionOf(stream, PUSH).source).toBe(stream);
    expect(factory.audios).toHaveLength(0);
  });

  it('shares one audio transcoder among ten destinations and all sizes', async () => {
    const { renditions, stream, factory } = setUp();
    const leases = Array.from({ length: 10 }, () => renditions.renditionOf(stream, PUSH));
    const sized = renditions.renditionOf(stream, { ...PUSH, heightPx: 720 });
    const readers = [...leases, sized].map((lease) => read(lease));
    play(stream, 0);
    await Promise.resolve();
    expect(factory.audios).toHaveLength(1);
    expect(factory.videos).toHaveLength(1);
    for (const { units } of readers) {
      expect(units.filter((unit) => unit.kind === 'audio').every((unit) => unit.codec === 'aac')).toBe(true);
      expect(units.length).toBeGreaterThan(70);
    }
    expect(readers[10]!.units.find((unit) => unit.kind === 'video')).toMatchObject({ height: 720 });
  });

  it('shares one video transcoder per size, rate and interval, however the need is written', () => {
    const { renditions, stream, factory } = setUp();
    for (const heightPx of [720, 720, 480]) renditions.renditionOf(stream, { ...PUSH, heightPx, fps: 0 });
    renditions.renditionOf(stream, { ...PUSH, heightPx: 720, keyFrameIntervalFrames: undefined });
    renditions.renditionOf(stream, { video: 'h264', audio: 'opus', heightPx: 480, widthPx: 0 });
    stream.writeUnit(keyUnit(0));
    expect(factory.videos.map((video) => video.need.heightPx)).toEqual([720, 480]);
  });

  it('transcodes VP8 and starts with the first keyframe, whose size it knows', () => {
    const { renditions, stream, factory } = setUp({ ...TRACKS, video: { codec: 'vp8', width: 0, height: 0 } });
    const lease = renditions.renditionOf(stream, PUSH);
    const { units } = read(lease);
    stream.writeUnit(videoUnit(0, { codec: 'vp8' }));
    expect(factory.videos).toHaveLength(0);
    play(stream, 40, 'vp8');
    expect(factory.videos[0]!.from).toEqual({ codec: 'vp8', width: 640, height: 360 });
    expect(units.find((unit) => unit.kind === 'video')).toMatchObject({ codec: 'h264', isKeyframe: true });
    expect(lease.source.tracks.video).toEqual({ codec: 'h264', width: 640, height: 360 });
  });

  it('gives video and audio in time order', () => {
    const { renditions, stream } = setUp();
    const { units } = read(renditions.renditionOf(stream, PUSH));
    play(stream, 0);
    const times = units.map((unit) => unit.ptsUs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('holds video no longer than 200 ms when audio stalls', () => {
    const { renditions, stream, factory, clock } = setUp();
    factory.isAudioStalled = true;
    const { units } = read(renditions.renditionOf(stream, PUSH));
    stream.writeUnit(keyUnit(0));
    clock.advance(40);
    stream.writeUnit(videoUnit(40));
    clock.advance(159);
    expect(units).toEqual([]);
    clock.advance(1);
    expect(shape(units)).toBe('K0');
    clock.advance(40);
    expect(shape(units)).toBe('K0 v40');
  });

  it('lets a late reader begin at once with the cached GOP of the rendition', async () => {
    const { renditions, stream } = setUp();
    read(renditions.renditionOf(stream, PUSH));
    play(stream, 0);
    const { units } = read(renditions.renditionOf(stream, PUSH));
    await Promise.resolve();
    expect(shape(units)).toMatch(/^K0 a0 a20 v40 a40/);
    expect(units.length).toBeGreaterThan(70);
  });

  it('begins a new size with picture and sound of one moment, though its encoder starts slowly', async () => {
    const { renditions, stream, factory, clock } = setUp();
    read(renditions.renditionOf(stream, PUSH));
    for (let ms = 0; ms < 8000; ms += 1000) play(stream, ms);
    factory.heldVideo = [];
    const { units } = read(renditions.renditionOf(stream, { ...PUSH, heightPx: 720 }));
    await Promise.resolve();
    clock.advance(600);
    for (const give of factory.heldVideo) {
      give();
      clock.advance(10);
    }
    factory.heldVideo = undefined;
    play(stream, 8000);
    expect(shape(units)).toMatch(/^K7000 a7000 a7020 v7040 a7040 a7060 v7080/);
    const sound = units.filter((unit) => unit.kind === 'audio').map((unit) => unit.ptsUs / 1000);
    expect(sound).toEqual(sound.map((_, index) => 7000 + index * 20));
    const times = units.map((unit) => unit.ptsUs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('begins with the sound of now where no picture comes at all', async () => {
    const { renditions, stream, factory, clock } = setUp();
    read(renditions.renditionOf(stream, PUSH));
    for (let ms = 0; ms < 8000; ms += 1000) play(stream, ms);
    factory.heldVideo = [];
    const { units } = read(renditions.renditionOf(stream, { ...PUSH, heightPx: 720 }));
    await Promise.resolve();
    for (let ms = 8000; ms < 11_900; ms += 20) {
      clock.advance(20);
      stream.writeUnit(audioUnit(ms));
    }
    expect(units[0]!.ptsUs).toBeGreaterThan(10_000_000);
    expect(units.every((unit) => unit.kind === 'audio')).toBe(true);
  });

  it('stops five seconds after the last release and is reused before that', () => {
    const { renditions, stream, factory, clock } = setUp();
    const need = { ...PUSH, heightPx: 720 };
    const first = renditions.renditionOf(stream, need);
    const second = renditions.renditionOf(stream, need);
    stream.writeUnit(keyUnit(0));
    first.release();
    first.release();
    clock.advance(6000);
    expect(factory.audios[0]!.closed).toBe(false);
    second.release();
    clock.advance(4999);
    const third = renditions.renditionOf(stream, need);
    clock.advance(6000);
    expect([factory.audios.length, factory.audios[0]!.closed]).toEqual([1, false]);
    third.release();
    clock.advance(5000);
    expect([factory.audios[0]!.closed, factory.videos[0]!.closed]).toEqual([true, true]);
    clock.advance(2000);
    expect(clock.pendingTimers).toBe(0);
    renditions.renditionOf(stream, need);
    expect(factory.audios).toHaveLength(2);
  });

  it('ends readers once and closes transcoders when the stream ends', () => {
    const { renditions, stream, factory, clock } = setUp();
    const lease = renditions.renditionOf(stream, PUSH);
    const { ended } = read(lease);
    stream.end('publisher left');
    expect(ended).toEqual(['publisher left']);
    expect(factory.audios[0]!.closed).toBe(true);
    lease.release();
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends readers when a transcoder gives up, and makes a new one for the next lease', () => {
    const { renditions, stream, factory } = setUp();
    const lease = renditions.renditionOf(stream, PUSH);
    const { ended } = read(lease);
    factory.audios[0]!.onEnd('encoder is missing');
    expect(ended).toEqual(['encoder is missing']);
    const next = renditions.renditionOf(stream, PUSH);
    expect(factory.audios).toHaveLength(2);
    lease.release();
    const { units } = read(next);
    play(stream, 0);
    expect(units.length).toBeGreaterThan(70);
  });

  it('gives only sound, from now on, where no video is needed', async () => {
    const { renditions, stream } = setUp();
    const lease = renditions.renditionOf(stream, { video: 'none', audio: 'aac' });
    const { units } = read(lease);
    expect(lease.source.tracks.video).toBeUndefined();
    play(stream, 0);
    await Promise.resolve();
    expect(shape(units)).toMatch(/^a0 a20 a40/);
    expect(units.every((unit) => unit.kind === 'audio')).toBe(true);
  });
});
