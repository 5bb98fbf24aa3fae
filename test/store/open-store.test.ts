import { chmodSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { rowWith, storeDirectory } from './store-fixture.ts';

let files: ReturnType<typeof storeDirectory>;
beforeEach(() => {
  files = storeDirectory();
});
afterEach(() => files.remove());

describe('openStore', () => {
  it('makes the database and the key readable by their owner only', () => {
    const store = openStore(files);
    expect(statSync(files.path).mode & 0o777).toBe(0o600);
    expect(statSync(files.keyPath).mode & 0o777).toBe(0o600);
    store.close();
    store.close();
  });

  it('finds everything again when it is opened anew', () => {
    const first = openStore(files);
    const row = rowWith({ destSecret: first.secrets.seal('rtmp://h/app', 'id1'), muted: true, nextRetryAtMs: 7 });
    first.transponders.insert(row);
    first.close();
    const second = openStore(files);
    expect(second.transponders.get('id1')).toEqual(row);
    expect(second.secrets.open(second.transponders.get('id1')!.destSecret, 'id1')).toBe('rtmp://h/app');
    second.close();
  });

  it('can be written to without anything changing, and says where it cannot', () => {
    const store = openStore(files);
    const other = new BetterSqlite3(files.path);
    const meta = () => other.prepare('SELECT * FROM meta').all();
    const before = meta();
    const walBytes = () => statSync(`${files.path}-wal`).size;
    const walBefore = walBytes();
    store.touch();
    expect(meta()).toEqual(before);
    expect(walBytes()).toBeGreaterThan(walBefore);
    other.exec('BEGIN IMMEDIATE');
    expect(() => store.touch()).toThrow(expect.objectContaining({ code: 'SQLITE_BUSY' }));
    other.close();
    store.close();
  });

  it('uses WAL, full synchronisation and foreign keys', () => {
    openStore(files).close();
    const raw = new BetterSqlite3(files.path);
    expect(raw.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(raw.pragma('user_version', { simple: true })).toBe(2);
    expect(raw.prepare('SELECT strict FROM pragma_table_list WHERE name = ?').pluck().get('transponder')).toBe(1);
    raw.close();
  });

  it('refuses at once what another program that writes is in the way of', () => {
    const store = openStore(files);
    const other = new BetterSqlite3(files.path);
    other.exec('BEGIN IMMEDIATE');
    const triesMs = Array.from({ length: 5 }, () => {
      const startMs = performance.now();
      expect(() => store.transponders.insert(rowWith({}))).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
      return performance.now() - startMs;
    });
    // A busy machine may hold up any one of them.
    expect(Math.min(...triesMs)).toBeLessThan(200);
    other.exec('ROLLBACK');
    store.transponders.insert(rowWith({}));
    other.close();
    store.close();
  });

  it('says that a directory cannot be written to', () => {
    const blocker = join(files.directory, 'file');
    writeFileSync(blocker, '');
    expect(() => openStore({ ...files, path: join(blocker, 'transponder.db') })).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIGURATION' }),
    );
  });

  it.skipIf(process.getuid?.() === 0)('says that a directory is read-only', () => {
    const readOnly = join(files.directory, 'read-only');
    mkdirSync(readOnly, { mode: 0o500 });
    expect(() => openStore({ ...files, path: join(readOnly, 'transponder.db') })).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIGURATION' }),
    );
  });

  it('says that a directory in the place of the database cannot be opened', () => {
    mkdirSync(files.path);
    expect(() => openStore(files)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
  });

  it('says that a file is no database', () => {
    writeFileSync(files.path, 'this is a text and not a database. '.repeat(200));
    expect(() => openStore(files)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
  });

  it('says that a database is damaged', () => {
    const store = openStore(files);
    for (let n = 0; n < 200; n++) store.transponders.insert(rowWith({ id: `id${n}`, destHash: `${n}` }));
    store.close();
    const bytes = readFileSync(files.path);
    bytes.fill(0xa5, 8192, bytes.length - 4096);
    writeFileSync(files.path, bytes);
    expect(() => openStore(files)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
  });

  it('says that a database was cut short', () => {
    const store = openStore(files);
    for (let n = 0; n < 200; n++) store.transponders.insert(rowWith({ id: `id${n}`, destHash: `${n}` }));
    store.close();
    truncateSync(files.path, 12_000);
    expect(() => openStore(files)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
  });

  it('refuses a database of a newer version', () => {
    openStore(files).close();
    const raw = new BetterSqlite3(files.path);
    raw.pragma('user_version = 999');
    raw.close();
    expect(() => openStore(files)).toThrow(/schema version 999/);
  });

  it('refuses a key that is not the one the database was made with', () => {
    openStore(files).close();
    expect(() => openStore({ ...files, keyPath: `${files.keyPath}2` })).toThrow(/does not belong/);
  });

  it('refuses a key that others may use, and one of the wrong size', () => {
    openStore(files).close();
    chmodSync(files.keyPath, 0o644);
    expect(() => openStore(files)).toThrow(/mode 600/);
    writeFileSync(`${files.keyPath}2`, 'short', { mode: 0o600 });
    expect(() => openStore({ ...files, keyPath: `${files.keyPath}2` })).toThrow(/5 bytes/);
  });

  it('undoes the whole transaction when a part of it fails', () => {
    const store = openStore(files);
    expect(() =>
      store.transaction(() => {
        store.transponders.insert(rowWith({ id: 'a' }));
        throw new Error('half way');
      }),
    ).toThrow('half way');
    expect(store.transponders.get('a')).toBeUndefined();
    store.close();
  });
});
