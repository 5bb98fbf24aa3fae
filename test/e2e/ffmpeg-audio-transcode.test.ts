import { describe, expect, it, vi } from 'vitest';
import type { AudioUnit } from '../../src/domain/media.ts';
import { startAudioTranscode } from '../../src/transcode/audio-transcode.ts';
import { decodeAac, feedLive, g711Units, host, onset, opusUnits, pidWithNonce } from './ffmpeg-support.ts';

const BASE_US = 7_654_321;

async function transcode(units: readonly AudioUnit[], expectedSeconds: number): Promise<AudioUnit[]> {
  const out: AudioUnit[] = [];
  const audio = startAudioTranscode({
    host,
    codec: units[0]!.codec as 'opus' | 'pcma' | 'pcmu',
    bitrateBps: 96_000,
    onUnit: (unit) => out.push(unit),
    onEnd: (reason) => expect.fail(reason),
  });
  for (const unit of units) audio.feed(unit);
  await vi.waitFor(() => expect(out.length).toBeGreaterThan((expectedSeconds * 48_000) / 1024), { timeout: 10_000 });
  await audio.close('test over');
  expect(audio.counters).toMatchObject({ silentUnits: 0, droppedUnits: 0, restarts: 0 });
  return out;
}

function expectGrid(units: readonly AudioUnit[]): void {
  for (const [index, unit] of units.entries()) {
    expect(unit.ptsUs).toBe(BASE_US + Math.round((index * 1024e6) / 48_000));
  }
}

/** Samples are counted from the first unit, so what is heard at sample n belongs to its time plus n / 48000 s. */
async function beepErrorMs(units: readonly AudioUnit[], second: number): Promise<number> {
  const samples = await decodeAac(units.map((unit) => unit.data));
  const found = onset(samples, (second - 0.3) * 48_000);
  return (found - second * 48_000) / 48;
}

describe('audio transcoding with the real ffmpeg', () => {
  it('turns Opus into AAC on an exact grid, and a beep stays within 25 ms', async () => {
    const out = await transcode(await opusUnits(4, BASE_US), 3.5);
    expectGrid(out);
    for (const second of [1, 2, 3]) expect(Math.abs(await beepErrorMs(out, second))).toBeLessThan(25);
  });

  it.each(['pcma', 'pcmu'] as const)('turns %s into AAC, and a beep stays within 25 ms', async (codec) => {
    const out = await transcode(await g711Units(codec, 4, BASE_US), 3.5);
    expectGrid(out);
    for (const second of [1, 2, 3]) expect(Math.abs(await beepErrorMs(out, second))).toBeLessThan(25);
  });

  it('keeps the grid and the synchronisation when ffmpeg is killed', async () => {
    const units = await opusUnits(6, BASE_US);
    const out: AudioUnit[] = [];
    const arrivedMs: number[] = [];
    const audio = startAudioTranscode({
      host: { ...host, nonce: `kill-${process.pid}` },
      codec: 'opus',
      bitrateBps: 96_000,
      onUnit: (unit) => {
        out.push(unit);
        arrivedMs.push(performance.now());
      },
      onEnd: (reason) => expect.fail(reason),
    });
    await feedLive(units, 20, (unit) => {
      if (unit === units[125]) process.kill(pidWithNonce(`kill-${process.pid}`), 'SIGKILL');
      audio.feed(unit);
    });
    await vi.waitFor(() => expect(out.length).toBeGreaterThan((5.5 * 48_000) / 1024), { timeout: 5_000 });
    await audio.close('test over');

    expectGrid(out);
    expect(audio.counters.restarts).toBe(1);
    expect(audio.counters.silentUnits).toBeGreaterThan(0);
    expect(audio.counters.silentUnits).toBeLessThan(30);
    const afterStart = arrivedMs.slice(20);
    const longestWaitMs = Math.max(...afterStart.slice(1).map((at, index) => at - afterStart[index]!));
    expect(longestWaitMs).toBeLessThan(200);
    expect(Math.abs(await beepErrorMs(out, 2))).toBeLessThan(25);
    expect(Math.abs(await beepErrorMs(out, 5))).toBeLessThan(25);
  });

  it('replaces an ffmpeg that hangs, and silence bridges the time', async () => {
    const nonce = `hang-${process.pid}`;
    const units = await opusUnits(8, BASE_US);
    const out: AudioUnit[] = [];
    const audio = startAudioTranscode({
      host: { ...host, nonce },
      codec: 'opus',
      bitrateBps: 96_000,
      onUnit: (unit) => out.push(unit),
      onEnd: (reason) => expect.fail(reason),
    });
    let longestLagUs = 0;
    await feedLive(units, 20, (unit) => {
      if (unit === units[100]) process.kill(pidWithNonce(nonce), 'SIGSTOP');
      audio.feed(unit);
      if (unit.ptsUs > BASE_US + 1_000_000)
        longestLagUs = Math.max(longestLagUs, unit.ptsUs - (out.at(-1)?.ptsUs ?? 0));
    });
    await audio.close('test over');
    expectGrid(out);
    expect(audio.counters.restarts).toBe(1);
    expect(longestLagUs).toBeLessThan(1_300_000);
    expect(Math.abs(await beepErrorMs(out, 7))).toBeLessThan(25);
  });
});
