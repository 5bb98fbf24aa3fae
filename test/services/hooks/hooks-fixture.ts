import { RestHooks, type HookDone, type RestHooksOptions } from '../../../src/services/hooks/rest-hooks.ts';
import type { Application, ApplicationBackend } from '../../../src/services/hooks/applications.ts';
import type { BackendSession } from '../../../src/services/backend.ts';
import type { Logger } from '../../../src/domain/logger.ts';
import { HookBackend } from '../../support/hook-backend.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** The hooks before a real backend, on a manual clock. Applications: `shop` with the backend, `open` without. */
export async function hooksFixture(
  options: Partial<RestHooksOptions> & { backend?: Partial<ApplicationBackend>; more?: readonly Application[] } = {},
) {
  const { backend: backendOptions, more = [], ...hookOptions } = options;
  const backend = await HookBackend.start();
  const clock = new ManualClock();
  const logged: string[] = [];
  const log = (fields: object, sentence: string): void => void logged.push(`${JSON.stringify(fields)} ${sentence}`);
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  const hooks = new RestHooks({
    applications: [
      { name: 'Shop', appKey: 'shop', backend: { url: backend.url, ...backendOptions } },
      { name: 'Open', appKey: 'open' },
      ...more,
    ],
    nodeId: 'N@192.0.2.1',
    isDisabled: false,
    timeoutMs: 15_000,
    maxConnections: 200,
    secretKey: undefined,
    userAgent: 'Transponder/test',
    clock,
    logger,
    ...hookOptions,
  });
  const done: HookDone[] = [];
  hooks.onDone((one) => done.push(one));
  let port = 5000;
  return {
    backend,
    clock,
    hooks,
    logged,
    done,
    session(appKey = 'shop', kind: BackendSession['kind'] = 'websocket'): BackendSession {
      port += 1;
      const connection = {
        appKey,
        mediaProviders: [],
        keepAlive: false,
        clientVersion: '',
        clientOSVersion: '',
        clientBrowserVersion: '',
      };
      return { sessionId: `/127.0.0.1:${port}/192.0.2.1:8080`, appKey, connection, origin: undefined, kind };
    },
    async [Symbol.asyncDispose](): Promise<void> {
      const closing = hooks.close();
      clock.advance(60_000);
      await closing;
      await backend[Symbol.asyncDispose]();
    },
  };
}
