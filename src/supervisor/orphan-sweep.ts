import { readFileSync } from 'node:fs';
import type { Logger } from '../domain/logger.ts';
import { CHILD_NONCE_VARIABLE } from './child-process.ts';
import { ProcessStat } from './proc-files.ts';
import { processStartTicks } from './process-start.ts';

/** What an earlier supervisor wrote down of a child that it has not seen end. */
export interface SuspectedOrphan {
  readonly transponderId: string;
  readonly bootId: string;
  readonly nonce: string;
  readonly pid: number | null;
  readonly startTicks: number | null;
}

/** What was found: killed, gone as it should be, or a reason to leave the process alone. */
type Verdict = 'ours' | 'gone' | 'another boot' | 'no process was noted' | 'another process has its id';

/**
 * Kills children that have outlived a killed supervisor. They should not: the kernel kills them with it (`child-process.ts`).
 * A process is taken for one of ours only if its id, its start time, the boot of the machine and the secret in its
 * environment are all those that were noted; anything else is a stranger, is left alone and logged. Returns how many were
 * killed.
 */
export function sweepOrphans(suspects: readonly SuspectedOrphan[], bootId: string, logger: Logger): number {
  let killed = 0;
  for (const suspect of suspects) {
    const { transponderId, pid } = suspect;
    const verdict = judge(suspect, bootId);
    if (verdict === 'gone') continue;
    if (verdict === 'ours' && kill(pid!)) {
      killed++;
      logger.warn({ transponderId, pid }, 'a process of an earlier supervisor was killed');
    } else if (verdict !== 'ours') {
      logger.info({ transponderId, pid, verdict }, 'no process of an earlier supervisor; left alone');
    }
  }
  return killed;
}

function judge({ bootId: itsBootId, nonce, pid, startTicks }: SuspectedOrphan, bootId: string): Verdict {
  if (itsBootId !== bootId) return 'another boot';
  if (pid === null || startTicks === null) return 'no process was noted';
  const environment = environmentOf(pid);
  if (environment === 'gone') return 'gone';
  const isOurs = environment?.includes(`${CHILD_NONCE_VARIABLE}=${nonce}`) && processStartTicks(pid) === startTicks;
  return isOurs ? 'ours' : 'another process has its id';
}

/** Undefined where it is not ours to read. A zombie counts as gone: there is nothing left of it to kill. */
function environmentOf(pid: number): readonly string[] | 'gone' | undefined {
  try {
    if (new ProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1')).isZombie) return 'gone';
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? 'gone' : undefined;
  }
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    // It has ended meanwhile.
    return false;
  }
}
