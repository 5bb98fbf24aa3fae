import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AudioUnit } from '../../src/domain/media.ts';
import { AudioGrid } from '../../src/hub/audio-grid.ts';

const SILENCE = Buffer.from('f8fffe', 'hex');
const OPUS = { codec: 'opus', sampleRateHz: 48_000, frameSamples: 960, silence: SILENCE, lateUs: 120_000 } as const;

function opusGrid(): { grid: AudioGrid; units: AudioUnit[] } {
  const units: AudioUnit[] = [];
  return { grid: new AudioGrid({ ...OPUS, onUnit: (unit) => units.push(unit) }), units };
}

function frame(name: number): Buffer {
  return Buffer.from([name & 255, name >> 8, 0, 0]);
}

/** Names of frames, `_` for silence. */
function names(units: readonly AudioUnit[]): (number | '_')[] {
  return units.map((unit) => (unit.data === SILENCE ? '_' : unit.data.readUInt16LE(0)));
}

/** The units that do not begin where the one before ends. */
function breaks(units: readonly AudioUnit[]): AudioUnit[] {
  return units.filter((unit, i) => i > 0 && unit.ptsUs !== units[i - 1]!.ptsUs + units[i - 1]!.durationUs);
}

describe('AudioGrid', () => {
  it('puts frames with jitter on the exact grid', () => {
    const { grid, units } = opusGrid();
    for (let i = 0; i < 500; i += 1) grid.write(i * 20_000 + ((i * 7919) % 9) * 1000 - 4000, 20_000, frame(i));
    expect(units.map((unit) => unit.ptsUs)).toEqual(units.map((_, i) => i * 20_000));
    expect(names(units)).toEqual(units.map((_, i) => i));
    expect(grid.counters).toEqual({ frames: 500, silenceFrames: 0, droppedFrames: 0, driftCorrections: 0 });
  });

  it('fills each hole with as many silence frames as are missing', () => {
    const { grid, units } = opusGrid();
    for (const i of [0, 1, 3, 4, 8, 9]) grid.write(i * 20_000 + 6000, 20_000, frame(i));
    expect(names(units)).toEqual([0, 1, '_', 3, 4, '_', '_', '_', 8, 9]);
    expect(breaks(units)).toEqual([]);
  });

  it('begins with silence at its origin when the microphone comes late', () => {
    const { grid, units } = opusGrid();
    grid.write(103_000, 20_000, frame(9));
    expect(names(units)).toEqual(['_', '_', '_', '_', '_', 9]);
    expect(units[0]!.ptsUs).toBe(0);
  });

  it('gives silence for slots older than the limit, and only for those', () => {
    const { grid, units } = opusGrid();
    grid.tick(139_999);
    expect(units).toHaveLength(0);
    grid.tick(140_000);
    expect(units).toHaveLength(1);
    for (let now = 140_000; now <= 20_000_000; now += 20_000) grid.tick(now);
    expect(units).toHaveLength((20_000_000 - 120_000) / 20_000);
    expect(breaks(units)).toEqual([]);
    grid.write(20_004_000, 20_000, frame(1));
    expect(names(units).at(-1)).toBe(1);
    expect(units.at(-1)!.ptsUs).toBe(20_000_000);
  });

  it('is continuous through discontinuous transmission of one packet in 400 ms', () => {
    const { grid, units } = opusGrid();
    for (let now = 0; now <= 4_000_000; now += 20_000) {
      if (now % 400_000 === 0) grid.write(now, 20_000, frame(now / 20_000));
      grid.tick(now);
    }
    expect(breaks(units)).toEqual([]);
    const heard = units.filter((unit) => unit.data !== SILENCE);
    expect(heard.map((unit) => unit.ptsUs)).toEqual(heard.map((_, i) => i * 400_000));
    expect(heard).toHaveLength(11);
  });

  it('drops and counts duplicates and frames whose slot has become silence', () => {
    const { grid, units } = opusGrid();
    grid.write(0, 20_000, frame(0));
    grid.write(1, 20_000, frame(0));
    grid.tick(160_000);
    expect(names(units)).toEqual([0, '_']);
    grid.write(20_000, 20_000, frame(1));
    grid.write(40_000, 20_000, frame(2));
    expect(names(units)).toEqual([0, '_', 2]);
    expect(grid.counters.droppedFrames).toBe(2);
  });

  it.each([10_000, 40_000, 60_000])('follows frames of %i µs', (durationUs) => {
    const { grid, units } = opusGrid();
    for (let i = 0; i < 50; i += 1) grid.write(i * durationUs, durationUs, frame(i));
    expect(names(units)).toEqual(units.map((_, i) => i));
    expect(units.map((unit) => unit.ptsUs)).toEqual(units.map((_, i) => i * durationUs));
    expect(units.every((unit) => unit.durationUs === durationUs)).toBe(true);
  });

  it('keeps AAC on 1024 samples without rounding errors over a day', () => {
    const units: AudioUnit[] = [];
    const grid = new AudioGrid({
      codec: 'aac',
      sampleRateHz: 44_100,
      frameSamples: 1024,
      silence: SILENCE,
      lateUs: 120_000,
      onUnit: (unit) => units.push(unit),
    });
    const frameUs = (1024 * 1_000_000) / 44_100;
    // FLV gives milliseconds.
    for (let i = 0; i < 100_000; i += 1) grid.write(Math.round((i * frameUs) / 1000) * 1000, frameUs, frame(i));
    expect(units).toHaveLength(100_000);
    expect(units.at(-1)!.ptsUs).toBe(Math.round(99_999 * frameUs));
    expect(breaks(units)).toEqual([]);
  });

  it.each([1, -1])('corrects drift by one frame at a time and never lets it pass a frame and a half (%i)', (sign) => {
    const { grid, units } = opusGrid();
    const frameUs = 20_000 * (1 + sign * 0.0002);
    const count = 50_000;
    let mostAtOnce = 0;
    let worstUs = 0;
    for (let i = 0; i < count; i += 1) {
      const emitted = units.length;
      const sourceUs = i * frameUs;
      grid.write(sourceUs, 20_000, frame(i));
      mostAtOnce = Math.max(mostAtOnce, units.length - emitted);
      worstUs = Math.max(worstUs, Math.abs(units.at(-1)!.ptsUs - sourceUs));
    }
    expect(mostAtOnce).toBeLessThanOrEqual(2);
    expect(worstUs).toBeLessThan(40_000);
    const driftedFrames = Math.round((count * 4) / 20_000);
    expect(grid.counters.driftCorrections).toBeGreaterThanOrEqual(driftedFrames - 2);
    expect(grid.counters.driftCorrections).toBeLessThanOrEqual(driftedFrames + 1);
    expect(breaks(units)).toEqual([]);
  });

  it('does not fill an absurd gap', () => {
    const { grid, units } = opusGrid();
    grid.write(0, 20_000, frame(0));
    grid.tick(3_600_000_000);
    expect(units.length).toBeLessThanOrEqual(501);
    grid.write(3_600_000_000, 20_000, frame(1));
    expect(units.at(-1)!.ptsUs).toBe(3_600_000_000);
  });

  it('never overlaps or goes back, whatever times come', () => {
    const event = fc.record({ stepUs: fc.integer({ min: -100_000, max: 300_000 }), tick: fc.boolean() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const { grid, units } = opusGrid();
        let us = 0;
        for (const { stepUs, tick } of events) {
          us = Math.max(0, us + stepUs);
          if (tick) grid.tick(us);
          else grid.write(us, 20_000, frame(1));
        }
        expect(breaks(units)).toEqual([]);
      }),
    );
  });
});
