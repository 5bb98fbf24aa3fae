import { expect } from 'vitest';
import type { BystanderReport } from './fault-rig.ts';

const MAX_GAP_MS = 250;
const MAX_BEHIND_MS = 1000;

/** The nine lost nothing: no hole in their timelines at the destination, none that ran late, none that was restarted. */
export function expectUnharmed(report: BystanderReport): void {
  expect(report.maxVideoGapMs).toBeLessThanOrEqual(MAX_GAP_MS);
  expect(report.maxAudioGapMs).toBeLessThanOrEqual(MAX_GAP_MS);
  expect(report.behindMs).toBeLessThanOrEqual(MAX_BEHIND_MS);
  expect(report.restarts).toBe(0);
}
