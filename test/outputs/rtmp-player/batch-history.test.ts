import { describe, expect, it } from 'vitest';
import { Batch } from '../../../src/outputs/rtmp-player/batch.ts';
import { BatchHistory } from '../../../src/outputs/rtmp-player/batch-history.ts';

function historyOf(
  batches: readonly { readonly isKeyframe?: boolean; readonly ms: number; readonly bytes?: number }[],
): BatchHistory {
  const history = new BatchHistory();
  for (const [number, { isKeyframe = false, ms, bytes = 10 }] of batches.entries()) {
    const packet = { kind: 'video', isKeyframe, timestampMs: ms, bytes: Buffer.alloc(bytes) } as const;
    history.push(new Batch(number, [packet], undefined));
  }
  return history;
}

const numbers = (history: BatchHistory): number[] => history.batches.map(({ number }) => number);

describe('what viewers that join are given', () => {
  it('begins with the newest keyframe, and is nothing before the first', () => {
    const batches = [{ ms: 0 }, { isKeyframe: true, ms: 40 }, { ms: 80 }, { isKeyframe: true, ms: 120 }, { ms: 160 }];
    expect(numbers(historyOf(batches.slice(0, 1)))).toEqual([]);
    expect(numbers(historyOf(batches.slice(0, 3)))).toEqual([1, 2]);
    const history = historyOf(batches);
    expect(numbers(history)).toEqual([3, 4]);
    expect(history.byteLength).toBe(20);
  });

  it.each([
    ['ten seconds', [{ isKeyframe: true, ms: 0 }, { ms: 10_000 }], { ms: 10_001 }],
    [
      '16 MiB',
      [
        { isKeyframe: true, ms: 0, bytes: 1 << 23 },
        { ms: 40, bytes: 1 << 23 },
      ],
      { ms: 80, bytes: 1 },
    ],
  ])('is forgotten whole beyond %s, up to the next keyframe', (_, kept, oneMore) => {
    expect(numbers(historyOf(kept))).toEqual([0, 1]);
    const history = historyOf([...kept, oneMore, { ms: oneMore.ms + 40 }]);
    expect(numbers(history)).toEqual([]);
    expect(history.byteLength).toBe(0);
  });

  it('is fresh for three seconds', () => {
    expect(historyOf([]).isFresh).toBe(false);
    expect(historyOf([{ isKeyframe: true, ms: 0 }, { ms: 3_000 }]).isFresh).toBe(true);
    expect(historyOf([{ isKeyframe: true, ms: 0 }, { ms: 3_001 }]).isFresh).toBe(false);
  });
});
