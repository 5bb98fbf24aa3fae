import { describe, expect, it } from 'vitest';
import type { SourceFrame } from '../../src/hub/source-frame.ts';
import { Timeline } from '../../src/hub/timeline.ts';

const DATA = Buffer.alloc(1);
const NTP_1970_US = 2_208_988_800_000_000;

function video(rtpTime: number, arrivalUs: number): SourceFrame {
  const picture = { isKeyframe: false, width: 640, height: 360, data: DATA };
  return { kind: 'video', codec: 'h264', rtpTime, clockRateHz: 90_000, arrivalUs, ...picture };
}

function audio(rtpTime: number, arrivalUs: number): SourceFrame {
  const sound = { isKeyframe: true, width: 0, height: 0, data: DATA };
  return { kind: 'audio', codec: 'opus', rtpTime, clockRateHz: 48_000, arrivalUs, ...sound };
}

/** A sender with both tracks: gives the timeline's error between picture and sound of the same moment. */
class Sender {
  readonly timeline = new Timeline();
  readonly videoDelayUs: number;
  lastVideoUs = -1;
  lastAudioUs = -1;
  skewUs = 0;
  wentBack = false;

  constructor(videoDelayUs: number) {
    this.videoDelayUs = videoDelayUs;
  }

  /** Sends picture and sound captured at this time (sender's clock). */
  send(captureUs: number, arrivalUs = captureUs): void {
    const sound = this.timeline.place(audio(7_000 + (captureUs * 48) / 1000, arrivalUs));
    const picture = this.timeline.place(video(900_000 + (captureUs * 9) / 100, arrivalUs + this.videoDelayUs));
    this.wentBack ||= sound <= this.lastAudioUs || picture <= this.lastVideoUs;
    this.lastAudioUs = sound;
    this.lastVideoUs = picture;
    this.skewUs = picture - sound;
  }

  report(captureUs: number, videoErrorUs = 0): void {
    this.timeline.senderReport('audio', NTP_1970_US + captureUs, 7_000 + (captureUs * 48) / 1000);
    this.timeline.senderReport('video', NTP_1970_US + captureUs + videoErrorUs, 900_000 + (captureUs * 9) / 100);
  }
}

