import { isMainThread } from 'node:worker_threads';
import type { Readable, Writable } from 'node:stream';
import { execa } from 'execa';
import type { Clock } from '../domain/clock.ts';
import type { Logger } from '../domain/logger.ts';
import { LineTail } from './line-tail.ts';
import { processStartTicks } from './process-start.ts';

/** Carries `nonce` in the child's environment, so that a sweep after a crash knows its own children from strangers. */
export const CHILD_NONCE_VARIABLE = 'TRANSPONDER_NONCE';

export interface ChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** For logs: the kind of process and what it works for, without secrets. */
  readonly name: string;
  readonly nonce: string;
  /** The descriptor that `input` writes to: 0, 3 or more; undefined: none. */
  readonly inputFd?: number | undefined;
  /** Descriptors that `outputs` reads from: 1, 3 or more. Each must be read (or resumed) by the caller. */
  readonly outputFds?: readonly number[] | undefined;
  /** Added to a minimal environment; nothing else of ours is inherited. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Each line of stderr as it comes, cut to a bounded length. Must not throw. */
  readonly onStderrLine?: ((line: string) => void) | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** How a process ended. `spawnError` is one sentence when it never became the wanted program. */
export interface ChildEnd {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly spawnError?: string | undefined;
}

export interface Child {
  /** Undefined when it could not be started at all; `ended` tells why. */
  readonly pid: number | undefined;
  readonly startTicks: number | undefined;
  /** Every error of the pipe is handled; what is written after the end is lost. Undefined without `inputFd`. */
  readonly input: Writable | undefined;
  readonly outputs: ReadonlyMap<number, Readable>;
  /** First 20 and last 40 lines of stderr. */
  stderrLines(): string[];
  /** Resolves, and never rejects, when the process is reaped and its output has been delivered. */
  readonly ended: Promise<ChildEnd>;
  /** The stop ladder (design §4): ends the input, waits `graceMs` (default 500), kills. Memoised. */
  stop(graceMs?: number): Promise<ChildEnd>;
  /** SIGKILL at once. Idempotent. */
  kill(): Promise<ChildEnd>;
}

/** Every child of this process that has not ended, by process id. */
const running = new Map<number, string>();

/** Process ids of all children that run, each with its kind (`name`); for metrics. */
export function runningChildren(): ReadonlyMap<number, string> {
  return running;
}

const HEAD_LINES = 20;
const TAIL_LINES = 40;
const MAX_LINE_CHARS = 500;
const STOP_GRACE_MS = 500;
/** A descendant may hold the pipes open after the process is gone; its output is not waited for any longer than this. */
const DRAIN_MS = 500;
/** A supervisor that was gone before the kernel was told to watch it is not seen to go: then the child has another parent. */
const UNLESS_ORPHANED = '[ "$PPID" = "$0" ] || exit 1; exec setpriv --pdeathsig keep -- "$@"';
/** setpriv(1) exits with these when it cannot execute the program, and says why on stderr. */
const SETPRIV_EXEC_FAILED = new Set([126, 127]);

/**
 * Starts one process that cannot outlive us: `setpriv` has the kernel kill it when the thread that spawned it is gone
 * (prctl(2) PR_SET_PDEATHSIG), which is why this works from the main thread only. Never throws for what the program does.
 */
