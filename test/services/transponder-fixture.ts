import { randomBytes } from 'node:crypto';
import type { Logger } from '../../src/domain/logger.ts';
import type { AddressPolicy } from '../../src/egress/address-policy.ts';
import type { HostResolver } from '../../src/services/resolve-host.ts';
import { TransponderService } from '../../src/services/transponders.ts';
import type { TransponderConfig } from '../../src/services/transponders.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/open-store.ts';
import type { AdmissionDecision } from '../../src/supervisor/admission.ts';
import { storeDirectory } from '../store/store-fixture.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { FakePushRuns } from './fake-push-runs.ts';

interface FixtureOptions {
  readonly config?: Partial<TransponderConfig>;
  readonly resolveHost?: HostResolver;
  readonly allowAddress?: AddressPolicy;
  readonly random?: () => number;
  /** Seen by the service instead of the real store. */
  readonly admission?: AdmissionDecision;
  readonly wrapStore?: (store: Store) => Store;
}

/** The service on a real store, a manual clock and fake runs. Everything it logs is in `logged`. */
export function transponderFixture(options: FixtureOptions = {}) {
  const { admission = { ok: true }, allowAddress, config, resolveHost, random, wrapStore } = options;
  const files = storeDirectory();
  const store = openStore(files);
  const clock = new ManualClock();
  const runs = new FakePushRuns();
  const logged: string[] = [];
  const reserved: number[] = [];
  const service = new TransponderService({
    config: {
      streamNamePrefix: 'rtmp_',
      fullUrl: false,
      sendMetadata: false,
      flashVersion: 'LNX 76.219.189.0',
      restartPolicy: 'wcs',
      restore: false,
      restoreAttempts: 3,
      restoreIntervalMs: 5000,
      restoreOnStart: { onStart: 'if_source_returns', windowMs: 600_000 },
      autoStartUrl: undefined,
      maxTransponders: 1000,
      ...config,
    },
    store: wrapStore ? wrapStore(store) : store,
    clock,
    logger: recordingLogger(logged),
    runs,
    resolveHost: resolveHost ?? (() => Promise.resolve([{ address: '203.0.114.1' }])),
    allowAddress: allowAddress ?? (() => undefined),
    admission: { check: () => admission, reserve: (cores) => void reserved.push(cores) },
    hasSoundFile: (name) => Promise.resolve(name === 'test.wav'),
    bootId: 'boot1',
    processUsage: () => ({ cpuMs: 120, rssBytes: 20_000_000, maxRssBytes: 30_000_000 }),
    random: random ?? (() => 0.5),
    randomBytes,
  });
  return {
    service,
    store,
    clock,
    runs,
    logged,
    /** Cores that were reserved for pushes, one after the other. */
    reserved,
    files,
    async close() {
      runs.diesWhenAsked = true;
      for (const run of runs.alive) run.end('killed');
      await service.close();
      store.close();
      files.remove();
    },
  };
}

export type TransponderFixture = ReturnType<typeof transponderFixture>;

function recordingLogger(logged: string[]): Logger {
  const record = (fields: object, sentence: string) => {
    const causes = Object.values(fields).map((field) =>
      field instanceof Error ? `${field.stack} ${field.cause}` : '',
    );
    logged.push(`${JSON.stringify(fields)} ${sentence} ${causes.join(' ')}`);
  };
  return {
    debug: record,
    info: record,
    warn: record,
    error: record,
    child(fields) {
      logged.push(JSON.stringify(fields));
      return recordingLogger(logged);
    },
  };
}
