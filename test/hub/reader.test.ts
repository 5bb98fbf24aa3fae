import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import type { MediaUnit, Tracks } from '../../src/domain/media.ts';
import { UnitBroadcast } from '../../src/hub/unit-broadcast.ts';
import type { Reader, ReaderOptions } from '../../src/hub/unit-source.ts';
import { audioUnit, keyUnit, shape, videoUnit } from './units.ts';

const TRACKS: Tracks = {
  video: { codec: 'h264', width: 640, height: 360 },
  audio: { codec: 'opus', sampleRateHz: 48_000, channels: 2 },
};

function newSource(tracks = TRACKS): { source: UnitBroadcast; requestKeyframe: ReturnType<typeof vi.fn> } {
  const requestKeyframe = vi.fn<() => void>();
  return { source: new UnitBroadcast({ tracks, logger: silentLogger, requestKeyframe }), requestKeyframe };
}

interface Taken {
  readonly reader: Reader;
  readonly units: MediaUnit[];
  readonly ended: string[];
  takes: boolean;
}

function read(source: UnitBroadcast, options: Partial<ReaderOptions> = {}): Taken {
  const units: MediaUnit[] = [];
  const ended: string[] = [];
  const state = { takes: true };
  const reader = source.addReader({
    label: 'test',
    fromCachedGop: true,
    maxQueueBytes: 1000,
    onUnit: (unit) => {
      units.push(unit);
      return state.takes;
    },
    onEnd: (reason) => ended.push(reason),
    ...options,
  });
  return {
    reader,
    units,
    ended,
    get takes() {
      return state.takes;
    },
    set takes(value) {
      state.takes = value;
    },
  };
}

