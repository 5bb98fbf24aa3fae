import { describe, expect, it } from 'vitest';
import { rtpMarker, rtpSequence, rtpTimestamp } from '../../../src/protocol/rtp/packet.ts';
import { buildFir, buildNack, buildPli, buildRemb } from '../../../src/protocol/rtp/rtcp-build.ts';
import { picture, receiver, rigWithUnitStream } from './unit-rig.ts';
import type { Rig, TestPlayer } from './worker-rig.ts';

const FRAME_MS = 40;
const FRAME_TICKS = 3600;
const FRAME_BYTES = 12_000;
/** Of frames of that size, which are 2.4 Mbit/s. */
const STREAM_BPS = (FRAME_BYTES * 8 * 1000) / FRAME_MS;

/** What a frame is filled with; zeros would be taken for the end of it. */
const mark = (frame: number) => 1 + (frame % 255);
const markedBy = (fill: number) => fill - 1;

/** An encoder that writes live; every frame says which one it is. */
class Encoder {
  frames = 0;
  readonly #rig: Rig;
  readonly #frameBytes: number;

  constructor(rig: Rig, frameBytes = FRAME_BYTES) {
    this.#rig = rig;
    this.#frameBytes = frameBytes;
  }

  async write(count: number, isKeyframe = false): Promise<void> {
    for (let i = 0; i < count; i++) {
      const ptsUs = this.frames * FRAME_MS * 1000;
      const unit = picture(ptsUs, isKeyframe && i === 0, this.#frameBytes, mark(this.frames++));
      this.#rig.worker.writeUnit('U', unit);
      await this.#rig.settle();
      this.#rig.clock.advance(FRAME_MS);
    }
  }
}

async function encoding(frames: number, frameBytes?: number): Promise<{ rig: Rig; encoder: Encoder }> {
  const rig = rigWithUnitStream();
  const encoder = new Encoder(rig, frameBytes);
  await encoder.write(1, true);
  await encoder.write(frames - 1);
  return { rig, encoder };
}

/** Tells what a viewer has got since the last call: sequence numbers and timestamps have gone on without a hole. */
function watch(player: TestPlayer) {
  const receive = receiver(player);
  let last: Buffer | undefined;
  return () => {
    const { pictures, video } = receive();
    const before = last ? [last, ...video] : video;
    const steps = before.slice(1).map((packet, i) => ({
      sequences: (rtpSequence(packet) - rtpSequence(before[i]!)) & 0xffff,
      ticks: (rtpTimestamp(packet) - rtpTimestamp(before[i]!)) | 0,
    }));
    expect(steps.filter(({ sequences, ticks }) => sequences !== 1 || ticks < 0)).toEqual([]);
    last = video.at(-1) ?? last;
    return {
      frames: pictures.map(({ data }) => markedBy(data.at(-1)!)),
      keyframes: pictures.filter(({ isKeyframe }) => isKeyframe).length,
      times: pictures.map(({ rtpTimestamp: timestamp }) => timestamp),
      bytes: video.reduce((sum, { length }) => sum + length, 0),
      video,
    };
  };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('who joins a stream whose encoder makes no keyframes for players', () => {
  it('sees the whole GOP of 8 s at a pace that it can take, and then what is live', async () => {
    const { rig, encoder } = await encoding(200);
    const see = watch(await rig.play('V', 'U'));
    const first = see();
    expect(first.frames[0]).toBe(0);
    expect(first.bytes).toBeLessThan(80_000);
    await encoder.write(1);
    const second = see();
    // Twenty Mbit/s, and what a timer of 10 ms makes of that.
    expect(second.bytes).toBeLessThan(1.3 * (20_000_000 / 8) * (FRAME_MS / 1000));
    await encoder.write(50);
    const rest = see();
    const frames = [...first.frames, ...second.frames, ...rest.frames];
    expect(frames).toEqual(range(0, 251));

    const times = [...first.times, ...second.times, ...rest.times];
    const steps = times.slice(1).map((time, i) => (time - times[i]!) | 0);
    expect(Math.min(...steps)).toBeGreaterThan(0);
    expect(steps.at(-1)).toBe(FRAME_TICKS);
    const live = steps.findIndex((step) => step === FRAME_TICKS);
    expect(steps.slice(live).every((step) => step === FRAME_TICKS)).toBe(true);
    // Timestamps began with the present.
    expect(Math.round(((times.at(-1)! - times[0]!) | 0) / FRAME_TICKS)).toBe(51);
  });

  it('gets it no quicker than twice what it says it can take, but much quicker than it was made', async () => {
    const { rig, encoder } = await encoding(100);
    const player = await rig.play('V', 'U');
    await encoder.write(100);
    player.peer.sendRtcp(buildRemb({ senderSsrc: 1, bitrateBps: 4 * STREAM_BPS, ssrcs: [player.video.ssrc] }));
    player.peer.takeRtp();
    player.peer.sendRtcp(buildPli(1, player.video.ssrc));
    player.peer.takeRtp();
    await encoder.write(10);
    const sentBps = (watch(player)().bytes * 8 * 1000) / (10 * FRAME_MS);
    expect(sentBps / STREAM_BPS).toBeGreaterThan(4);
    expect(sentBps / STREAM_BPS).toBeLessThan(9);
  });

  it('goes over to a keyframe that comes meanwhile', async () => {
    const { rig, encoder } = await encoding(200);
    const player = await rig.play('V', 'U');
    await encoder.write(2);
    await encoder.write(1, true);
    await encoder.write(30);
    const { frames, times } = watch(player)();
    const skippedAt = frames.findIndex((frame, i) => frame !== i);
    expect(skippedAt).toBeGreaterThan(1);
    expect(frames.slice(skippedAt)).toEqual(range(202, 233));
    expect(times.slice(1).every((time, i) => ((time - times[i]!) | 0) > 0)).toBe(true);
  });

  it('sees nothing before the next keyframe where the GOP is longer than 10 s, or than what is kept', async () => {
    for (const [frames, bytes] of [
      [252, 500],
      [100, 120_000],
    ] as const) {
      const { rig, encoder } = await encoding(frames, bytes);
      const see = watch(await rig.play('V', 'U'));
      await encoder.write(3);
      expect(see().video).toEqual([]);
      await encoder.write(1, true);
      await encoder.write(2);
      expect(see().frames).toEqual(range(frames + 3, frames + 6).map((frame) => markedBy(mark(frame))));
    }
  });

  it('is given GOPs that come at once, before it or after it, as one that has been there', async () => {
    const rig = rigWithUnitStream();
    const early = await rig.play('V1', 'U');
    for (let i = 0; i < 200; i++)
      rig.worker.writeUnit('U', picture(i * FRAME_MS * 1000, i === 0, FRAME_BYTES, mark(i)));
    const late = await rig.play('V2', 'U');
    await rig.settle();
    rig.clock.advance(2000);
    for (const player of [early, late]) {
      const { frames, times } = watch(player)();
      expect(frames).toEqual(range(0, 200));
      expect((times.at(-1)! - times[0]!) | 0).toBeLessThan(90_000 * 1.5);
    }
  });

  it('leaves no timer when it goes in the middle', async () => {
    const { rig } = await encoding(200);
    const timers = rig.clock.pendingTimers;
    await rig.play('V', 'U');
    expect(rig.clock.pendingTimers).toBe(timers + 1);
    rig.worker.close('V');
    expect(rig.clock.pendingTimers).toBe(timers);
  });
});

describe('who asks for a keyframe that no encoder makes', () => {
  it.each([
    ['PLI', (player: TestPlayer) => buildPli(1, player.video.ssrc)],
    ['FIR', (player: TestPlayer) => buildFir(1, player.video.ssrc, 1)],
  ])('by %s sees the GOP again, as the continuation of what it has, and others do not', async (_how, request) => {
    const { rig, encoder } = await encoding(5);
    const [player, other] = [await rig.play('V', 'U'), await rig.play('V2', 'U')];
    const see = watch(player);
    await encoder.write(95);
    const before = see();
    expect(before.frames).toEqual(range(0, 100));
    other.peer.takeRtp();
    player.peer.sendRtcp(request(player));
    await encoder.write(50);
    const after = see();
    expect(after.frames).toEqual(range(0, 150));
    expect((after.times[0]! - before.times.at(-1)!) | 0).toBeGreaterThan(0);
    expect((after.times.at(-1)! - before.times.at(-1)!) | 0).toBe(50 * FRAME_TICKS);
    expect(watch(other)().video.filter(rtpMarker)).toHaveLength(50);
    expect(rig.eventsOf('keyframeNeeded')).toEqual([]);
  });

  it('gets it once in 2 s', async () => {
    const { rig, encoder } = await encoding(60);
    const player = await rig.play('V', 'U');
    const see = watch(player);
    const keyframes = async () => {
      see();
      player.peer.sendRtcp(buildPli(1, player.video.ssrc));
      await encoder.write(1);
      return see().keyframes;
    };
    await encoder.write(25);
    expect(await keyframes()).toBe(0);
    await encoder.write(25);
    expect([await keyframes(), await keyframes(), await keyframes()]).toEqual([1, 0, 0]);
    await encoder.write(50);
    expect(await keyframes()).toBe(1);
  });

  it('gets repairs of what is lost on the way, under the timestamps of the replay', async () => {
    const { rig, encoder } = await encoding(200);
    const player = await rig.play('V', 'U');
    await encoder.write(45);
    const { video } = watch(player)();
    const lost = [video[40]!, video[1200]!];
    player.peer.sendRtcp(buildNack(1, player.video.ssrc, lost.map(rtpSequence)));
    const repairs = player.peer.takeRtp();
    expect(repairs.map(rtpTimestamp)).toEqual(lost.map(rtpTimestamp));
    expect(repairs.map((packet) => packet.subarray(14))).toEqual(lost.map((packet) => packet.subarray(12)));
  });
});
