import { readFileSync } from 'node:fs';

/**
 * Start time of a process in clock ticks since boot (proc(5), field 22 of stat). With the pid it names a process for good: a
 * recycled pid has other ticks. Undefined when there is no such process.
 */
export function processStartTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(afterName[19]);
    return Number.isSafeInteger(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}
