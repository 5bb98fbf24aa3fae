import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { startTestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const PUSHES = 12;

describe('limits of pushes', () => {
  let nginx: NginxRtmp;
  let app: TestApp;
  const cleanups: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    nginx = await startNginxRtmp();
    cleanups.push(() => nginx.stop());
    // No ffmpeg is as small as that.
    app = await startTestApp({ rtmp_push_memory_limit_bytes: String(1 << 20) });
    cleanups.push(() => app.close('test ended'));
    const publisher = await startTestPublisher(app.wsUrl, 'flow');
    cleanups.push(() => publisher.close('test ended'));
  }, 60_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it('let pushes of one host start in turn without failing any, and end those that are over a limit for 10 s', async () => {
    const answers = await Promise.all(
      Array.from({ length: PUSHES }, (_, n) =>
        app.rest('/rest-api/push/startup', {
          streamName: 'flow',
          rtmpUrl: nginx.url(`live/p${n}`),
          rtmpTransponderFullUrl: true,
        }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const ids = answers.map((answer) => (answer.json() as PushView).mediaSessionId);
    const database = new Database(join(app.directory, 'data', 'transponder.sqlite'), { readonly: true });
    cleanups.push(async () => void database.close());
    const sql = 'SELECT spawned_at AS spawnedMs, ready_at AS readyMs, exit_class AS exitClass FROM run';
    const runs = database.prepare<[], { spawnedMs: number; readyMs: number | null; exitClass: string | null }>(sql);
    await waitUntil(
      () => (ids.every((id) => app.pushStatus(id) === undefined) ? true : undefined),
      40_000,
      () => JSON.stringify(runs.all()),
    );
    expect(runs.all().map(({ exitClass }) => exitClass)).toEqual(ids.map(() => 'limit_memory'));
    const starts = runs.all().map(({ spawnedMs, readyMs }) => readyMs! - spawnedMs);
    console.log(`${PUSHES} pushes at once were ACTIVE after ${starts.toSorted((a, b) => a - b).join(', ')} ms`);
    expect(Math.max(...starts)).toBeLessThan(10_000);
  });
});
