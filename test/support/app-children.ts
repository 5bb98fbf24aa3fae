import { readdirSync, readFileSync } from 'node:fs';
import { CHILD_NONCE_VARIABLE } from '../../src/supervisor/child-process.ts';

/** By what only their command lines have. */
const KINDS = [
  ['rtmp-push', '-rtmp_app'],
  ['video-transcode', 'libx264'],
  ['sound-file', 'wav'],
  ['audio-transcode', 'aac'],
  ['audio-transcode', 'libopus'],
] as const;

export interface AppChild {
  readonly pid: number;
  readonly kind: (typeof KINDS)[number][0] | 'other';
  readonly commandLine: string;
}

/** Running children of applications in this process; a test's own children are not among them. */
export function appChildren(): readonly AppChild[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => readChild(Number(entry)) ?? []);
}

export function countOfKind(kind: AppChild['kind']): number {
  return appChildren().filter((child) => child.kind === kind).length;
}

function readChild(pid: number): AppChild | undefined {
  try {
    // The name in the second field may hold blanks; after its bracket come the state and the parent.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    if (Number(stat[1]) !== process.pid || stat[0] === 'Z') return undefined;
    if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${CHILD_NONCE_VARIABLE}=`)) return undefined;
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    const kind = KINDS.find(([, argument]) => args.includes(argument))?.[0] ?? 'other';
    return { pid, kind, commandLine: args.join(' ') };
  } catch {
    // Gone meanwhile.
    return undefined;
  }
}
