import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TransponderRow } from '../../src/store/transponders.ts';

/** A directory of its own for one test, with the paths of a database and its key; `remove` when done. */
export function storeDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'transponder-store-'));
  return {
    directory,
    path: join(directory, 'transponder.db'),
    keyPath: join(directory, 'transponder.key'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function rowWith(change: Partial<TransponderRow>): TransponderRow {
  return {
    id: 'id1',
    kind: 'rtmp_push',
    caller: 'rest',
    streamName: 'stream1',
    remoteName: 'rtmp_stream1',
    destRedacted: 'rtmp://host:1935/live/***',
    destHash: 'hash1',
    destSecret: Buffer.from('sealed'),
    requestJson: '{}',
    paramsJson: '{}',
    policyJson: '{"kind":"persistent"}',
    desired: 'run',
    state: 'NEW',
    stateSinceMs: 1000,
    reason: null,
    muted: false,
    soundJson: null,
    attempt: 0,
    restartsTotal: 0,
    nextRetryAtMs: null,
    lastActiveAtMs: null,
    createdAtMs: 1000,
    updatedAtMs: 1000,
    terminatedAtMs: null,
    ...change,
  };
}
