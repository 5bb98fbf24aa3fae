import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { instanceSettings } from '../../../test/support/instance-settings.ts';

export interface AppProcess {
  readonly pid: number;
  readonly wsUrl: string;
  /** By configuration key. */
  readonly ports: Readonly<Record<string, number>>;
  /** Posts to the REST API and resolves with the answer's JSON; rejects when the status is not 200. */
  rest(path: string, body: object): Promise<unknown>;
  /** Ends the process as an operator would and removes its files. */
  close(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

/** The product as it is started by its users, on free ports and with files of its own. */
export async function startAppProcess(): Promise<AppProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-app-'));
  const settings = {
    ...instanceSettings(directory),
    log_level: 'warn',
  };
  const args = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  // It must not outlive a bench that was killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let stderr = '';
  child.stderr.on('data', (bytes: Buffer) => (stderr = (stderr + bytes.toString()).slice(-4000)));
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), 'line'),
    exited.then(() => [undefined]),
  ])) as [string | undefined];
  if (line === undefined) {
    await close();
    throw new Error(`the server has not started: ${stderr}`);
  }
  const { ports } = JSON.parse(line) as { ports: Record<string, number> };
  return {
    pid: child.pid!,
    ports,
    wsUrl: `ws://127.0.0.1:${ports['ws.port']}`,
    async rest(path, body) {
      const response = await fetch(`http://127.0.0.1:${ports['http.port']}/rest-api${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
    close,
  };
}
