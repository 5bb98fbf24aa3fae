import type { SentTrack } from './sent-track.ts';

/**
 * A source that is starved by the machine makes holes of its own: its sender reports say of a late picture that it was taken late.
 * They are then of what it was late, for sound that stays late moves all at once, and of a frame, which is a quarter longer while
 * pictures follow their reports.
 */
const STARVED_MS = 200;
const FRAME_MS = 1.25 * 40;
/** What the publisher did so long ago may have an effect only now: it sends a report every second or so. */
const EFFECT_MS = 5000;

/**
 * How unevenly a publisher has sent since then (of `performance.now()`) and a little before. Pictures are put beside the sound, so
 * that of both adds up.
 */
export function sourceJitterMs(
  publisher: { readonly video: SentTrack; readonly audio: SentTrack },
  sinceMs: number,
): number {
  const fromMs = sinceMs - EFFECT_MS;
  return publisher.video.jitterMs(fromMs) + publisher.audio.jitterMs(fromMs);
}

/** The longest hole that a source may have made itself that was that uneven; 0 while it was not starved. */
export function sourceGapMs(jitterMs: number): number {
  return jitterMs > STARVED_MS ? jitterMs + FRAME_MS : 0;
}
