import { expect, it } from 'vitest';
import type { AudioTrack, MediaUnit } from '../../src/domain/media.ts';
import { UnitIntake } from '../../src/hub/intake.ts';

const AAC: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
const FRAME_US = (1024 * 1_000_000) / 48_000;
const PICTURE_US = 40_000;
const TICK_US = 20_000;
const HOUR_US = 3_600_000_000;

const DATA = Buffer.alloc(1);
const picture = (ptsUs: number): MediaUnit => ({
  kind: 'video',
  codec: 'h264',
  ptsUs,
  dtsUs: ptsUs,
  isKeyframe: false,
  width: 0,
  height: 0,
  data: DATA,
});
const sound = (n: number): MediaUnit => {
  const ptsUs = Math.round(n * FRAME_US);
  return { kind: 'audio', codec: 'aac', ptsUs, durationUs: Math.round(FRAME_US), data: DATA };
};

/** What comes of three hours of pictures, and of sound whose timestamps are `rate` times as quick as its samples. */
function soundAfterHours(rate: number): UnitIntake {
  const intake = new UnitIntake(AAC, () => {});
  let sounds = 0;
  for (let nowUs = 0; nowUs < 3 * HOUR_US; nowUs += TICK_US) {
    const units: MediaUnit[] = nowUs % PICTURE_US === 0 ? [picture(nowUs)] : [];
    for (; sounds * FRAME_US <= nowUs; sounds++)
      units.push({ ...sound(0), ptsUs: Math.round(sounds * FRAME_US * rate) });
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
  const tick = (us: number): string => {
    intake.write(picture(us), 5_000_000 + us);
    intake.tick(5_000_000 + us);
    return given.splice(0).join(' ');
  };
  expect(tick(0)).toBe('v0');
  expect(tick(499_000)).toBe('v499');
  expect(tick(522_000)).toBe('v522 a0');

  // It comes a second behind its pictures, and that once.
  intake.write(sound(1), 6_022_000);
  expect(tick(1_522_000)).toBe('a21 v1522');
  expect(tick(1_570_000)).toBe('v1570 a43');

  // It is gone, and after ten seconds does not come late any more.
  for (let ms = 1_600; ms <= 12_000; ms += 40) tick(ms * 1000);
  expect(tick(12_040_000)).toBe('v12040 a11499');
});

it.each([
  ['by the network, and then come at once', 0],
  ['by their encoder, whose clock stood still', 1_900_000],
])(
  'sound that is held up with its pictures for less than two seconds %s, is no sound that is missing',
  (_, laterUs) => {
    const intake = new UnitIntake(AAC, () => {});
    const media = Array.from({ length: 1000 }, (_unit, n) => sound(n))
      .concat(Array.from({ length: 500 }, (_unit, n) => picture(n * PICTURE_US)))
      .sort((left, right) => left.ptsUs - right.ptsUs);
    const stopUs = 5_000_000;
    const goOnUs = 6_900_000;
    for (let nowUs = 0; media.length > 0; nowUs += TICK_US) {
      const dueUs = nowUs < goOnUs ? Math.min(nowUs, stopUs) : nowUs - laterUs;
      while (media[0] && media[0].ptsUs <= dueUs) {
        intake.write(media.shift()!, nowUs);
        // It may come in more than one read.
        intake.tick(nowUs);
      }
      intake.tick(nowUs);
    }
    expect(intake.audioCounters).toMatchObject({ frames: 1000, silenceFrames: 0, droppedFrames: 0 });
  },
);

it('silence keeps a source going that has sent nothing for two seconds', () => {
  const intake = new UnitIntake(AAC, () => {});
  for (let n = 0; n * FRAME_US < 3_000_000; n++) intake.write(sound(n), Math.round(n * FRAME_US));
  intake.tick(4_900_000);
  expect(intake.audioCounters?.silenceFrames).toBe(0);
  for (const nowUs of [5_000_000, 14_000_000]) {
    intake.tick(nowUs);
    expect(intake.audioCounters?.silenceFrames).toBe(Math.floor((nowUs - 500_000) / FRAME_US) - 141);
  }
});
