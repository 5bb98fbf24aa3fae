import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { createApp, type App } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { instanceSettings } from './instance-settings.ts';

export interface TestApp extends App {
  readonly directory: string;
  /** All that was logged, one JSON object a line. */
  log(): string;
  readonly wsUrl: string;
  rest(path: string, body?: unknown): Promise<{ status: number; text: string; json: () => unknown }>;
}

/** The real application on free ports, with its files in a directory of its own that goes with it. */
export async function startTestApp(settings: Readonly<Record<string, string>> = {}): Promise<TestApp> {
  const directory = await mkdtemp(join(tmpdir(), 'transponder-app-'));
  const all = {
    ...instanceSettings(directory),
    log_level: 'debug',
    // The machine that runs the tests is busy with them.
    admission_max_cpu_percent: '0',
    ...settings,
  };
  const { config } = loadConfig(
    Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    {},
  );
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const removeFiles = () => rm(directory, { recursive: true, force: true });
  const app = await createApp(config, createLogger(config.log_level, sink)).catch(async (error: unknown) => {
    await removeFiles();
    throw error;
  });
  const restUrl = `http://127.0.0.1:${app.ports['http.port']}`;
  return {
    ports: app.ports,
    pushStatus: (mediaSessionId) => app.pushStatus(mediaSessionId),
    directory,
    log: () => lines.join(''),
    wsUrl: `ws://127.0.0.1:${app.ports['ws.port']}`,
    async rest(path, body = {}) {
      const response = await fetch(`${restUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, text, json: () => JSON.parse(text) as unknown };
    },
    async close(reason) {
      try {
        await app.close(reason);
      } finally {
        await removeFiles();
      }
    },
  };
}