export function startChild(options: ChildOptions): Child {
  if (!isMainThread) throw new Error('children are spawned from the main thread, whose death kills them');
  const { program, name, inputFd, clock } = options;
  const outputFds = options.outputFds ?? [];
  const logger = options.logger.child({ child: name });

  const unlessOrphaned = ['sh', '-c', UNLESS_ORPHANED, String(process.pid), program, ...options.args];
  const subprocess = execa('setpriv', ['--pdeathsig', 'KILL', '--', ...unlessOrphaned], {
    reject: false,
    buffer: false,
    cleanup: false,
    // A session of its own: Ctrl-C and what else is meant for the group of the server reaches it through the server only.
    detached: true,
    extendEnv: false,
    env: childEnvironment(options),
    stdio: stdioFor(inputFd, outputFds),
  });
  const streams: ReadonlyArray<unknown> = subprocess.stdio;
  const input = inputFd === undefined ? undefined : (streams[inputFd] as Writable | undefined);
  const outputs = new Map<number, Readable>();
  for (const fd of outputFds) {
    const stream = streams[fd] as Readable | undefined;
    if (stream) outputs.set(fd, stream);
  }
  const tail = new LineTail({
    headLines: HEAD_LINES,
    tailLines: TAIL_LINES,
    maxLineChars: MAX_LINE_CHARS,
    onLine: options.onStderrLine,
  });
  const { stderr } = subprocess;
  stderr?.on('data', (chunk: Buffer) => tail.push(chunk));
  const ownStreams = [input, stderr, ...outputs.values()];
  for (const stream of ownStreams) {
    stream?.on('error', (error: Error) => logger.debug({ error: error.message }, 'pipe of a child failed'));
  }

  subprocess.nodeChildProcess.once('exit', () => {
    const cancel = clock.after(DRAIN_MS, () => {
      for (const stream of ownStreams) stream?.destroy();
    });
    void subprocess.then(cancel);
  });

  const ended = subprocess.then((result): ChildEnd => {
    if (subprocess.pid !== undefined) running.delete(subprocess.pid);
    input?.destroy();
    const end = childEnd(result, tail.lines(), program);
    logger.debug({ pid: subprocess.pid, ...end }, 'child ended');
    return end;
  });

  const { pid } = subprocess;
  if (pid !== undefined) running.set(pid, name);
  logger.debug({ pid, program }, 'child started');
  let stopping: Promise<ChildEnd> | undefined;
  const kill = (): Promise<ChildEnd> => {
    subprocess.kill('SIGKILL');
    return ended;
  };
  return {
    pid,
    startTicks: pid === undefined ? undefined : processStartTicks(pid),
    input,
    outputs,
    stderrLines: () => tail.lines(),
    ended,
    stop(graceMs = STOP_GRACE_MS) {
      stopping ??= stopGently(input, graceMs, clock, kill, ended);
      return stopping;
    },
    kill,
  };
}

async function stopGently(
  input: Writable | undefined,
  graceMs: number,
  clock: Clock,
  kill: () => Promise<ChildEnd>,
  ended: Promise<ChildEnd>,
): Promise<ChildEnd> {
  input?.end();
  const cancel = clock.after(graceMs, () => void kill());
  const end = await ended;
  cancel();
  return end;
}

function childEnvironment({ env, nonce }: ChildOptions): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    LANG: 'C.UTF-8',
    AV_LOG_FORCE_NOCOLOR: '1',
    ...env,
    [CHILD_NONCE_VARIABLE]: nonce,
  };
}

type Stdio = 'pipe' | 'ignore';

function stdioFor(inputFd: number | undefined, outputFds: readonly number[]): [Stdio, Stdio, 'pipe', ...Stdio[]] {
  const kind = (fd: number): Stdio => (fd === inputFd || outputFds.includes(fd) ? 'pipe' : 'ignore');
  const last = Math.max(2, inputFd ?? 0, ...outputFds);
  return [kind(0), kind(1), 'pipe', ...Array.from({ length: last - 2 }, (_, index) => kind(index + 3))];
}

interface ProcessResult {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly code?: string | undefined;
}

function childEnd(result: ProcessResult, stderrLines: readonly string[], program: string): ChildEnd {
  const { exitCode, signal } = result;
  if (exitCode === undefined && signal === undefined) {
    return { spawnError: `setpriv could not be started: ${result.code ?? 'unknown error'}` };
  }
  const refusal = stderrLines.find((line) => line.startsWith('setpriv: '));
  if (exitCode !== undefined && SETPRIV_EXEC_FAILED.has(exitCode) && refusal !== undefined) {
    return { exitCode, spawnError: `${program} could not be started: ${refusal.slice('setpriv: '.length)}` };
  }
  return { exitCode, signal };
}
