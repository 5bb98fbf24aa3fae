import type { Database } from 'better-sqlite3';
import { AppError } from '../domain/errors.ts';
import type { Desired, TransponderCaller, TransponderKind, TransponderState } from '../domain/transponder.ts';

/** A row of `transponder`. Times are milliseconds since 1970; texts ending in `Json` belong to the service that wrote them. */
export interface TransponderRow {
  readonly id: string;
  readonly kind: TransponderKind;
  readonly caller: TransponderCaller;
  readonly streamName: string;
  readonly remoteName: string;
  readonly destRedacted: string;
  readonly destHash: string;
  readonly destSecret: Buffer;
  readonly requestJson: string;
  readonly paramsJson: string;
  readonly policyJson: string;
  readonly desired: Desired;
  readonly state: TransponderState;
  readonly stateSinceMs: number;
  readonly reason: string | null;
  readonly muted: boolean;
  readonly soundJson: string | null;
  readonly attempt: number;
  readonly restartsTotal: number;
  readonly nextRetryAtMs: number | null;
  readonly lastActiveAtMs: number | null;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly terminatedAtMs: number | null;
}

/** Filters are ANDed; absent = any. */
export interface RowFilter {
  readonly state?: TransponderState | undefined;
  readonly kind?: TransponderKind | undefined;
  readonly streamName?: string | undefined;
}

export interface TransponderRepository {
  /**
   * Throws TRANSPONDER_EXISTS when a live row has the same kind, stream name and destination (unique index, not a look-up), and
   * OVERLOADED while the store takes no writes.
   */
  insert(row: TransponderRow): void;
  /** Writes what can change after the insert. Throws TRANSPONDER_EXISTS as `insert` when the row becomes live again. */
  update(row: TransponderRow): void;
  /** Also of ended ones, newest first, and how many there are in all. */
  list(filter: RowFilter, limit: number, offset: number): { readonly rows: TransponderRow[]; readonly total: number };
  get(id: string): TransponderRow | undefined;
  /** Every row that is not FAILED or TERMINATED, oldest first. */
  unfinished(): TransponderRow[];
  /** Deletes rows that ended before `beforeMs` or before the last `kept`, with their runs and events; at most `limit`. Returns how many. */
  deleteEnded(beforeMs: number, kept: number, limit: number): number;
}

const COLUMNS = `id, kind, caller, stream_name AS streamName, remote_name AS remoteName, dest_redacted AS destRedacted,
  dest_hash AS destHash, dest_secret AS destSecret, request_json AS requestJson, params_json AS paramsJson,
  policy_json AS policyJson, desired, state, state_since AS stateSinceMs, reason, muted, sound_json AS soundJson, attempt,
  restarts_total AS restartsTotal, next_retry_at AS nextRetryAtMs, last_active_at AS lastActiveAtMs,
  created_at AS createdAtMs, updated_at AS updatedAtMs, terminated_at AS terminatedAtMs`;

type RawRow = Omit<TransponderRow, 'muted'> & { readonly muted: number };

export function createTransponderRepository(database: Database): TransponderRepository {
  const insert = database.prepare<
    [RawRow]
  >(`INSERT INTO transponder (id, kind, caller, stream_name, remote_name, dest_redacted,
    dest_hash, dest_secret, request_json, params_json, policy_json, desired, state, state_since, reason, muted, sound_json,
    attempt, restarts_total, next_retry_at, last_active_at, created_at, updated_at, terminated_at)
    VALUES (@id, @kind, @caller, @streamName, @remoteName, @destRedacted, @destHash, @destSecret, @requestJson, @paramsJson,
    @policyJson, @desired, @state, @stateSinceMs, @reason, @muted, @soundJson, @attempt, @restartsTotal, @nextRetryAtMs,
    @lastActiveAtMs, @createdAtMs, @updatedAtMs, @terminatedAtMs)`);
  const update = database.prepare<[RawRow]>(`UPDATE transponder SET desired = @desired, state = @state,
    state_since = @stateSinceMs, reason = @reason, muted = @muted, sound_json = @soundJson, attempt = @attempt,
    restarts_total = @restartsTotal, next_retry_at = @nextRetryAtMs, last_active_at = @lastActiveAtMs,
    updated_at = @updatedAtMs, terminated_at = @terminatedAtMs WHERE id = @id`);
  const get = database.prepare<[string], RawRow>(`SELECT ${COLUMNS} FROM transponder WHERE id = ?`);
  const unfinished = database.prepare<[], RawRow>(
    `SELECT ${COLUMNS} FROM transponder WHERE state NOT IN ('FAILED', 'TERMINATED') ORDER BY created_at, id`,
  );
  const matching = `(@state IS NULL OR state = @state) AND (@kind IS NULL OR kind = @kind)
    AND (@streamName IS NULL OR stream_name = @streamName OR remote_name = @streamName)`;
  const list = database.prepare<[object], RawRow>(
    `SELECT ${COLUMNS} FROM transponder WHERE ${matching} ORDER BY created_at DESC, id LIMIT @limit OFFSET @offset`,
  );
  const count = database.prepare<[object], number>(`SELECT count(*) FROM transponder WHERE ${matching}`).pluck();
  const deleteEnded = database.prepare<[number, number, number]>(
    `DELETE FROM transponder WHERE id IN (SELECT id FROM transponder WHERE terminated_at < max(?, ifnull(
      (SELECT terminated_at FROM transponder WHERE terminated_at IS NOT NULL ORDER BY terminated_at DESC LIMIT 1 OFFSET ?), 0))
      ORDER BY terminated_at LIMIT ?)`,
  );
  return {
    insert: (row) => void once(row, () => insert.run(toRaw(row))),
    list({ state = null, kind = null, streamName = null }, limit, offset) {
      const filter = { state, kind, streamName };
      const rows = list.all({ ...filter, limit, offset }).map((raw) => fromRaw(raw)!);
      return { rows, total: count.get(filter) ?? 0 };
    },
    update: (row) => void once(row, () => update.run(toRaw(row))),
    get: (id) => fromRaw(get.get(id)),
    unfinished: () => unfinished.all().map((raw) => fromRaw(raw)!),
    deleteEnded: (beforeMs, kept, limit) => deleteEnded.run(beforeMs, kept - 1, limit).changes,
  };
}

/** Full, read-only, failing, or locked by another program (sqlite.org/rescode.html, with the extended codes of each). */
const UNWRITABLE = /^SQLITE_(FULL|READONLY|IOERR|BUSY|LOCKED|CANTOPEN|NOMEM)/;

function isUnwritable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && UNWRITABLE.test(String(error.code));
}

/** One live row for one stream and destination: the unique index says so. */
function once<T>({ streamName }: TransponderRow, write: () => T): T {
  try {
    return write();
  } catch (error) {
    if (isUnwritable(error)) {
      throw new AppError('OVERLOADED', 'the store takes no writes at the moment', { cause: error });
    }
    if (!isUniqueViolation(error)) throw error;
    const sentence = `a transponder for stream "${streamName}" and this rtmpUrl already exists`;
    throw new AppError('TRANSPONDER_EXISTS', sentence, { cause: error });
  }
}

function toRaw(row: TransponderRow): RawRow {
  return { ...row, muted: row.muted ? 1 : 0 };
}

function fromRaw(raw: RawRow | undefined): TransponderRow | undefined {
  return raw && { ...raw, muted: raw.muted === 1 };
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'SQLITE_CONSTRAINT_UNIQUE';
}
