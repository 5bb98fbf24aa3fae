import type { Database } from 'better-sqlite3';
import type { ExitClass, TransponderState } from '../domain/transponder.ts';

/** A row of `event`: one transition of one transponder. `detail` is for the operator and holds no secret. */
export interface EventRow {
  readonly atMs: number;
  readonly transponderId: string;
  readonly type: string;
  readonly fromState: TransponderState;
  readonly toState: TransponderState;
  readonly detail: string | null;
  /** Of the run that ended, where one did. */
  readonly exitClass: ExitClass | null;
}

/** `seq` grows with every event and is never used again. */
export interface StoredEvent extends EventRow {
  readonly seq: number;
}

export interface EventRepository {
  /** Forgets all but the newest thousand of its transponder: one that fails for days would fill the disk. */
  append(event: EventRow): void;
  /** Newest first. */
  ofTransponder(transponderId: string, limit: number): StoredEvent[];
  /** Oldest first: those of all transponders that came after the one with number `seq`. */
  after(seq: number, limit: number): StoredEvent[];
  /** Of the newest event; 0 when there is none. */
  lastSeq(): number;
  /** Deletes at most `limit` events older than `beforeMs`; returns how many. */
  deleteOlder(beforeMs: number, limit: number): number;
}

const KEPT_OF_EACH = 1000;
/** More than one is found only in files of earlier versions, which kept all. */
const MAX_FORGOTTEN_AT_ONCE = 100;

const COLUMNS = `seq, at AS atMs, transponder_id AS transponderId, type, from_state AS fromState, to_state AS toState,
  detail, exit_class AS exitClass`;

export function createEventRepository(database: Database): EventRepository {
  const append = database.prepare<
    [EventRow]
  >(`INSERT INTO event (at, transponder_id, type, from_state, to_state, detail, exit_class)
    VALUES (@atMs, @transponderId, @type, @fromState, @toState, @detail, @exitClass)`);
  const forget = database.prepare<[string, number, number]>(`DELETE FROM event WHERE seq IN
    (SELECT seq FROM event WHERE transponder_id = ? ORDER BY seq DESC LIMIT ? OFFSET ?)`);
  const ofTransponder = database.prepare<[string, number], StoredEvent>(
    `SELECT ${COLUMNS} FROM event WHERE transponder_id = ? ORDER BY seq DESC LIMIT ?`,
  );
  const after = database.prepare<[number, number], StoredEvent>(
    `SELECT ${COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?`,
  );
  const lastSeq = database.prepare<[], number>(`SELECT seq FROM sqlite_sequence WHERE name = 'event'`).pluck();
  const deleteOlder = database.prepare<[number, number]>(
    'DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE at < ? LIMIT ?)',
  );
  return {
    append(event) {
      append.run(event);
      forget.run(event.transponderId, MAX_FORGOTTEN_AT_ONCE, KEPT_OF_EACH);
    },
    ofTransponder: (transponderId, limit) => ofTransponder.all(transponderId, limit),
    after: (seq, limit) => after.all(seq, limit),
    lastSeq: () => lastSeq.get() ?? 0,
    deleteOlder: (beforeMs, limit) => deleteOlder.run(beforeMs, limit).changes,
  };
}
