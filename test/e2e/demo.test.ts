import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Offspring } from '../support/offspring.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transponder-demo-test-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A process group of its own, as in a terminal. */
function startDemo(...args: string[]) {
  return execa(process.execPath, ['scripts/demo.ts', ...args], {
    env: { TMPDIR: directory },
    detached: true,
    reject: false,
    timeout: 60_000,
  });
}

const ACTIVE_LINE = /state=ACTIVE bitrate=(\d+)kbit\/s fps=([\d.]+) uptime=\d+s restarts=0$/;

interface Figures {
  readonly kbps: number;
  readonly fps: number;
}

/** Of a line that has them. */
function figuresOf(line: string): Figures[] {
  const match = ACTIVE_LINE.exec(line);
  return match ? [{ kbps: Number(match[1]), fps: Number(match[2]) }] : [];
}

function mean(figures: readonly Figures[]): Figures {
  const sum = figures.reduce((one, other) => ({ kbps: one.kbps + other.kbps, fps: one.fps + other.fps }));
  return { kbps: sum.kbps / figures.length, fps: sum.fps / figures.length };
}

function isAsPublished({ kbps, fps }: Figures): boolean {
  return kbps > 400 && fps > 20 && fps < 32;
}

it('shows the main job: published over WebRTC, pushed until the time is over, nothing left behind', async () => {
  const demo = startDemo('--seconds', '4');
  const offspring = new Offspring(demo.pid!);
  const { exitCode, stdout, stderr } = await demo;
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toContain('The push is ACTIVE');
  const lines = stdout.split('\n');
  expect(lines.at(-1)).toMatch(ACTIVE_LINE);
  const figures = lines.flatMap(figuresOf);
  // What a busy machine holds up for the moment of one line comes with those after it.
  const stretches = figures.flatMap((_, from) =>
    figures.slice(from).map((__, more) => mean(figures.slice(from, from + more + 1))),
  );
  expect(stretches).toContainEqual(expect.toSatisfy(isAsPublished, 'the stream as it is published'));
  expect(await offspring.left()).toEqual([]);
  expect(await readdir(directory)).toEqual([]);
});

it('ends in order on Ctrl-C', async () => {
  const demo = startDemo();
  const offspring = new Offspring(demo.pid!);
  let output = '';
  await new Promise<void>((resolve) => {
    demo.stdout.on('close', resolve);
    demo.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('state=ACTIVE')) resolve();
    });
  });
  expect(output).toContain('state=ACTIVE');
  // A terminal sends it to the whole group, in which no ffmpeg is.
  process.kill(-demo.pid!, 'SIGINT');
  const { exitCode, stderr } = await demo;
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(await offspring.left()).toEqual([]);
  expect(await readdir(directory)).toEqual([]);
});

it('says in one sentence which time is not allowed', async () => {
  const { exitCode, stdout } = await startDemo('--seconds', 'ten');
  expect(exitCode).toBe(1);
  expect(stdout).toBe('The demo failed: --seconds "ten" is not allowed; expected a number above 0');
});
