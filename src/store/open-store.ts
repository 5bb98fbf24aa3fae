import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { AppError } from '../domain/errors.ts';
import { createEventRepository } from './events.ts';
import type { EventRepository } from './events.ts';
import { migrate } from './migrate.ts';
import { createRunRepository } from './runs.ts';
import type { RunRepository } from './runs.ts';
import { openSecretBox } from './secret-box.ts';
import type { SecretBox } from './secret-box.ts';
import { createTransponderRepository } from './transponders.ts';
import type { TransponderRepository } from './transponders.ts';

const OPEN_TIMEOUT_MS = 5000;
/** While another program holds the lock everything here stands still: media wait for it no longer than for a slow disk. */
const BUSY_TIMEOUT_MS = 25;

/** What the supervisor remembers across restarts. Closed by whoever opened it, after every service that writes. */
export interface Store {
  readonly transponders: TransponderRepository;
  readonly runs: RunRepository;
  readonly events: EventRepository;
  readonly secrets: SecretBox;
  /** All of `work` or nothing of it. */
  transaction<T>(work: () => T): T;
  /** When a supervisor last said that it was there; undefined in a database that has seen none that says so. */
  lastAliveAtMs(): number | undefined;
  setAlive(atMs: number): void;
  /** Writes without changing anything; throws what any write would throw now. */
  touch(): void;
  /** Idempotent. */
  close(): void;
}

export interface StoreOptions {
  /** The database file; its directory is made where it is missing. */
  readonly path: string;
  /** The key file of the secret box; keep it off the backups of the database. */
  readonly keyPath: string;
}

/**
 * Opens, checks and migrates the database. Throws BAD_CONFIGURATION (path or key file cannot be used, or the schema is
 * newer) or STORE_FAILED (no database, damaged, or sealed with another key).
 */
export function openStore({ path, keyPath }: StoreOptions): Store {
  let database: BetterSqlite3.Database | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new BetterSqlite3(path, { timeout: OPEN_TIMEOUT_MS });
    chmodSync(path, 0o600);
    prepare(database, path);
    const secrets = openSecretBox(keyPath);
    bindKey(database, secrets, path);
    database.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return assemble(database, secrets);
  } catch (error) {
    database?.close();
    throw asAppError(error, path);
  }
}

/** `synchronous=FULL`: transitions are rare, and an order to stop must survive a power cut. */
function prepare(database: BetterSqlite3.Database, path: string): void {
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.pragma('foreign_keys = ON');
  const verdict = database.pragma('integrity_check(1)', { simple: true });
  if (verdict !== 'ok') throw new AppError('STORE_FAILED', `the database ${path} is damaged: ${String(verdict)}`);
  migrate(database);
}

/** The first key a database sees is its key for ever: with another one its destinations could be neither dialled nor compared. */
function bindKey(database: BetterSqlite3.Database, secrets: SecretBox, path: string): void {
  database.prepare(`INSERT OR IGNORE INTO meta (key, value) VALUES ('key_id', ?)`).run(secrets.keyId);
  const keyId = database.prepare<[], string>(`SELECT value FROM meta WHERE key = 'key_id'`).pluck().get();
  if (keyId !== secrets.keyId) throw new AppError('STORE_FAILED', `the key file does not belong to database ${path}`);
}

function assemble(database: BetterSqlite3.Database, secrets: SecretBox): Store {
  const version = String(database.pragma('user_version', { simple: true }));
  const aliveAt = database.prepare<[], string>(`SELECT value FROM meta WHERE key = 'alive_at'`).pluck();
  const setAliveAt = database.prepare<[string]>(`INSERT OR REPLACE INTO meta (key, value) VALUES ('alive_at', ?)`);
  return {
    transponders: createTransponderRepository(database),
    runs: createRunRepository(database),
    events: createEventRepository(database),
    secrets,
    transaction: (work) => database.transaction(work).immediate(),
    lastAliveAtMs() {
      const atMs = aliveAt.get();
      return atMs === undefined ? undefined : Number(atMs);
    },
    setAlive: (atMs) => void setAliveAt.run(String(atMs)),
    // SQLite skips the writing of a row that stays as it is, but not of this.
    touch: () => void database.pragma(`user_version = ${version}`),
    close: () => void database.close(),
  };
}

const DAMAGED = new Set(['SQLITE_NOTADB', 'SQLITE_CORRUPT', 'SQLITE_IOERR_SHORT_READ']);

function asAppError(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (DAMAGED.has(code)) {
    return new AppError('STORE_FAILED', `${path} is no SQLite database, or is damaged (${code})`, { cause: error });
  }
  return new AppError('BAD_CONFIGURATION', `the database ${path} cannot be opened for writing (${code || 'unknown'})`, {
    cause: error,
  });
}
