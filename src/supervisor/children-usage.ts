import { readFile } from 'node:fs/promises';

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

/** The unit of times in /proc (proc(5), USER_HZ), the same on every Linux that node runs on. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/<pid>/stat behind the name, which is the second one (proc(5)). */
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const REAPED_USER_TICKS = 13;
const REAPED_SYSTEM_TICKS = 14;

/** Reads /proc for each of `children` (process id to kind). A child that ends meanwhile is left out. */
export async function readChildrenUsage(children: ReadonlyMap<number, string>): Promise<ChildrenUsage> {
  const running = await Promise.all(
    Array.from(children, async ([pid, kind]) => {
      const [ticks, residentBytes] = await Promise.all([ticksOf(pid, USER_TICKS, SYSTEM_TICKS), residentBytesOf(pid)]);
      return { kind, ticks, residentBytes };
    }),
  );
  let ticks = await ticksOf('self', REAPED_USER_TICKS, REAPED_SYSTEM_TICKS);
  const byKind = new Map<string, KindUsage>();
  for (const child of running) {
    ticks += child.ticks;
    if (child.residentBytes === 0) continue;
    const { processes, residentBytes } = byKind.get(child.kind) ?? { processes: 0, residentBytes: 0 };
    byKind.set(child.kind, { processes: processes + 1, residentBytes: residentBytes + child.residentBytes });
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, byKind };
}

async function ticksOf(pid: number | 'self', ...fields: readonly number[]): Promise<number> {
  const stat = await readProc(pid, 'stat');
  const values = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.reduce((sum, field) => sum + Number(values[field] ?? 0), 0);
}

/** 0 where there is no such process any more. */
async function residentBytesOf(pid: number): Promise<number> {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readProc(pid, 'status'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

async function readProc(pid: number | 'self', file: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
