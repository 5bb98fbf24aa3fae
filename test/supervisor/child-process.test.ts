import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { startChild, type Child, type ChildOptions } from '../../src/supervisor/child-process.ts';
import { processStartTicks } from '../../src/supervisor/process-start.ts';

const children = (name: string): string => fileURLToPath(new URL(`../children/${name}`, import.meta.url));

function misbehave(deed: string, value = '', options: Partial<ChildOptions> = {}): Child {
  return startChild({
    program: process.execPath,
    args: [children('misbehave.ts'), deed, value],
    name: deed,
    nonce: 'the-nonce',
    inputFd: 0,
    outputFds: [1],
    logger: silentLogger,
    clock: systemClock,
    ...options,
  });
}

function output(child: Child): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  child.outputs
    .get(1)!
    .on('data', (chunk: Buffer) => (text += chunk.toString()))
    .on('close', () => resolve(text));
  return promise;
}

async function untilReady(child: Child): Promise<void> {
  const [chunk] = (await once(child.outputs.get(1)!, 'data')) as [Buffer];
  expect(chunk.toString()).toBe('ready');
}

/** False for a zombie too: it runs nothing any more. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}

describe('a child process', () => {
  it.each([0, 1, 255])('that exits with %i is reported so', async (code) => {
    expect(await misbehave('exit', String(code)).ended).toEqual({ exitCode: code, signal: undefined });
  });

  it('is the leader of a session of its own, so that no Ctrl-C in our terminal reaches it', async () => {
    const child = misbehave('end-with-input');
    await untilReady(child);
    const [, , group, session] = readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    expect([Number(group), Number(session)]).toEqual([child.pid, child.pid]);
    await child.stop(30_000);
  });

  it('that ends with its input is stopped without a kill', async () => {
    const child = misbehave('end-with-input');
    await untilReady(child);
    expect(await child.stop(30_000)).toMatchObject({ exitCode: 0 });
    expect(isAlive(child.pid!)).toBe(false);
  });

  it('that ignores every signal and its input is killed after the grace, and is gone when stop resolves', async () => {
    const child = misbehave('ignore-everything');
    await untilReady(child);
    const startMs = performance.now();
    const [first, second] = await Promise.all([child.stop(), child.stop()]);
    expect(second).toBe(first);
    expect(first).toMatchObject({ signal: 'SIGKILL' });
    expect(performance.now() - startMs).toBeGreaterThan(450);
    expect(isAlive(child.pid!)).toBe(false);
  });

  it('that floods stderr is remembered by its first and last lines, all cut', async () => {
    const child = misbehave('flood-stderr', '5000');
    child.outputs.get(1)!.resume();
    expect(await child.ended).toMatchObject({ exitCode: 0 });
    const lines = child.stderrLines();
    expect(lines.length).toBe(61);
    expect(lines[0]).toBe('x'.repeat(500));
    expect(lines[20]).toBe('… 4941 lines omitted …');
    expect(lines.at(-1)).toBe('the last word');
  });

  it('that closes its output lives on until it is stopped', async () => {
    const child = misbehave('close-stdout');
    expect(await output(child)).toBe('ready');
    expect(isAlive(child.pid!)).toBe(true);
    expect(await child.stop(30_000)).toMatchObject({ exitCode: 0 });
  });

  it('that does not take its input breaks nothing when it is written to', async () => {
    const child = misbehave('close-stdin');
    await untilReady(child);
    const input = child.input!;
    const failed = new Promise((resolve) => input.on('close', resolve));
    for (let count = 0; count < 10; count++) input.write(Buffer.alloc(64 << 10));
    await failed;
    input.write('after the end');
    expect(await child.kill()).toMatchObject({ signal: 'SIGKILL' });
    input.write('after the death');
  });

  it('gets only a minimal environment with the nonce', async () => {
    vi.stubEnv('SECRET_OF_OURS', 'password');
    const env = JSON.parse(await output(misbehave('environment', '', { env: { EXTRA: 'yes' } }))) as Record<
      string,
      string
    >;
    vi.unstubAllEnvs();
    expect(env).toMatchObject({ TRANSPONDER_NONCE: 'the-nonce', EXTRA: 'yes' });
    expect(env).not.toHaveProperty('SECRET_OF_OURS');
  });

  it('reads from descriptor 3 when told so', async () => {
    const child = startChild({
      program: 'sh',
      args: ['-c', 'cat <&3'],
      name: 'cat',
      nonce: 'n',
      inputFd: 3,
      outputFds: [1],
      logger: silentLogger,
      clock: systemClock,
    });
    child.input!.write('through three');
    child.input!.end();
    expect(await output(child)).toBe('through three');
    expect(await child.ended).toMatchObject({ exitCode: 0 });
  });

  it('that does not exist is a spawn error with a sentence', async () => {
    const child = misbehave('', '', { program: '/nonexistent/program' });
    child.input!.write('into nothing');
    const end = await child.ended;
    expect(end.spawnError).toMatch(/^\/nonexistent\/program could not be started: .*No such file/);
  });

  it('is named for good by pid and start ticks', async () => {
    const child = misbehave('end-with-input');
    await untilReady(child);
    expect(child.startTicks).toBeGreaterThan(0);
    expect(processStartTicks(child.pid!)).toBe(child.startTicks);
    await child.stop(30_000);
    expect(processStartTicks(child.pid!)).toBeUndefined();
  });

  it.each(['later', 'at-once'])('does not outlive a supervisor that is killed: %s', async (when) => {
    const supervisor = spawn(process.execPath, [children('supervisor.ts'), when], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(supervisor, 'exit');
    const [line] = (await once(supervisor.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    const isStarted = () => readFileSync(`/proc/${pid}/comm`, 'latin1') === 'sleep\n';
    if (when === 'later') await vi.waitUntil(isStarted, { timeout: 15_000, interval: 5 });
    supervisor.kill('SIGKILL');
    await exited;
    await expect.poll(() => isAlive(pid), { interval: 5 }).toBe(false);
  });
});
