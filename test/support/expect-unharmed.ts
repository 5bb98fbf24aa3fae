import { expect } from 'vitest';
import type { BystanderReport } from './fault-rig.ts';

const MAX_VIDEO_GAP_MS = 250;
/** Two frames of 1,024 samples at 48 kHz, rounded. */
const MAX_AUDIO_GAP_MS = 43;
const MAX_BEHIND_MS = 1000;
/**
 * A source that is starved by the machine makes holes of its own: its sender reports say of a late picture that it was taken late.
 * They are then of what it was late, and a frame.
 */
const STARVED_MS = 200;
const FRAME_MS = 40;

/**
 * The nine lost nothing: no picture and no sound was given up for any, none left ACTIVE, was restarted or ran late, and their
 * timelines at the destination have no hole that the source has not made.
 */
export function expectUnharmed(report: BystanderReport): void {
  const { sourceJitterMs } = report;
  const sourceGapMs = sourceJitterMs > STARVED_MS ? sourceJitterMs + FRAME_MS : 0;
  expect(report).toEqual({
    ...report,
    restarts: 0,
    leftActive: [],
    droppedUnits: { video: 0, audio: 0 },
    maxVideoGapMs: atMost(Math.max(MAX_VIDEO_GAP_MS, sourceGapMs)),
    maxAudioGapMs: atMost(Math.max(MAX_AUDIO_GAP_MS, sourceGapMs)),
    behindMs: atMost(MAX_BEHIND_MS),
  });
}

function atMost(limit: number): unknown {
  return expect.toSatisfy((value: number) => value <= limit, `at most ${limit}`) as unknown;
}
