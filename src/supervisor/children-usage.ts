import { readFile } from 'node:fs/promises';
import { ProcessStat, statusBytes } from './proc-files.ts';

/** Of all children of this process. */
export interface ChildrenUsage {
  /** User and system time of those that run and of all that were ever reaped. */
  readonly cpuSeconds: number;
  /** Of those that run, by kind of process. */
  readonly byKind: ReadonlyMap<string, KindUsage>;
}

interface KindUsage {
  readonly processes: number;
  readonly residentBytes: number;
}

/** A child that is reaped between two looks would count twice or not at all; so often it is looked again. */
const MAX_LOOKS = 3;

/** Reads /proc for each of `children` (process id to kind). A child that ends meanwhile is left out of `byKind`. Never rejects. */
export async function readChildrenUsage(children: ReadonlyMap<number, string>): Promise<ChildrenUsage> {
  let reapedMs = await reapedCpuMs();
  for (let looks = 1; ; looks++) {
    const running = await Promise.all(Array.from(children, readChild));
    const before = reapedMs;
    reapedMs = await reapedCpuMs();
    if (reapedMs === before || looks === MAX_LOOKS) return sum(running, reapedMs);
  }
}

interface Running extends Pick<KindUsage, 'residentBytes'> {
  readonly kind: string;
  readonly cpuMs: number;
}

function sum(running: readonly Running[], reapedMs: number): ChildrenUsage {
  const byKind = new Map<string, KindUsage>();
  let cpuMs = reapedMs;
  for (const child of running) {
    cpuMs += child.cpuMs;
    if (child.residentBytes === 0) continue;
    const { processes, residentBytes } = byKind.get(child.kind) ?? { processes: 0, residentBytes: 0 };
    byKind.set(child.kind, { processes: processes + 1, residentBytes: residentBytes + child.residentBytes });
  }
  return { cpuSeconds: cpuMs / 1000, byKind };
}

/** Zeros where there is no such process any more. */
async function readChild([pid, kind]: readonly [number, string]): Promise<Running> {
  const [stat, status] = await Promise.all([readProc(pid, 'stat'), readProc(pid, 'status')]);
  return { kind, cpuMs: new ProcessStat(stat).cpuMs, residentBytes: statusBytes(status, 'VmRSS') ?? 0 };
}

async function reapedCpuMs(): Promise<number> {
  return new ProcessStat(await readProc('self', 'stat')).reapedCpuMs;
}

async function readProc(pid: number | 'self', file: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
