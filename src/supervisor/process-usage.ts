import { readFileSync } from 'node:fs';
import { ProcessStat, statusBytes } from './proc-files.ts';

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

/** Undefined when there is no such process, or it is not ours to look at. */
export function readProcessUsage(pid: number): CurrentUsage | undefined {
  try {
    const { cpuMs } = new ProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const maxRssBytes = statusBytes(status, 'VmHWM');
    const rssBytes = statusBytes(status, 'VmRSS');
    return maxRssBytes === undefined || rssBytes === undefined ? undefined : { cpuMs, maxRssBytes, rssBytes };
  } catch {
    return undefined;
  }
}
