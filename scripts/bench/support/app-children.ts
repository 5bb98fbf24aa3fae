import { readFile } from 'node:fs/promises';

/** By an argument that only this kind has on its command line. */
const KINDS = [
  ['rtmp-push', '-rtmp_app'],
  ['audio-transcode', 'aac'],
] as const;

export interface AppChild {
  readonly pid: number;
  readonly kind: (typeof KINDS)[number][0] | 'other';
}

/** The child processes that `pid` has started and that still run. */
export async function appChildrenOf(pid: number): Promise<AppChild[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const pids = children.trim().split(' ').filter(Boolean).map(Number);
  return Promise.all(
    pids.map(async (child) => {
      const args = (await readFile(`/proc/${child}/cmdline`, 'latin1')).split('\0');
      return { pid: child, kind: KINDS.find(([, argument]) => args.includes(argument))?.[0] ?? 'other' };
    }),
  );
}
