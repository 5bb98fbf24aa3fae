import { readFileSync } from 'node:fs';

/** Of one process, as its history keeps it. */
export interface ProcessUsage {
  /** User and system time since it began. */
  readonly cpuMs: number;
  /** The largest resident set it ever had. */
  readonly maxRssBytes: number;
}

/** Of a process that runs. */
export interface CurrentUsage extends ProcessUsage {
  /** Its resident set now. */
  readonly rssBytes: number;
}

/** The kernel counts in these whatever its own tick is (proc(5), sysconf(_SC_CLK_TCK)). */
const TICK_MS = 10;
/** Fields of /proc/<pid>/stat behind the name, which is the second one (proc(5)). */
const UTIME = 11;
const STIME = 12;

/** Undefined when there is no such process, or it is not ours to look at. */
export function readProcessUsage(pid: number): CurrentUsage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const peakKb = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    const nowKb = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    if (peakKb === undefined || nowKb === undefined) return undefined;
    return {
      cpuMs: (Number(fields[UTIME]) + Number(fields[STIME])) * TICK_MS,
      maxRssBytes: Number(peakKb) * 1024,
      rssBytes: Number(nowKb) * 1024,
    };
  } catch {
    return undefined;
  }
}
