import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../src/supervisor/directory-lock.ts';
import { processStartTicks } from '../../src/supervisor/process-start.ts';

const directories: string[] = [];

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'lock-'));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

describe('the lock of a data directory', () => {
  it('keeps a second server out while the first one runs, and lets it in afterwards', () => {
    const directory = newDirectory();
    const release = lockDirectory('data_dir', directory, 'boot-1');
    expect(() => lockDirectory('data_dir', directory, 'boot-1')).toThrow(
      `data_dir="${directory}" is in use by a server that runs already (process ${process.pid})`,
    );
    release();
    release();
    expect(existsSync(join(directory, 'transponder.lock'))).toBe(false);
    lockDirectory('data_dir', directory, 'boot-1')();
  });

  it('is taken over from a server that was killed, also when its process id was given to a stranger or the machine was started anew', () => {
    for (const left of [
      '999999999 5 boot-1',
      `${process.pid} ${processStartTicks(process.pid)! + 1} boot-1`,
      `${process.pid} ${processStartTicks(process.pid)} boot-0`,
      'nonsense',
      '',
    ]) {
      const directory = newDirectory();
      writeFileSync(join(directory, 'transponder.lock'), left);
      lockDirectory('data_dir', directory, 'boot-1')();
      expect(existsSync(join(directory, 'transponder.lock'))).toBe(false);
    }
  });

  it('is not released by one who has lost it', () => {
    const directory = newDirectory();
    const release = lockDirectory('data_dir', directory, 'boot-1');
    writeFileSync(join(directory, 'transponder.lock'), '1 1');
    release();
    expect(existsSync(join(directory, 'transponder.lock'))).toBe(true);
  });
});
