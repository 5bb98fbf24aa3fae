import { readFile } from 'node:fs/promises';

/** Linux shows times in /proc in hundredths of a second on every architecture that we know. */
const TICK_US = 10_000;

/** User and system time that the process has used in all its threads (proc(5), `stat` fields 14 and 15). */
export async function cpuUsedUs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name of the program may contain blanks and parentheses; the fields behind it cannot.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

export interface MemoryUse {
  readonly rssBytes: number;
  /** Memory shared with other processes counts in equal parts for each of them. */
  readonly pssBytes: number;
}

export async function memoryUse(pid: number): Promise<MemoryUse> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(rollup)?.[1]) * 1024;
  return { rssBytes: bytes('Rss'), pssBytes: bytes('Pss') };
}
