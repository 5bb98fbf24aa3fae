import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
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
/** Then others have their turn: a look at a thousand would hold up media for tens of milliseconds. */
const CHILDREN_PER_TURN = 50;

/** Reads /proc for each of `children` (process id to kind). A child that ends meanwhile is left out of `byKind`. Never rejects. */
export async function readChildrenUsage(children: ReadonlyMap<number, string>): Promise<ChildrenUsage> {
  let reapedMs = reapedCpuMs();
  for (let looks = 1; ; looks++) {
    const running = await readEach(children);
    const before = reapedMs;
    reapedMs = reapedCpuMs();
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

async function readEach(children: ReadonlyMap<number, string>): Promise<Running[]> {
  const running: Running[] = [];
  for (const child of children) {
    if (running.length % CHILDREN_PER_TURN === CHILDREN_PER_TURN - 1) await turn();
    running.push(readChild(child));
  }
  return running;
}

/** Zeros where there is no such process any more. */
function readChild([pid, kind]: readonly [number, string]): Running {
  const { cpuMs } = new ProcessStat(readProc(pid, 'stat'));
  return { kind, cpuMs, residentBytes: statusBytes(readProc(pid, 'status'), 'VmRSS') ?? 0 };
}

function reapedCpuMs(): number {
  return new ProcessStat(readProc('self', 'stat')).reapedCpuMs;
}

function readProc(pid: number | 'self', file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
