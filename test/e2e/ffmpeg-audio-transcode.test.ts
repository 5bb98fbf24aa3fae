import { describe, expect, it, vi } from 'vitest';
import type { AudioTrack, AudioUnit } from '../../src/domain/media.ts';
import { startAudioTranscode } from '../../src/transcode/audio-transcode.ts';
import { AwakeClock } from '../support/awake-clock.ts';
import { oneOf } from '../support/one-of.ts';
import {
  aacUnits,
  decodeAac,
  decodeOpus,
  feedLive,
  g711Units,
  host,
  onset,
  opusUnits,
  pidWithNonce,
} from './ffmpeg-support.ts';

const BASE_US = 7_654_321;
const MAX_ERROR_MS = 25;
const MAX_SILENT_UNITS = 30;
const MAX_WAIT_MS = 200;
/** A busy machine is late with the one or the other ffmpeg. */
const MAX_KILLS = 3;
const OPUS: AudioTrack = { codec: 'opus', sampleRateHz: 48_000, channels: 2 };
const AAC: AudioTrack = { codec: 'aac', sampleRateHz: 48_000, channels: 2 };
const OUTPUT = {
  aac: { frameSamples: 1024, decode: decodeAac },
  opus: { frameSamples: 960, decode: decodeOpus },
} as const;
type To = keyof typeof OUTPUT;

interface Source {
  readonly name: string;
  readonly track: AudioTrack;
  readonly units: (seconds: number) => Promise<AudioUnit[]>;
}

interface Direction extends Source {
  readonly to: To;
}

function g711(codec: 'pcma' | 'pcmu'): Source {
  const track: AudioTrack = { codec, sampleRateHz: 8000, channels: 1 };
  return { name: codec, track, units: (seconds) => g711Units(codec, seconds, BASE_US) };
}

const OPUS_SOURCE: Source = { name: 'Opus', track: OPUS, units: (seconds) => opusUnits(seconds, BASE_US) };
const AAC_SOURCE: Source = { name: 'AAC', track: AAC, units: (seconds) => aacUnits(seconds, BASE_US) };
const AAC_44_SOURCE: Source = {
  name: 'AAC of 44.1 kHz',
  track: { ...AAC, sampleRateHz: 44_100 },
  units: (seconds) => aacUnits(seconds, BASE_US, 44_100),
};

const DIRECTIONS: readonly Direction[] = [
  { ...OPUS_SOURCE, to: 'aac' },
  { ...g711('pcma'), to: 'aac' },
  { ...g711('pcmu'), to: 'aac' },
  { ...AAC_SOURCE, to: 'opus' },
  { ...AAC_44_SOURCE, to: 'opus' },
  { ...g711('pcma'), to: 'opus' },
  { ...g711('pcmu'), to: 'opus' },
];
const BOTH: readonly Direction[] = [
  { ...OPUS_SOURCE, to: 'aac' },
  { ...AAC_SOURCE, to: 'opus' },
];

function expectGrid(units: readonly AudioUnit[], to: To): void {
  const { frameSamples } = OUTPUT[to];
  const timeUs = (index: number): number => BASE_US + Math.round((index * frameSamples * 1e6) / 48_000);
  expect(units.map(({ codec, ptsUs, durationUs }) => ({ codec, ptsUs, durationUs }))).toEqual(
    units.map((_, index) => ({ codec: to, ptsUs: timeUs(index), durationUs: timeUs(index + 1) - timeUs(index) })),
  );
}

/** Samples are counted from the first unit, so what is heard at sample n belongs to its time plus n / 48000 s. */
async function beepErrorsMs(units: readonly AudioUnit[], to: To, seconds: readonly number[]): Promise<number[]> {
  const samples = await OUTPUT[to].decode(units.map((unit) => unit.data));
  return seconds.map((second) => (onset(samples, (second - 0.3) * 48_000) - second * 48_000) / 48);
}

async function expectBeeps(units: readonly AudioUnit[], to: To, seconds: readonly number[]): Promise<void> {
  for (const errorMs of await beepErrorsMs(units, to, seconds)) expect(Math.abs(errorMs)).toBeLessThan(MAX_ERROR_MS);
}