describe('BoundedReader', () => {
  it('begins with the cached GOP after addReader has returned, then goes on live', async () => {
    const { source, requestKeyframe } = newSource();
    for (const unit of [keyUnit(0), audioUnit(0), videoUnit(33)]) source.write(unit);
    const { units } = read(source);
    expect(units).toEqual([]);
    source.write(videoUnit(66));
    await Promise.resolve();
    source.write(audioUnit(80));
    expect(shape(units)).toBe('K0 a0 v33 v66 a80');
    expect(requestKeyframe).not.toHaveBeenCalled();
  });

  it('asks for a keyframe and begins with it, and with audio of its time, where there is no cached GOP', () => {
    const { source, requestKeyframe } = newSource();
    const { units } = read(source);
    expect(requestKeyframe).toHaveBeenCalledTimes(1);
    for (const unit of [audioUnit(0), videoUnit(33), audioUnit(40), audioUnit(60), keyUnit(40)]) source.write(unit);
    source.write(audioUnit(20));
    source.write(audioUnit(80));
    expect(shape(units)).toBe('K40 a40 a60 a80');
  });

  it('begins with a new keyframe when the cached GOP is larger than its queue', async () => {
    const { source, requestKeyframe } = newSource();
    source.write(keyUnit(0, { bytes: 2000 }));
    const { units } = read(source);
    await Promise.resolve();
    expect(units).toEqual([]);
    expect(requestKeyframe).toHaveBeenCalledTimes(1);
  });

  describe('that may begin with a cached GOP larger than its queue', () => {
    const joined = async () => {
      const { source, requestKeyframe } = newSource();
      source.write(keyUnit(0, { bytes: 200 }));
      source.write(videoUnit(33, { bytes: 200 }));
      const taken = read(source, { maxQueueBytes: 100, maxCachedBytes: 400 });
      taken.takes = false;
      await Promise.resolve();
      return { source, taken, requestKeyframe };
    };

    it('begins with it and asks for no keyframe, and not with a larger one', async () => {
      const { source, taken, requestKeyframe } = await joined();
      expect(shape(taken.units)).toBe('K0');
      expect(requestKeyframe).not.toHaveBeenCalled();
      const stricter = read(source, { maxQueueBytes: 100, maxCachedBytes: 399 });
      await Promise.resolve();
      expect(stricter.units).toEqual([]);
      expect(requestKeyframe).toHaveBeenCalledTimes(1);
    });

    it('has its whole queue for what comes while it is given, and no more', async () => {
      const { source, taken } = await joined();
      source.write(videoUnit(66, { bytes: 60 }));
      source.write(videoUnit(100, { bytes: 40 }));
      source.write(videoUnit(133, { bytes: 1 }));
      expect(taken.reader.queuedBytes).toBe(300);
      taken.takes = true;
      taken.reader.resume();
      expect(shape(taken.units)).toBe('K0 v33 v66 v100');
      expect(taken.reader.counters).toMatchObject({ droppedVideo: 1 });
    });

    it('has its usual bound once it has been given, or has been given up for a keyframe', async () => {
      const { source, taken } = await joined();
      taken.reader.resume();
      source.write(videoUnit(66, { bytes: 60 }));
      source.write(videoUnit(100, { bytes: 60 }));
      expect(taken.reader.queuedBytes).toBe(60);
      const other = await joined();
      other.source.write(videoUnit(66, { bytes: 60 }));
      other.source.write(keyUnit(100, { bytes: 60 }));
      other.source.write(videoUnit(133, { bytes: 60 }));
      expect(other.taken.reader.queuedBytes).toBe(60);
      other.taken.takes = true;
      other.taken.reader.resume();
      expect(shape(other.taken.units)).toBe('K0 K100');
    });
  });

  it('begins with audio alone when no video comes for two seconds, and takes video from its first keyframe', () => {
    const { source } = newSource({ ...TRACKS, video: { codec: 'h264', width: 0, height: 0 } });
    const { units } = read(source);
    for (let ms = 0; ms <= 2040; ms += 20) source.write(audioUnit(ms));
    source.write(videoUnit(2050));
    source.write(keyUnit(2083));
    source.write(videoUnit(2116));
    expect(shape(units)).toBe('a2000 a2020 a2040 K2083 v2116');
  });

  it('waits for a keyframe as long as video does come', () => {
    const { source } = newSource();
    const { units } = read(source, { fromCachedGop: false });
    for (let ms = 0; ms <= 6000; ms += 40) {
      source.write(videoUnit(ms));
      source.write(audioUnit(ms));
    }
    expect(units).toEqual([]);
  });

  it('gives only the kind that is wanted', () => {
    const { source, requestKeyframe } = newSource();
    const sound = read(source, { video: 'none' });
    const picture = read(source, { audio: false });
    for (const unit of [audioUnit(0), keyUnit(0), audioUnit(20), videoUnit(33)]) source.write(unit);
    expect(shape(sound.units)).toBe('a0 a20');
    expect(shape(picture.units)).toBe('K0 v33');
    expect(requestKeyframe).toHaveBeenCalledTimes(1);
  });

  it('queues while the reader takes no more and goes on in order with resume', () => {
    const { source } = newSource();
    const taken = read(source);
    taken.takes = false;
    for (const unit of [keyUnit(0), videoUnit(33), audioUnit(40)]) source.write(unit);
    expect(shape(taken.units)).toBe('K0');
    expect(taken.reader.queuedBytes).toBe(13);
    taken.reader.resume();
    expect(shape(taken.units)).toBe('K0 v33');
    taken.takes = true;
    taken.reader.resume();
    source.write(videoUnit(66));
    expect(shape(taken.units)).toBe('K0 v33 a40 v66');
    expect(taken.reader.queuedBytes).toBe(0);
  });

  it('drops video up to the next keyframe when full, keeps audio, and counts', () => {
    const { source, requestKeyframe } = newSource();
    const taken = read(source, { maxQueueBytes: 250 });
    requestKeyframe.mockClear();
    taken.takes = false;
    source.write(keyUnit(0, { bytes: 100 }));
    source.write(videoUnit(33, { bytes: 100 }));
    source.write(audioUnit(40));
    source.write(videoUnit(66, { bytes: 100 }));
    source.write(videoUnit(100, { bytes: 100 }));
    source.write(videoUnit(133, { bytes: 1 }));
    taken.takes = true;
    taken.reader.resume();
    expect(requestKeyframe).toHaveBeenCalledTimes(1);
    source.write(videoUnit(166));
    source.write(keyUnit(200));
    source.write(videoUnit(233));
    expect(shape(taken.units)).toBe('K0 v33 a40 v66 K200 v233');
    expect(taken.reader.counters).toEqual({ units: 6, droppedVideo: 3, droppedAudio: 0 });
  });

  it('lets a keyframe take the place of older video, and audio the place of older audio last', () => {
    const { source } = newSource();
    const taken = read(source, { maxQueueBytes: 100 });
    taken.takes = false;
    source.write(keyUnit(0));
    source.write(videoUnit(33, { bytes: 50 }));
    source.write(audioUnit(40, 40));
    source.write(keyUnit(66, { bytes: 60 }));
    source.write(audioUnit(80, 60));
    source.write(audioUnit(100, 40));
    taken.takes = true;
    taken.reader.resume();
    expect(shape(taken.units)).toBe('K0 a80 a100');
    expect(taken.reader.counters).toEqual({ units: 3, droppedVideo: 2, droppedAudio: 1 });
  });

  it('never holds more than its bound and never gives a broken group of pictures', () => {
    const action = fc.record({
      kind: fc.constantFrom('K', 'v', 'v', 'v', 'a', 'a', 'resume', 'block'),
      bytes: fc.nat(120),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const { source } = newSource();
        const taken = read(source, { maxQueueBytes: 300 });
        const sent: MediaUnit[] = [];
        actions.forEach(({ kind, bytes }, i) => {
          if (kind === 'resume' || kind === 'block') {
            taken.takes = kind === 'resume';
            if (kind === 'resume') taken.reader.resume();
            return;
          }
          const unit = kind === 'a' ? audioUnit(i, bytes) : videoUnit(i, { isKeyframe: kind === 'K', bytes });
          sent.push(unit);
          source.write(unit);
          expect(taken.reader.queuedBytes).toBeLessThanOrEqual(300);
        });
        const video = sent.filter((unit) => unit.kind === 'video');
        const given = taken.units.filter((unit) => unit.kind === 'video');
        given.forEach((unit, i) => {
          const follows = given[i - 1] === video[video.indexOf(unit) - 1];
          expect(unit.isKeyframe || follows).toBe(true);
        });
        expect(new Set(taken.units).size).toBe(taken.units.length);
      }),
    );
    expect.hasAssertions();
  });

  describe('with a bound in time', () => {
    const blocked = (options: Partial<ReaderOptions> = {}) => {
      const { source, requestKeyframe } = newSource();
      const taken = read(source, { maxQueueBytes: 1_000_000, maxQueueUs: 400_000, ...options });
      taken.takes = false;
      source.write(keyUnit(0));
      /** Video each 100 ms with a keyframe each `gopMs`, and sound with it. */
      const live = (fromMs: number, toMs: number, gopMs: number): void => {
        for (let ms = fromMs; ms < toMs; ms += 100) {
          source.write(videoUnit(ms, { isKeyframe: ms % gopMs === 0 }));
          source.write(audioUnit(ms));
        }
      };
      const drained = (): string => {
        taken.takes = true;
        taken.reader.resume();
        return shape(taken.units);
      };
      return { taken, live, drained, requestKeyframe };
    };

    it('gives up the pictures before the newest keyframe once they have waited for longer, and keeps the sound', () => {
      const { taken, live, drained } = blocked();
      live(100, 700, 400);
      expect(taken.reader.counters).toMatchObject({ droppedVideo: 3, droppedAudio: 0 });
      expect(drained()).toBe('K0 a100 a200 a300 K400 a400 v500 a500 v600 a600');
    });

    it('never gives up pictures that no keyframe follows, but asks for one', () => {
      const { taken, live, drained, requestKeyframe } = blocked();
      requestKeyframe.mockClear();
      live(100, 500, 2000);
      expect(requestKeyframe).not.toHaveBeenCalled();
      live(500, 800, 2000);
      expect(requestKeyframe).toHaveBeenCalled();
      expect(taken.reader.counters).toMatchObject({ droppedVideo: 0, droppedAudio: 0 });
      expect(drained()).toContain('v100 a100 v200');
    });

    it('gives up sound that has waited for three times as long, oldest first', () => {
      const { taken, live, drained } = blocked();
      live(100, 2000, 300);
      expect(taken.reader.counters.droppedAudio).toBeGreaterThan(0);
      expect(drained().split(' ').slice(0, 2)).toEqual(['K0', 'a700']);
    });
  });

  it('does not let a blocked or throwing reader touch another', () => {
    const { source } = newSource();
    const blocked = read(source, { maxQueueBytes: 20 });
    const thrower = read(source, {
      onUnit: () => {
        throw new Error('out of order');
      },
    });
    const good = read(source);
    blocked.takes = false;
    for (let i = 0; i < 100; i += 1) source.write(videoUnit(i * 33, { isKeyframe: i % 50 === 0 }));
    expect(good.units).toHaveLength(100);
    expect(source.readers).toHaveLength(2);
    expect(thrower.ended).toEqual([]);
    expect(blocked.reader.queuedBytes).toBeLessThanOrEqual(20);
  });

  it('lets a reader close, resume and add readers from within onUnit', () => {
    const { source } = newSource();
    const late: MediaUnit[] = [];
    const early: MediaUnit[] = [];
    const reader = source.addReader({
      label: 'itself',
      fromCachedGop: true,
      maxQueueBytes: 100,
      onUnit: (unit) => {
        early.push(unit);
        reader.resume();
        reader.close();
        source.addReader({
          label: 'late',
          fromCachedGop: false,
          maxQueueBytes: 100,
          onUnit: (other) => late.push(other) > 0,
          onEnd: () => {},
        });
        return false;
      },
      onEnd: () => {},
    });
    source.write(keyUnit(0));
    source.write(keyUnit(33));
    expect(shape(early)).toBe('K0');
    expect(shape(late)).toBe('K33');
  });

  it('ends every reader once with the first reason, even when one throws, and closed ones not at all', async () => {
    const { source } = newSource();
    const closed = read(source);
    const thrower = read(source, {
      onEnd: () => {
        throw new Error('no');
      },
    });
    const good = read(source);
    closed.reader.close();
    closed.reader.close();
    source.end('first');
    source.end('second');
    source.write(keyUnit(0));
    const late = read(source);
    await Promise.resolve();
    expect([closed.ended, thrower.ended, good.ended, late.ended]).toEqual([[], [], ['first'], ['first']]);
    expect(good.units).toEqual([]);
  });

  it('tells readers of a new picture size before the keyframe that brings it', () => {
    const { source } = newSource({ ...TRACKS, video: { codec: 'h264', width: 0, height: 0 } });
    const heard: string[] = [];
    read(source, {
      onTracks: (tracks) => heard.push(String(tracks.video?.height)),
      onUnit: (unit) => heard.push(shape([unit])) > 0,
    });
    source.write(keyUnit(0));
    source.write(keyUnit(33));
    source.write(keyUnit(66, { height: 720 }));
    expect(heard).toEqual(['360', 'K0', 'K33', '720', 'K66']);
  });
});
