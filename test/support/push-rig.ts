import { join } from 'node:path';
import Database from 'better-sqlite3';
import { vi } from 'vitest';
import type { PushView } from '../../src/services/transponder-request.ts';
import { startBrowser, type TestBrowser } from './browser.ts';
import { startNginxRtmp, type NginxCall, type NginxRtmp, type NginxRtmpOptions } from './nginx-rtmp.ts';
import { openPublisherPage, type PublisherPage, type PublisherPageOptions } from './publisher-page.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const DEADLINE_MS = 15_000;

export interface StoredPush {
  readonly state: string;
  readonly reason: string | null;
  readonly desired: string;
}

/** Formats that the browser is kept from, so that it publishes the other one. */
export const H264_ONLY = 'VP8,VP9,AV1';
export const VP8_ONLY = 'H264,VP9,AV1';

/** The whole chain: Chromium with a publishing page, the application, nginx-rtmp. */
export interface PushRig {
  readonly app: TestApp;
  readonly browser: TestBrowser;
  readonly nginx: NginxRtmp;
  readonly page: PublisherPage;
  /** A 200 of /push/startup. */
  startup(body: object): Promise<PushView>;
  terminate(push: PushView): Promise<void>;
  row(id: string): StoredPush;
  rows(sql: string, id: string): readonly Record<string, unknown>[];
  waitForState(id: string, state: string): Promise<void>;
  /** The first notification of nginx that fits, past or to come. */
  waitForNginx(kind: string, fields: NginxCall): Promise<NginxCall>;
  close(): Promise<void>;
}

export interface PushRigOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly nginx?: NginxRtmpOptions;
  readonly page?: PublisherPageOptions;
  /** Whose browser and nginx to use, so that only an application of other settings is started. */
  readonly sharing?: Pick<PushRig, 'browser' | 'nginx'>;
}

/** Closes what it has started when something does not start. */
export async function startPushRig(options: PushRigOptions = {}): Promise<PushRig> {
  const built: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const end of built.splice(0).toReversed()) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'the rig did not close as it should');
  };
  try {
    const nginx = options.sharing?.nginx ?? (await startNginxRtmp(options.nginx));
    if (!options.sharing) built.push(() => nginx.stop());
    const app = await startTestApp(options.settings);
    built.push(() => app.close('test ended'));
    const browser = options.sharing?.browser ?? (await startBrowser());
    if (!options.sharing) built.push(() => browser.close());
    const page = await openPublisherPage(browser, app.wsUrl, options.page);
    built.push(() => page.close());
    return rigOf(app, browser, nginx, page, built, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function rigOf(
  app: TestApp,
  browser: TestBrowser,
  nginx: NginxRtmp,
  page: PublisherPage,
  built: (() => Promise<void>)[],
  close: () => Promise<void>,
): PushRig {
  const database = new Database(join(app.directory, 'data', 'transponder.sqlite'), { readonly: true });
  built.push(async () => void database.close());
  const rows = (sql: string, id: string) => database.prepare(sql).all(id) as Record<string, unknown>[];
  const row = (id: string) => rows('SELECT state, reason, desired FROM transponder WHERE id = ?', id)[0] as never;
  return {
    app,
    browser,
    nginx,
    page,
    rows,
    row,
    async startup(body) {
      const answer = await app.rest('/rest-api/push/startup', body);
      if (answer.status !== 200) throw new Error(`startup: ${answer.status} ${answer.text}`);
      return answer.json() as PushView;
    },
    async terminate({ mediaSessionId }) {
      const { status, text } = await app.rest('/rest-api/push/terminate', { mediaSessionId });
      if (status !== 200) throw new Error(`terminate: ${status} ${text}`);
    },
    waitForState: (id, state) =>
      vi.waitFor(
        () => {
          const found: StoredPush = row(id);
          if (found.state !== state) throw new Error(`the push is ${found.state} (${found.reason}), not ${state}`);
        },
        { timeout: DEADLINE_MS, interval: 50 },
      ),
    waitForNginx: (kind, fields) =>
      vi.waitFor(
        () => {
          const call = nginx.calls.find(
            (candidate) =>
              candidate['call'] === kind && Object.entries(fields).every(([key, value]) => candidate[key] === value),
          );
          if (!call)
            throw new Error(`no ${kind} with ${JSON.stringify(fields)} at nginx: ${JSON.stringify(nginx.calls)}`);
          return call;
        },
        { timeout: DEADLINE_MS, interval: 20 },
      ),
    close,
  };
}
