import type { Database } from 'better-sqlite3';
import type { TransponderState } from '../domain/transponder.ts';

/** A row of `event`: one transition of one transponder. `detail` is for the operator and holds no secret. */
export interface EventRow {
  readonly atMs: number;
  readonly transponderId: string;
  readonly type: string;
  readonly fromState: TransponderState;
  readonly toState: TransponderState;
  readonly detail: string | null;
}

export interface EventRepository {
  append(event: EventRow): void;
  /** Newest first. */
  ofTransponder(transponderId: string, limit: number): EventRow[];
  /** Deletes at most `limit` events older than `beforeMs`; returns how many. */
  deleteOlder(beforeMs: number, limit: number): number;
}

export function createEventRepository(database: Database): EventRepository {
  const append = database.prepare<
    [EventRow]
  >(`INSERT INTO event (at, transponder_id, type, from_state, to_state, detail)
    VALUES (@atMs, @transponderId, @type, @fromState, @toState, @detail)`);
  const ofTransponder = database.prepare<
    [string, number],
    EventRow
  >(`SELECT at AS atMs, transponder_id AS transponderId,
    type, from_state AS fromState, to_state AS toState, detail FROM event WHERE transponder_id = ?
    ORDER BY seq DESC LIMIT ?`);
  const deleteOlder = database.prepare<[number, number]>(
    'DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE at < ? LIMIT ?)',
  );
  return {
    append: (event) => void append.run(event),
    ofTransponder: (transponderId, limit) => ofTransponder.all(transponderId, limit),
    deleteOlder: (beforeMs, limit) => deleteOlder.run(beforeMs, limit).changes,
  };
}
