import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GopCache } from '../../src/hub/gop-cache.ts';
import { audioUnit, keyUnit, shape, videoUnit } from './units.ts';

describe('GopCache', () => {
  it('keeps the units since the last keyframe, audio included', () => {
    const cache = new GopCache();
    for (const unit of [keyUnit(0), audioUnit(0), videoUnit(33), keyUnit(66), audioUnit(80), videoUnit(100)]) {
      cache.push(unit);
    }
    expect(shape(cache.units)).toBe('K66 a80 v100');
    expect(cache.bytes).toBe(23);
  });

  it('keeps audio of the keyframe’s time that came before it', () => {
    const cache = new GopCache();
    for (const unit of [audioUnit(20), audioUnit(40), audioUnit(60), keyUnit(40)]) cache.push(unit);
    expect(shape(cache.units)).toBe('K40 a40 a60');
  });

  it('forgets a group of pictures that is too long or too large until the next keyframe', () => {
    const cache = new GopCache({ maxDurationUs: 1_000_000, maxBytes: 1000 });
    cache.push(keyUnit(0));
    cache.push(videoUnit(1001));
    expect(cache.startsWithKeyframe).toBe(false);
    cache.push(videoUnit(1033));
    expect(shape(cache.units)).toBe('');
    expect(cache.headlessPictures).toBe(1);
    cache.push(keyUnit(1066, { bytes: 600 }));
    expect(shape(cache.units)).toBe('K1066');
    expect(cache.headlessPictures).toBe(1);
    cache.push(videoUnit(1100, { bytes: 401 }));
    expect(shape(cache.units)).toBe('');
  });

  it('keeps the last second of audio where there is no keyframe', () => {
    const cache = new GopCache();
    for (let ms = 0; ms <= 3000; ms += 500) cache.push(audioUnit(ms));
    expect(shape(cache.units)).toBe('a2000 a2500 a3000');
    expect(cache.bytes).toBe(9);
  });

  it('never passes its bounds and begins with a keyframe whenever it holds video', () => {
    const unit = fc.oneof(
      fc.record({ kind: fc.constant('K'), bytes: fc.nat(500) }),
      fc.record({ kind: fc.constant('v'), bytes: fc.nat(500) }),
      fc.record({ kind: fc.constant('a'), bytes: fc.nat(500) }),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 100 }), (units) => {
        const cache = new GopCache({ maxBytes: 2000, maxDurationUs: 2_000_000 });
        units.forEach(({ kind, bytes }, i) => {
          if (kind === 'a') cache.push(audioUnit(i * 100, bytes));
          else cache.push(videoUnit(i * 100, { isKeyframe: kind === 'K', bytes }));
          expect(cache.bytes).toBe(cache.units.reduce((sum, held) => sum + held.data.length, 0));
          expect(cache.bytes).toBeLessThanOrEqual(2000);
          const holdsVideo = cache.units.some((held) => held.kind === 'video');
          expect(holdsVideo).toBe(cache.startsWithKeyframe);
          expect(shape(cache.units).startsWith('K')).toBe(holdsVideo);
        });
      }),
    );
    expect.hasAssertions();
  });
});
