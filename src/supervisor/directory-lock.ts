import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../domain/errors.ts';
import { processStartTicks } from './process-start.ts';

const ATTEMPTS = 3;

/**
 * Makes sure that one server at a time works with a data directory: two would sweep each other's children away. The lock
 * names a process by id, start time and boot, so one that a killed server left behind is known as such and taken over.
 * Returns how to release it. Throws AppError BAD_CONFIGURATION while another server runs.
 */
export function lockDirectory(key: string, directory: string, bootId: string): () => void {
  const file = join(directory, 'transponder.lock');
  const own = `${process.pid} ${processStartTicks(process.pid)} ${bootId}`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      writeFileSync(file, own, { flag: 'wx', mode: 0o600 });
      return () => release(file, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    if (holder && holder.bootId === bootId && isRunning(holder)) {
      throw new AppError(
        'BAD_CONFIGURATION',
        `${key}="${directory}" is in use by a server that runs already (process ${holder.pid}); expected a directory of its own`,
      );
    }
    release(file, holder?.text);
  }
  throw new AppError('BAD_CONFIGURATION', `${key}="${directory}" cannot be locked: another server is starting in it`);
}

interface Holder {
  readonly text: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string | undefined;
}

function readHolder(file: string): Holder | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const [pid, startTicks, bootId] = text.split(' ');
    return { text, pid: Number(pid), startTicks: Number(startTicks), bootId };
  } catch {
    return undefined;
  }
}

function isRunning({ pid, startTicks }: Holder): boolean {
  return pid > 0 && processStartTicks(pid) === startTicks;
}

/** Only a lock that still says what we saw: a faster server may have taken it meanwhile. */
function release(file: string, expected: string | undefined): void {
  if (readHolder(file)?.text !== expected) return;
  try {
    unlinkSync(file);
  } catch {
    // It is gone already, which is what was wanted.
  }
}
