import { readFileSync } from 'node:fs';
import { ProcessStat } from './proc-files.ts';

/**
 * Start time of a process in clock ticks since boot. With the pid it names a process for good: a recycled pid has other ticks.
 * Undefined when there is no such process.
 */
export function processStartTicks(pid: number): number | undefined {
  try {
    return new ProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1')).startTicks;
  } catch {
    return undefined;
  }
}
