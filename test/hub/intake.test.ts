import { expect, it } from 'vitest';
import type { AudioTrack, MediaUnit } from '../../src/domain/media.ts';
import { UnitIntake } from '../../src/hub/intake.ts';

const AAC: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
const FRAME_US = (1024 * 1_000_000) / 48_000;
const PICTURE_US = 40_000;
const TICK_US = 20_000;
const HOUR_US = 3_600_000_000;

/** What comes of three hours of pictures, and of sound whose timestamps are `rate` times as quick as its samples. */
function soundAfterHours(rate: number): UnitIntake {
  const intake = new UnitIntake(AAC, () => {});
  const picture = {
    kind: 'video',
    codec: 'h264',
    isKeyframe: false,
    width: 0,
    height: 0,
    data: Buffer.alloc(1),
  } as const;
  const sound = { kind: 'audio', codec: 'aac', durationUs: Math.round(FRAME_US), data: Buffer.alloc(1) } as const;
  let sounds = 0;
  for (let nowUs = 0; nowUs < 3 * HOUR_US; nowUs += TICK_US) {
    const units: MediaUnit[] = nowUs % PICTURE_US === 0 ? [{ ...picture, ptsUs: nowUs, dtsUs: nowUs }] : [];
    for (; sounds * FRAME_US <= nowUs; sounds++) units.push({ ...sound, ptsUs: Math.round(sounds * FRAME_US * rate) });
    for (const unit of units) intake.write(unit, nowUs);
    intake.tick(nowUs);
  }
  return intake;
}

it.each([0.9999, 1.0001])(
  'sound whose clock runs at %d of that of the pictures stays sound for hours, but for the frame that a drift takes or leaves',
  (rate) => {
    const { audioCounters } = soundAfterHours(rate);
    const driftFrames = (3 * HOUR_US * 0.0001) / FRAME_US;

    expect(audioCounters?.droppedFrames).toBe(0);
    expect(audioCounters!.silenceFrames).toBeLessThanOrEqual(driftFrames);
    expect(audioCounters!.driftCorrections).toBeGreaterThan(driftFrames - 4);
    expect(audioCounters!.driftCorrections).toBeLessThanOrEqual(driftFrames);
  },
);

it('sound that no longer comes is missed by its own clock, and where none has come yet by that of the pictures', () => {
  const given: string[] = [];
  const intake = new UnitIntake(AAC, ({ kind, ptsUs }) => void given.push(`${kind[0]}${Math.round(ptsUs / 1000)}`));
  const picture = {
    kind: 'video',
    codec: 'h264',
    isKeyframe: true,
    width: 0,
    height: 0,
    data: Buffer.alloc(1),
  } as const;
  intake.write({ ...picture, ptsUs: 0, dtsUs: 0 }, 5_000_000);
  intake.tick(5_000_000 + 499_000);
  expect(given).toEqual(['v0']);
  intake.tick(5_000_000 + 522_000);
  expect(given).toEqual(['v0', 'a0']);

  // A second behind its pictures.
  const data = Buffer.alloc(1);
  intake.write({ kind: 'audio', codec: 'aac', ptsUs: 22_000, durationUs: 21_333, data }, 6_000_000);
  intake.tick(6_000_000 + 500_000);
  expect(given).toEqual(['v0', 'a0', 'a21']);
  intake.tick(6_000_000 + 550_000);
  expect(given).toEqual(['v0', 'a0', 'a21', 'a43']);
});
