import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Closable } from '../../src/domain/life-cycle.ts';
import type { PushView } from '../../src/services/transponder-request.ts';
import { AwakeClock } from '../support/awake-clock.ts';
import { startNginxRtmp, type NginxRtmp } from '../support/nginx-rtmp.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { startTestPublisher } from '../support/test-publisher.ts';
import { waitUntil } from '../support/wait-until.ts';

const START_TIMEOUT_MS = 20_000;

describe('a push whose destination takes less than it is given', () => {
  let app: TestApp;
  let publisher: Closable;
  const cleanups: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    app = await startTestApp();
    publisher = await startTestPublisher(app.wsUrl, 'flow');
  }, 60_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    await publisher?.close('test ended');
    await app?.close('test ended');
  });

  const active = async (rtmpUrl: string): Promise<string> => {
    const answer = await app.rest('/rest-api/push/startup', { streamName: 'flow', rtmpUrl });
    expect(answer.text).toContain('mediaSessionId');
    const { mediaSessionId } = answer.json() as PushView;
    await waitUntil(
      () => (app.pushStatus(mediaSessionId)?.state === 'ACTIVE' ? true : undefined),
      START_TIMEOUT_MS,
      () => JSON.stringify(app.pushStatus(mediaSessionId)),
    );
    return mediaSessionId;
  };

  it('leaves ACTIVE within 9 s of the moment from which a frozen destination takes no more bytes', async () => {
    const nginx: NginxRtmp = await startNginxRtmp();
    cleanups.push(() => nginx.stop());
    const id = await active(nginx.url('live'));
    using awake = new AwakeClock();
    nginx.kill('SIGSTOP');
    const frozenMs = Date.now();
    // Its kernel takes bytes on for a while; what its process has not read stops growing when it takes no more.
    let taken = -1;
    let stoppedMs = frozenMs;
    await waitUntil(
      async () => {
        const queued = await unreadBytes(nginx.rtmpPort);
        if (queued > taken) stoppedMs = Date.now();
        taken = Math.max(taken, queued);
        return app.pushStatus(id)?.state === 'ACTIVE' ? undefined : true;
      },
      40_000,
      () => JSON.stringify(app.pushStatus(id)),
    );
    const leftMs = Date.now();
    console.log(
      `frozen: took ${taken} bytes for ${stoppedMs - frozenMs} ms, left ACTIVE ${leftMs - stoppedMs} ms later`,
    );
    // It may be DEGRADED before, by the pictures that are given up meanwhile, but it is not taken for stalled too soon.
    expect(awake.betweenMs(stoppedMs, leftMs)).toBeLessThan(9000);
    await waitUntil(
      () => (app.pushStatus(id) === undefined ? true : undefined),
      START_TIMEOUT_MS,
      () => JSON.stringify(app.pushStatus(id)),
    );
    expect(Date.now() - stoppedMs).toBeGreaterThan(7000);
    expect(endOfRun(app, id)).toBe('stalled');
  });
});

/** What connections to that port of this machine have received and not read. */
async function unreadBytes(port: number): Promise<number> {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = (await readFile('/proc/net/tcp', 'latin1')).split('\n').map((row) => row.trim().split(/\s+/));
  return rows
    .filter(([, address, , state]) => address === local && state === '01')
    .reduce((sum, row) => sum + Number.parseInt(row[4]!.split(':')[1]!, 16), 0);
}

function endOfRun(app: TestApp, id: string): string | undefined {
  const database = new Database(join(app.directory, 'data', 'transponder.sqlite'), { readonly: true });
  try {
    const sql = 'SELECT exit_class AS exitClass FROM run WHERE transponder_id = ? ORDER BY run_id DESC';
    return database.prepare<[string], { exitClass: string }>(sql).get(id)?.exitClass;
  } finally {
    database.close();
  }
}
