import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AppError } from '../domain/errors.ts';

/**
 * Makes sure that one server at a time works with a data directory: two would sweep each other's children away. What is held
 * is the kernel's lock on a file, by way of SQLite, which knows how to ask for it: two that start at the same moment cannot both
 * have it, it ends with the process however that ends, and it counts between containers. The file stays; it says nothing.
 * Returns how to release it. Throws AppError BAD_CONFIGURATION while another server runs.
 */
export function lockDirectory(key: string, directory: string): () => void {
  const file = join(directory, 'server.lock');
  const database = new Database(file, { timeout: 0 });
  try {
    // Nothing is ever written, so that this works on a full disk too.
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw error;
    throw new AppError(
      'BAD_CONFIGURATION',
      `${key}="${directory}" is in use by a server that runs already (fuser ${file} tells which); expected a directory of its own`,
    );
  }
  return () => void database.close();
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY';
}
