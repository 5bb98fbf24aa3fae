import { describe, expect, it } from 'vitest';
import { silentLogger as logger } from '../../../src/domain/logger.ts';
import type { AudioUnit, MediaUnit } from '../../../src/domain/media.ts';
import type { RunEnd } from '../../../src/domain/transponder.ts';
import { Hub } from '../../../src/hub/hub.ts';
import { Renditions } from '../../../src/hub/renditions.ts';
import type { AudioTranscoderOptions } from '../../../src/hub/transcoder.ts';
import { USUAL_BOUNDS } from '../../../src/outputs/rtmp-push/push-bounds.ts';
import { PushSource } from '../../../src/outputs/rtmp-push/push-source.ts';
import { audioUnit, keyUnit, shape, videoUnit } from '../../hub/units.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const PARAMS = { width: 0, height: 0, fps: 0, keyFrameInterval: 0, rtmpFlashVersion: '', sendMetadata: false };
const STEP_MS = 100;

/** What a push reads of a stream that an encoder publishes; sound other than AAC goes through a transcoder that is quick. */
function newSource(codec: 'aac' | 'opus') {
  const clock = new ManualClock();
  const hub = new Hub(logger);
  const units: MediaUnit[] = [];
  const ends: RunEnd[] = [];
  let keyframesAsked = 0;
  const stream = hub.publish('source', {
    id: 'publisher',
    source: { setFramesWanted: () => {}, requestKeyframe: () => (keyframesAsked += 1) },
    tracks: { video: { codec: 'h264', width: 640, height: 360 }, audio: { codec, sampleRateHz: 48_000, channels: 2 } },
    clock,
    logger,
  });
  const audio = ({ onUnit }: AudioTranscoderOptions) => ({
    feed: (unit: AudioUnit) => onUnit({ ...unit, codec: 'aac' }),
    close: () => Promise.resolve(),
  });
  const factory = { audio, video: (): never => expect.unreachable('pictures are copied') };
  const renditions = new Renditions({ factory, clock, logger });
  const services = { hub, renditions, preserveAspectRatio: true, bounds: USUAL_BOUNDS, clock };
  const open = () =>
    new PushSource({
      services,
      push: { id: 'push', params: PARAMS },
      stream,
      silentVideo: new WeakSet(),
      onUnit: (unit) => {
        units.push(unit);
        return true;
      },
      onEnd: (end) => ends.push(end),
    });
  let nowMs = 0;
  return {
    read: async () => {
      open().read();
      // What is cached is given once the caller has its reader.
      await new Promise((resolve) => setImmediate(resolve));
    },
    units,
    ends,
    keyframesAsked: () => keyframesAsked,
    nothing: (seconds: number) => clock.advance(seconds * 1000),
    /** Sound, and pictures where there are any, of which the first may be a keyframe. */
    send: (seconds: number, { pictures = true, keyframe = false } = {}) => {
      for (const endMs = nowMs + seconds * 1000; nowMs < endMs; nowMs += STEP_MS) {
        const isFirst = nowMs + seconds * 1000 === endMs;
        if (pictures) stream.writeUnit(isFirst && keyframe ? keyUnit(nowMs) : videoUnit(nowMs));
        stream.writeUnit({ ...audioUnit(nowMs, 3, codec), durationUs: STEP_MS * 1000 });
        clock.advance(STEP_MS);
      }
    },
  };
}

describe.each(['aac', 'opus'] as const)(
  'what a push reads of a stream with groups of thirty seconds and %s',
  (codec) => {
    it('begins with the next keyframe, which is asked for, where it came too late for the cached one', async () => {
      const push = newSource(codec);
      push.send(12, { keyframe: true });
      await push.read();
      push.send(18);
      expect(push.ends).toEqual([]);
      expect(push.units).toEqual([]);
      expect(push.keyframesAsked()).toBeGreaterThan(10);
      push.send(3, { keyframe: true });
      expect(push.ends).toEqual([]);
      expect(shape(push.units)).toMatch(/^K30000 a30000 v30100 a30100 /);
    });

    it('says for what it has waited in vain', async () => {
      const push = newSource(codec);
      push.send(12, { keyframe: true });
      await push.read();
      push.send(61);
      expect(push.ends).toEqual([{ exitClass: 'start_timeout', detail: 'no keyframe came within 60 s of pictures' }]);
      expect(push.units).toEqual([]);
    });

    it('goes on with sound alone where no picture comes', async () => {
      const push = newSource(codec);
      await push.read();
      push.send(9, { pictures: false });
      expect(push.ends[0]).toEqual({ exitClass: 'replan', detail: 'the stream sends no picture' });
    });

    it('is given up after ten seconds where nothing comes', async () => {
      const push = newSource(codec);
      await push.read();
      push.nothing(10);
      expect(push.ends).toEqual([
        { exitClass: 'start_timeout', detail: 'the source stream gave no picture and no sound' },
      ]);
    });
  },
);
