import { readFileSync } from 'node:fs';
import BetterSqlite3 from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { rowWith, storeDirectory } from './store-fixture.ts';

const page = readFileSync(new URL('../../docs/database.md', import.meta.url), 'utf8');
const examples = Array.from(page.matchAll(/```sql\n([\s\S]+?)```/g), ([, sql]) => sql!);

let files: ReturnType<typeof storeDirectory>;
let database: BetterSqlite3.Database;

/** One push that backs off after a run of today. */
beforeEach(() => {
  files = storeDirectory();
  const store = openStore(files);
  const nowMs = Date.now();
  const nextRetryAtMs = 1_800_000_000_000;
  store.transponders.insert(
    rowWith({ streamName: 'cam', state: 'BACKOFF', reason: 'dest_reset', attempt: 2, nextRetryAtMs }),
  );
  store.runs.open({ transponderId: 'id1', attempt: 1, bootId: 'boot', nonce: 'n1', spawnedAtMs: nowMs - 5000 });
  store.runs.progress({ nonce: 'n1', bytesOut: 7_000_000, framesOut: 100, bytesAcknowledged: 0 });
  store.runs.end('n1', nowMs, { exitClass: 'dest_reset', detail: 'closed by peer' }, '', '', 20);
  store.events.append({
    atMs: 1_800_000_000_000,
    transponderId: 'id1',
    type: 'runEnded',
    fromState: 'ACTIVE',
    toState: 'BACKOFF',
    detail: 'closed by peer',
    exitClass: 'dest_reset',
  });
  store.close();
  database = new BetterSqlite3(files.path, { readonly: true });
});
afterEach(() => {
  database.close();
  files.remove();
});

describe('the page about the database', () => {
  it('has three examples that answer what they say', () => {
    expect(examples.map((sql) => database.prepare(sql).all())).toEqual([
      [
        {
          id: 'id1',
          stream_name: 'cam',
          dest_redacted: 'rtmp://host:1935/live/***',
          state: 'BACKOFF',
          reason: 'dest_reset',
          attempt: 2,
          next_retry: '2027-01-15 08:00:00',
        },
      ],
      [
        {
          dest_redacted: 'rtmp://host:1935/live/***',
          exit_class: 'dest_reset',
          runs: 1,
          megabytes: 7,
          example: 'closed by peer',
        },
      ],
      [
        {
          time: '2027-01-15 08:00:00',
          transponder_id: 'id1',
          type: 'runEnded',
          transition: 'ACTIVE → BACKOFF',
          detail: 'closed by peer',
        },
      ],
    ]);
  });

  it.each(['transponder', 'run', 'event'])('names every column of %s', (table) => {
    const columns = database.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(table);
    expect(columns.length).toBeGreaterThan(1);
    for (const column of columns) expect(page).toContain(`\`${column}\``);
  });
});
