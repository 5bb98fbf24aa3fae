/**
 * Rules for replaying the cached GOP to a viewer that joins. Its frames are older than now; sent with their own timestamps in
 * one burst they would make the browser's jitter buffer believe in a delay as long as the GOP, and it would keep that delay.
 * So the distances between replayed frames are divided: 30 frames a second become steps of about 1 ms, and the last one
 * lands at the present time.
 */
export const SHORT_STEP_TICKS_DIVISOR = 30;

/** So often at most does a viewer that asks for keyframes get a replay instead. */
export const MIN_REPLAY_SPACING_US = 2_000_000;

/** Of an encoder that can be asked: a longer GOP costs more time to send and decode than waiting for a keyframe does. */
export const MAX_REPLAY_PACKETS = 1000;
export const MAX_REPLAY_AGE_US = 4_000_000;
