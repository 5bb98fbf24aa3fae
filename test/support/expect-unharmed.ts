import { expect } from 'vitest';
import type { BystanderReport } from './fault-rig.ts';
import { sourceGapMs } from './source-gap.ts';

const MAX_VIDEO_GAP_MS = 250;
/** Two frames of 1,024 samples at 48 kHz, rounded. */
const MAX_AUDIO_GAP_MS = 43;
const MAX_BEHIND_MS = 1000;

/**
 * The nine lost nothing: no picture and no sound was given up for any, none left ACTIVE, was restarted or ran late, and their
 * timelines at the destination have no hole that the source has not made.
 */
export function expectUnharmed(report: BystanderReport): void {
  const gapMs = sourceGapMs(report.sourceJitterMs);
  expect(report).toEqual({
    ...report,
    restarts: 0,
    leftActive: [],
    droppedUnits: { video: 0, audio: 0 },
    maxVideoGapMs: atMost(Math.max(MAX_VIDEO_GAP_MS, gapMs)),
    maxAudioGapMs: atMost(Math.max(MAX_AUDIO_GAP_MS, gapMs)),
    behindMs: atMost(MAX_BEHIND_MS),
  });
}

function atMost(limit: number): unknown {
  return expect.toSatisfy((value: number) => value <= limit, `at most ${limit}`) as unknown;
}
