import { describe, expect, it } from 'vitest';
import { playLive } from './live-network.ts';

const REPORTS = [
  ['every second', 1000],
  ['every five seconds', 5000],
  ['never', 0],
] as const;

/** A delay of 30 ms that climbs by `byMs` within `overMs` from second 10 on, and stays. */
function climbs(byMs: number, overMs: number): (captureMs: number) => number {
  return (captureMs) => 30 + byMs * Math.min(1, Math.max(0, (captureMs - 10_000) / overMs));
}

/** 0 to 60 ms, the same in each run. */
function jitterMs(captureMs: number): number {
  return (captureMs * 7919) % 61;
}

describe.each(REPORTS)('a live stream whose sender reports come %s', (_, reportPeriodMs) => {
  it.each([
    [300, 1000],
    [300, 20],
    [600, 1000],
    [900, 3000],
  ])(
    'loses 200 ms of sound more than the network holds back when the delay grows by %i ms in %i ms',
    (byMs, overMs) => {
      const live = playLive({ seconds: 25, audioDelayMs: climbs(byMs, overMs), reportPeriodMs });
      expect(live.silenceMs(1_000, 9_500)).toBe(0);
      expect(live.silenceMs(9_500, 25_000)).toBeLessThanOrEqual(byMs + 200);
      expect(live.worstSkewMs(6_000, 24_000)).toBeLessThan(150);
    },
  );

  it('loses a second of sound at most, not one per spike, when the delay comes and goes', () => {
    const spikes = (captureMs: number): number =>
      30 + jitterMs(captureMs) + (captureMs > 9000 && captureMs % 6000 < 2000 ? 300 : 0);
    const live = playLive({ seconds: 60, audioDelayMs: spikes, reportPeriodMs });
    expect(live.silenceMs(1_000, 20_000)).toBeLessThanOrEqual(500);
    expect(live.silenceMs(20_000, 60_000)).toBeLessThanOrEqual(500);
    expect(live.worstSkewMs(6_000, 59_000)).toBeLessThan(150);
    expect(live.sounds.length).toBeGreaterThan(2900);
  });

  it('returns to the old delay when the network does, without a hole in the sound', () => {
    const hump = (captureMs: number): number => 30 + (captureMs > 10_000 && captureMs < 20_000 ? 300 : 0);
    const live = playLive({ seconds: 65, audioDelayMs: hump, reportPeriodMs });
    expect(live.silenceMs(21_000, 60_000)).toBe(0);
    expect(live.worstSkewMs(6_000, 59_000)).toBeLessThan(150);
    expect(Math.abs(live.sounds.at(-1)!.offsetMs - live.sounds[200]!.offsetMs)).toBeLessThan(45);
  });

  it('drops a burst after a stall of two seconds and goes on in time', () => {
    const stall = (captureMs: number): number => (captureMs > 10_000 && captureMs < 12_000 ? 12_030 - captureMs : 30);
    const live = playLive({ seconds: 20, audioDelayMs: stall, reportPeriodMs });
    expect(live.silenceMs(9_000, 20_000)).toBeLessThanOrEqual(2_000);
    expect(live.silenceMs(13_000, 20_000)).toBe(0);
    expect(live.worstSkewMs(6_000, 19_000)).toBeLessThan(150);
  });

  it('keeps sound and picture together through discontinuous transmission', () => {
    const live = playLive({
      seconds: 30,
      audioDelayMs: (captureMs) => 30 + jitterMs(captureMs),
      isAudioSent: (captureMs) => captureMs % 5000 < 3000 || captureMs % 400 === 0,
      reportPeriodMs,
    });
    expect(live.worstSkewMs(6_000, 29_000)).toBeLessThan(100);
  });

  it('keeps sound and picture together when the camera stalls, shows one picture a second and comes back', () => {
    const live = playLive({
      seconds: 40,
      audioDelayMs: (captureMs) => 30 + jitterMs(captureMs),
      isVideoSent: (captureMs) =>
        captureMs < 10_000 || captureMs > 30_000 || (captureMs > 20_000 && captureMs % 1000 < 34),
      reportPeriodMs,
    });
    expect(live.silenceMs(1_000, 39_000)).toBe(0);
    expect(live.worstSkewMs(6_000, 39_000)).toBeLessThan(100);
  });

  it.each(['sound', 'picture'] as const)('puts both together when %s begins four seconds late', (late) => {
    const afterFour = (captureMs: number): boolean => captureMs >= 4000;
    const live = playLive({
      seconds: 20,
      audioDelayMs: (captureMs) => 30 + jitterMs(captureMs),
      ...(late === 'sound' ? { isAudioSent: afterFour } : { isVideoSent: afterFour }),
      reportPeriodMs,
    });
    expect(live.silenceMs(4_500, 20_000)).toBe(0);
    expect(live.worstSkewMs(4_000, 19_000)).toBeLessThan(150);
  });

  it.each(['stops', 'runs on'])('goes on after the sender has slept for 30 s while its media clock %s', (clock) => {
    const isAwake = (captureMs: number): boolean => captureMs < 10_000 || captureMs >= 40_000;
    const live = playLive({
      seconds: 60,
      audioDelayMs: (captureMs) => 30 + jitterMs(captureMs),
      isAudioSent: isAwake,
      isVideoSent: isAwake,
      ...(clock === 'stops'
        ? { mediaClockMs: (ms: number) => (ms < 10_000 ? ms : Math.max(10_000, ms - 30_000)) }
        : {}),
      reportPeriodMs,
    });
    expect(live.silenceMs(40_100, 60_000)).toBeLessThanOrEqual(600);
    expect(live.worstSkewMs(46_000, 59_000)).toBeLessThan(150);
  });
});
