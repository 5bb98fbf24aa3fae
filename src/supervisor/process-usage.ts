import { readFileSync } from 'node:fs';

/** Of one process, as its history keeps it. */
export interface ProcessUsage {
  /** User and system time since it began. */
  readonly cpuMs: number;
  /** The largest resident set it ever had. */
  readonly maxRssBytes: number;
}

/** The kernel counts in these whatever its own tick is (proc(5), sysconf(_SC_CLK_TCK)). */
const TICK_MS = 10;
/** Fields of /proc/<pid>/stat behind the name, which is the second one (proc(5)). */
const UTIME = 11;
const STIME = 12;

/** Undefined when there is no such process, or it is not ours to look at. */
export function readProcessUsage(pid: number): ProcessUsage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const peakKb = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    if (peakKb === undefined) return undefined;
    return { cpuMs: (Number(fields[UTIME]) + Number(fields[STIME])) * TICK_MS, maxRssBytes: Number(peakKb) * 1024 };
  } catch {
    return undefined;
  }
}