describe('Timeline', () => {
  it('begins at zero with the first frame and needs no sender report', () => {
    const timeline = new Timeline();
    expect(timeline.nowUs(5_000_000)).toBeUndefined();
    expect(timeline.place(video(1_000_000, 5_000_000))).toBe(0);
    expect(timeline.place(audio(77, 5_030_000))).toBe(30_000);
    expect(timeline.place(video(1_000_000 + 3000, 5_034_000))).toBeGreaterThan(30_000);
    expect(timeline.nowUs(5_500_000)).toBe(500_000);
  });

  it('takes distances from the media clock, not from arrival', () => {
    const timeline = new Timeline();
    const times: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      const jitterUs = i === 0 ? 0 : ((i * 7919) % 30) * 1000;
      times.push(timeline.place(audio(i * 960, 1_000_000 + i * 20_000 + jitterUs)));
    }
    expect(times).toEqual(times.map((_, i) => i * 20_000));
  });

  it('moves video beside audio by late sender reports, never faster than 5 ms per 20 ms of media', () => {
    const sender = new Sender(120_000);
    for (let us = 0; us < 6_000_000; us += 40_000) sender.send(us);
    expect(sender.skewUs).toBeGreaterThan(100_000);
    sender.report(6_000_000);
    let before = sender.lastVideoUs;
    for (let us = 6_000_000; us < 8_000_000; us += 40_000) {
      sender.send(us);
      expect(sender.lastVideoUs - before).toBeGreaterThanOrEqual(30_000);
      expect(sender.lastVideoUs - before).toBeLessThanOrEqual(50_000);
      before = sender.lastVideoUs;
    }
    expect(Math.abs(sender.skewUs)).toBeLessThan(1_000);
  });

  it('ignores sender reports that put video more than ten seconds away, and takes the next good ones', () => {
    const sender = new Sender(100_000);
    sender.send(0);
    sender.report(0, 3_600_000_000);
    for (let us = 40_000; us < 2_000_000; us += 40_000) sender.send(us);
    expect(sender.skewUs).toBeGreaterThan(80_000);
    expect(sender.skewUs).toBeLessThan(120_000);
    sender.report(2_000_000);
    sender.report(2_000_000);
    for (let us = 2_000_000; us < 4_000_000; us += 40_000) sender.send(us);
    expect(Math.abs(sender.skewUs)).toBeLessThan(1_000);
    expect(sender.wentBack).toBe(false);
  });

  it('keeps picture and sound together when the clock of the sender is stepped between two reports', () => {
    const sender = new Sender(50_000);
    sender.send(0);
    sender.report(0);
    for (let us = 40_000; us < 2_000_000; us += 40_000) sender.send(us);
    sender.timeline.senderReport('video', NTP_1970_US + 2_000_000 + 4_000_000, 900_000 + 180_000);
    for (let us = 2_000_000; us < 4_000_000; us += 40_000) sender.send(us);
    expect(Math.abs(sender.skewUs)).toBeLessThan(1_000);
    expect(sender.wentBack).toBe(false);
  });

  it.each([200, -200])('stays with our clock and in sync through 24 hours of %i ppm skew', (ppm) => {
    const sender = new Sender(80_000);
    const stepUs = 200_000;
    const dayUs = 24 * 3600 * 1_000_000;
    let worstSkewUs = 0;
    let worstLagUs = 0;
    let random = 1;
    for (let us = 0; us < dayUs; us += stepUs) {
      random = (random * 48_271) % 2_147_483_647;
      const arrivalUs = Math.round(us * (1 - ppm / 1_000_000)) + (random % 20_000);
      sender.send(us, arrivalUs);
      if (us % 5_000_000 === 0) sender.report(us);
      if (us < 60_000_000) continue;
      worstSkewUs = Math.max(worstSkewUs, Math.abs(sender.skewUs));
      worstLagUs = Math.max(worstLagUs, Math.abs(sender.lastAudioUs - arrivalUs));
    }
    expect(worstSkewUs).toBeLessThan(10_000);
    expect(worstLagUs).toBeLessThan(40_000);
    expect(sender.wentBack).toBe(false);
  });

  it('puts a track at its arrival when its media clock jumps forward or back', () => {
    for (const jump of [90_000 * 60, -90_000 * 60, 90_000 * 2, -90_000 * 2]) {
      const timeline = new Timeline();
      const start = 90_000 * 3600;
      timeline.place(video(start, 1_000_000));
      expect(timeline.place(video(start + 3600, 1_040_000))).toBe(40_000);
      expect(timeline.place(video(start + 7200 + jump, 1_080_000))).toBe(80_000);
      expect(timeline.place(video(start + 10_800 + jump, 1_120_000))).toBe(120_000);
    }
  });

  it('keeps the times of frames that come in one burst after a stalled network', () => {
    const timeline = new Timeline();
    timeline.place(audio(0, 0));
    for (let i = 1; i <= 150; i += 1) expect(timeline.place(audio(i * 960, 3_000_000 + i))).toBe(i * 20_000);
  });

  it('moves to arrival when the media clock had stopped during a pause', () => {
    const timeline = new Timeline();
    timeline.place(audio(0, 0));
    let lastUs = 0;
    for (let i = 1; i <= 60; i += 1) {
      const us = timeline.place(audio(i * 960, 10_000_000 + i * 20_000));
      expect(us).toBeGreaterThan(lastUs);
      lastUs = us;
    }
    expect(lastUs).toBe(11_200_000);
  });

  it('gives strictly increasing, non-negative times whatever comes', () => {
    const timeline = new Timeline();
    let random = 7;
    let lastUs = -1;
    for (let i = 0; i < 20_000; i += 1) {
      random = (random * 48_271) % 2_147_483_647;
      const us = timeline.place(video(random % 1_000_000_000, i * 1000 + (random % 5_000_000)));
      if (random % 17 === 0) timeline.senderReport('video', random * 1000, random);
      expect(us).toBeGreaterThan(lastUs);
      lastUs = us;
    }
  });
});
