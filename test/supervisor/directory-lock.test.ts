import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../src/supervisor/directory-lock.ts';

const LOCKER = new URL('../children/directory-locker.ts', import.meta.url);
const STARTERS = 8;
const ROUNDS = 3;

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'lock-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function startLocker(directory: string): Promise<ChildProcess> {
  const locker = fork(LOCKER, [directory]);
  cleanups.push(() => kill(locker));
  await once(locker, 'message');
  return locker;
}

async function ask(locker: ChildProcess): Promise<unknown> {
  const answer = once(locker, 'message');
  locker.send('take it');
  return (await answer)[0];
}

async function kill(locker: ChildProcess): Promise<void> {
  if (locker.exitCode !== null || locker.signalCode !== null) return;
  const exited = once(locker, 'exit');
  locker.kill('SIGKILL');
  await exited;
}

describe('the lock of a data directory', () => {
  it('keeps a second server out while the first one runs, and lets it in afterwards', () => {
    const directory = newDirectory();
    const release = lockDirectory('data_dir', directory);
    expect(() => lockDirectory('data_dir', directory)).toThrow(
      `data_dir="${directory}" is in use by a server that runs already`,
    );
    release();
    release();
    lockDirectory('data_dir', directory)();
  });

  it('is not lost by one who is refused', async () => {
    const directory = newDirectory();
    const release = lockDirectory('data_dir', directory);
    expect(() => lockDirectory('data_dir', directory)).toThrow('is in use');
    expect(await ask(await startLocker(directory))).toBe('lost');
    release();
  });

  it('is had by exactly one of many that start at once, again and again after that one was killed', async () => {
    const directory = newDirectory();
    for (let round = 0; round < ROUNDS; round++) {
      const lockers = await Promise.all(Array.from({ length: STARTERS }, () => startLocker(directory)));
      const answers = await Promise.all(lockers.map(ask));
      expect(answers.toSorted()).toEqual([...Array.from({ length: STARTERS - 1 }, () => 'lost'), 'won']);
      await Promise.all(lockers.map(kill));
    }
  }, 30_000);
});