describe('audio transcoding with the real ffmpeg', () => {
  it.each(DIRECTIONS)(
    'turns $name into $to on an exact grid, and a beep stays within 25 ms',
    async ({ to, ...source }) => {
      const out: AudioUnit[] = [];
      const audio = startAudioTranscode({
        host,
        from: source.track,
        to,
        bitrateBps: 96_000,
        onUnit: (unit) => out.push(unit),
        onEnd: (reason) => expect.fail(reason),
      });
      try {
        for (const unit of await source.units(4)) audio.feed(unit);
        const enough = (3.5 * 48_000) / OUTPUT[to].frameSamples;
        await vi.waitFor(() => expect(out.length).toBeGreaterThan(enough), { timeout: 20_000 });
      } finally {
        await audio.close('test over');
      }
      expect(audio.counters).toMatchObject({ silentUnits: 0, droppedUnits: 0, restarts: 0 });
      expect(audio.track).toEqual({ codec: to, sampleRateHz: 48_000, channels: 2 });
      expectGrid(out, to);
      await expectBeeps(out, to, [1, 2, 3]);
    },
  );

  it.each(BOTH)('keeps the grid and the synchronisation of $name to $to when ffmpeg is killed', async (direction) => {
    const bridged = await oneOf(MAX_KILLS, (number) => killOnce(direction, number), isShort);
    expect(bridged).toSatisfy(isShort);
  });

  /** How much silence it takes from a kill on, and how long listeners wait for a unit until the next ffmpeg gives one. */
  async function killOnce({ to, ...source }: Direction, kill: number) {
    const nonce = `kill-${to}-${process.pid}-${kill}`;
    const units = await source.units(6);
    const killAt = units.find((unit) => unit.ptsUs >= BASE_US + 2_500_000);
    const out: AudioUnit[] = [];
    const arrivals: { readonly atMs: number; readonly isSilence: boolean }[] = [];
    let silentUnits = 0;
    let unitsAtKill = 0;
    using awake = new AwakeClock();
    const audio = startAudioTranscode({
      host: { ...host, nonce },
      from: source.track,
      to,
      bitrateBps: 96_000,
      onUnit: (unit) => {
        out.push(unit);
        const isSilence = audio.counters.silentUnits > silentUnits;
        silentUnits = audio.counters.silentUnits;
        arrivals.push({ atMs: Date.now(), isSilence });
      },
      onEnd: (reason) => expect.fail(reason),
    });
    try {
      await feedLive(units, units[0]!.durationUs / 1000, (unit) => {
        if (unit === killAt) {
          process.kill(pidWithNonce(nonce), 'SIGKILL');
          unitsAtKill = out.length;
        }
        audio.feed(unit);
      });
      const enough = (5.5 * 48_000) / OUTPUT[to].frameSamples;
      await vi.waitFor(() => expect(out.length).toBeGreaterThan(enough), { timeout: 20_000 });
    } finally {
      await audio.close('test over');
    }
    expectGrid(out, to);
    expect(audio.counters.restarts).toBe(1);
    await expectBeeps(out, to, [2, 5]);
    // What the killed one had given before may still come first.
    const firstSilent = arrivals.findIndex(({ isSilence }, index) => index >= unitsAtKill && isSilence);
    expect(firstSilent).toBeGreaterThan(0);
    const firstOfNext = arrivals.findIndex(({ isSilence }, index) => index > firstSilent && !isSilence);
    const waited = arrivals.slice(unitsAtKill - 1, firstOfNext + 1);
    return {
      silentUnits: arrivals.slice(unitsAtKill).filter(({ isSilence }) => isSilence).length,
      longestWaitMs: Math.max(...waited.slice(1).map(({ atMs }, index) => awake.betweenMs(waited[index]!.atMs, atMs))),
    };
  }

  function isShort({ silentUnits, longestWaitMs }: Awaited<ReturnType<typeof killOnce>>): boolean {
    return silentUnits < MAX_SILENT_UNITS && longestWaitMs < MAX_WAIT_MS;
  }

  it('replaces an ffmpeg that hangs, and silence bridges the time', async () => {
    const source = OPUS_SOURCE;
    const to = 'aac';
    const nonce = `hang-${to}-${process.pid}`;
    const units = await source.units(8);
    const stopAt = units.find((unit) => unit.ptsUs >= BASE_US + 2_000_000);
    const out: AudioUnit[] = [];
    const audio = startAudioTranscode({
      host: { ...host, nonce },
      from: source.track,
      to,
      bitrateBps: 96_000,
      onUnit: (unit) => out.push(unit),
      onEnd: (reason) => expect.fail(reason),
    });
    let longestLagUs = 0;
    try {
      await feedLive(units, units[0]!.durationUs / 1000, (unit) => {
        if (unit === stopAt) process.kill(pidWithNonce(nonce), 'SIGSTOP');
        audio.feed(unit);
        if (unit.ptsUs > BASE_US + 1_000_000)
          longestLagUs = Math.max(longestLagUs, unit.ptsUs - (out.at(-1)?.ptsUs ?? 0));
      });
    } finally {
      await audio.close('test over');
    }
    expectGrid(out, to);
    expect(audio.counters.restarts).toBe(1);
    expect(longestLagUs).toBeLessThan(1_300_000);
    await expectBeeps(out, to, [7]);
  });

  it('fills a hole in AAC with silence, and what follows it is in its place', async () => {
    const units = (await AAC_SOURCE.units(4)).filter(
      ({ ptsUs }) => ptsUs < BASE_US + 1_300_000 || ptsUs > BASE_US + 1_800_000,
    );
    const out: AudioUnit[] = [];
    const audio = startAudioTranscode({
      host,
      from: AAC,
      to: 'opus',
      bitrateBps: 96_000,
      onUnit: (unit) => out.push(unit),
      onEnd: (reason) => expect.fail(reason),
    });
    try {
      for (const unit of units) audio.feed(unit);
      await vi.waitFor(() => expect(out.length).toBeGreaterThan(175), { timeout: 20_000 });
    } finally {
      await audio.close('test over');
    }
    expectGrid(out, 'opus');
    await expectBeeps(out, 'opus', [1, 2, 3]);
  });

  it('refuses AAC of a rate that no header can announce', () => {
    const from: AudioTrack = { codec: 'aac', sampleRateHz: 12_345, channels: 2 };
    const onNothing = (): void => expect.fail('it must not start');
    const start = (): unknown =>
      startAudioTranscode({ host, from, to: 'opus', bitrateBps: 96_000, onUnit: onNothing, onEnd: onNothing });
    expect(start).toThrow(/12345/);
  });
});
