import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HookBackend } from './hook-backend.ts';
import { startTestApp, type TestApp } from './test-app.ts';

export interface HookRig extends AsyncDisposable {
  readonly backend: HookBackend;
  readonly app: TestApp;
}

/** The real application before a real backend, which pages (`defaultApp`) and RTMP clients are asked about. */
export async function startHookRig(
  settings: Readonly<Record<string, string>> = {},
  application: Readonly<Record<string, unknown>> = {},
): Promise<HookRig> {
  await using started = new AsyncDisposableStack();
  const backend = started.use(await HookBackend.start());
  const directory = await mkdtemp(join(tmpdir(), 'transponder-hooks-'));
  started.defer(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'applications.json');
  const applications = ['defaultApp', 'flashStreamingApp'].map((appKey) => ({
    name: appKey,
    appKey,
    url: backend.url,
    ...application,
  }));
  await writeFile(file, JSON.stringify({ applications }));
  const app = await startTestApp({ applications_file: file, ...settings });
  started.defer(() => app.close('end of test'));
  const stack = started.move();
  return { backend, app, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
