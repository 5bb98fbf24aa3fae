import { readFileSync, readdirSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { AppError } from '../domain/errors.ts';

const MIGRATIONS = new URL('./migrations/', import.meta.url);

/**
 * Brings the schema up to date: every `NNN-*.sql` above `user_version`, in order, each in its own transaction.
 * Throws BAD_CONFIGURATION when the file was written by a newer version of the program.
 */
export function migrate(database: Database): void {
  const migrations = readdirSync(MIGRATIONS)
    .map((name) => ({ name, version: Number(/^(\d{3})-.*\.sql$/.exec(name)?.[1]) }))
    .filter(({ version }) => version > 0)
    .sort((a, b) => a.version - b.version);
  const newest = migrations.at(-1)?.version ?? 0;
  const current = Number(database.pragma('user_version', { simple: true }));
  if (current > newest) {
    throw new AppError(
      'BAD_CONFIGURATION',
      `the database has schema version ${current}; this program knows versions up to ${newest}`,
    );
  }
  for (const { name, version } of migrations) {
    if (version <= current) continue;
    const sql = readFileSync(new URL(name, MIGRATIONS), 'utf8');
    database
      .transaction(() => {
        database.exec(sql);
        database.pragma(`user_version = ${version}`);
      })
      .immediate();
  }
}
