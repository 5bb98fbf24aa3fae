import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa, type ResultPromise } from 'execa';
import { instanceSettings } from './instance-settings.ts';
import { childrenOf, Offspring } from './offspring.ts';

export interface ServerProcessOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** For its files; made and removed where absent. */
  readonly directory?: string;
  /** Other than `node src/main.ts`; the flags are put behind it. */
  readonly command?: readonly [string, ...string[]];
}

export interface Exit {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
  /** Neither it nor any program that it ran is left. */
  readonly isAllGone: boolean;
}

export interface ServerProcess {
  readonly pid: number;
  readonly directory: string;
  readonly ports: Readonly<Record<string, number>>;
  /** Process ids of the programs that it runs. */
  children(): number[];
  isRunning(): boolean;
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<Exit>;
  /** Kills what still runs, and removes the files if they are its own. */
  [Symbol.asyncDispose](): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;
/** After which it is stopped whatever happens. */
const MAX_LIFE_MS = 300_000;
const MAIN = ['node_modules/.bin/node', 'src/main.ts'] as const;

/** The server as its users start it, on free ports; resolves with its ready line. */
export async function startServerProcess(options: ServerProcessOptions = {}): Promise<ServerProcess> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'transponder-process-')));
  const run = spawn(directory, options);
  const offspring = new Offspring(run.pid!);
  const dispose = async (): Promise<void> => {
    killGroup(run.pid);
    await run;
    if (!options.directory) await rm(directory, { recursive: true, force: true });
  };
  try {
    const { ports } = await readyLine(run);
    return {
      pid: run.pid!,
      directory,
      ports,
      children: () => childrenOf(run.pid!),
      isRunning: () => run.nodeChildProcess.exitCode === null && run.nodeChildProcess.signalCode === null,
      async end(signal = 'SIGTERM') {
        const startMs = performance.now();
        run.kill(signal);
        return exitOf(run, offspring, startMs);
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A start that is expected to be refused. */
export async function failToStart(options: ServerProcessOptions = {}): Promise<Exit> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'transponder-process-')));
  try {
    const run = spawn(directory, options);
    return await exitOf(run, new Offspring(run.pid!), performance.now());
  } finally {
    if (!options.directory) await rm(directory, { recursive: true, force: true });
  }
}

/** In a process group of its own, so that a wrapper is killed with what it wraps. */
function spawn(directory: string, { settings, env, command = MAIN }: ServerProcessOptions) {
  const all = {
    ...instanceSettings(directory),
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const [program, ...args] = command;
  return execa(program, [...args, ...flags], { env, detached: true, reject: false, timeout: MAX_LIFE_MS });
}

async function readyLine(run: ReturnType<typeof spawn>): Promise<{ ports: Record<string, number> }> {
  const line = new Promise<string>((resolve, reject) => {
    let text = '';
    run.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n{') + 1;
      const json = text.slice(end);
      if (json.startsWith('{') && json.includes('\n')) resolve(json.slice(0, json.indexOf('\n')));
    });
    run.stdout.on('close', () => reject(new Error('the server ended before it was ready')));
    setTimeout(() => reject(new Error('the server was not ready in time')), START_TIMEOUT_MS).unref();
  });
  try {
    return JSON.parse(await line) as { ports: Record<string, number> };
  } catch (error) {
    killGroup(run.pid);
    const { stderr } = await run;
    throw new Error(`${String(error)}\n${stderr}`, { cause: error });
  }
}

async function exitOf(run: ResultPromise, offspring: Offspring, startMs: number): Promise<Exit> {
  const { exitCode, stdout, stderr } = await run;
  const elapsedMs = performance.now() - startMs;
  const isAllGone = (await offspring.left()).length === 0;
  return { exitCode, stdout: String(stdout), stderr: String(stderr), elapsedMs, isAllGone };
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
