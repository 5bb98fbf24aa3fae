import type { Database } from 'better-sqlite3';
import type { ExitClass, RunEnd } from '../domain/transponder.ts';

/** What is known before a child is spawned: written first, so that a crash in between leaves a mark to sweep by. */
export interface RunIntent {
  readonly transponderId: string;
  readonly attempt: number;
  readonly bootId: string;
  readonly nonce: string;
  readonly spawnedAtMs: number;
}

export interface RunSpawned {
  readonly pid: number;
  readonly startTicks: number;
  readonly argvRedacted: string;
}

export interface RunProgress {
  readonly nonce: string;
  readonly bytesOut: number;
  readonly framesOut: number;
  readonly bytesAcknowledged: number;
  /** Undefined: not looked at yet. */
  readonly cpuMs?: number | undefined;
  readonly maxRssBytes?: number | undefined;
}

/** A run whose supervisor is gone: what is known of its process. */
export interface OpenRun {
  readonly transponderId: string;
  readonly bootId: string;
  readonly nonce: string;
  readonly pid: number | null;
  readonly startTicks: number | null;
}

/** A row of `run`: one child process. */
export interface RunRow extends RunIntent {
  readonly pid: number | null;
  readonly startTicks: number | null;
  readonly argvRedacted: string | null;
  readonly readyAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  readonly exitClass: ExitClass | null;
  readonly exitDetail: string | null;
  readonly bytesOut: number;
  readonly framesOut: number;
  readonly bytesAcknowledged: number;
  readonly cpuMs: number | null;
  readonly maxRssBytes: number | null;
  readonly stderrHead: string | null;
  readonly stderrTail: string | null;
}

/** Runs are named by their nonce. */
export interface RunRepository {
  /** Fails on a unique index when the transponder already has an open run. */
  open(intent: RunIntent): void;
  spawned(nonce: string, spawned: RunSpawned): void;
  ready(nonce: string, atMs: number): void;
  progress(progress: RunProgress): void;
  /** Closes the run and forgets all but the last `keep` runs of its transponder. */
  end(nonce: string, atMs: number, end: RunEnd, stderrHead: string, stderrTail: string, keep: number): void;
  /** Not closed yet. At the start these are runs of a supervisor that is gone. */
  allOpen(): OpenRun[];
  /** Closes the open run of a transponder, if there is one. */
  endOpenOf(transponderId: string, atMs: number, end: RunEnd): void;
  /** Closes every open run with `exitClass`: their supervisor is gone. Returns how many there were. */
  endAllOpen(atMs: number, exitClass: ExitClass): number;
  /** Newest first. */
  ofTransponder(transponderId: string): RunRow[];
}

export function createRunRepository(database: Database): RunRepository {
  const open = database.prepare<[RunIntent]>(`INSERT INTO run (transponder_id, attempt, boot_id, nonce, spawned_at)
    VALUES (@transponderId, @attempt, @bootId, @nonce, @spawnedAtMs)`);
  const spawned = database.prepare<[number, number, string, string]>(
    'UPDATE run SET pid = ?, pid_start_ticks = ?, argv_redacted = ? WHERE nonce = ?',
  );
  const ready = database.prepare<[number, string]>('UPDATE run SET ready_at = ? WHERE nonce = ? AND ready_at IS NULL');
  const progress = database.prepare<[object]>(
    `UPDATE run SET bytes_out = @bytesOut, frames_out = @framesOut, bytes_acknowledged = @bytesAcknowledged,
    cpu_ms = coalesce(@cpuMs, cpu_ms), max_rss = max(coalesce(max_rss, 0), coalesce(@maxRssBytes, max_rss))
    WHERE nonce = @nonce`,
  );
  const end = database.prepare<[object]>(`UPDATE run SET ended_at = @atMs, exit_code = @exitCode,
    exit_signal = @exitSignal, exit_class = @exitClass, exit_detail = @detail, stderr_head = @stderrHead,
    stderr_tail = @stderrTail WHERE nonce = @nonce AND ended_at IS NULL`);
  const forget = database.prepare<[object]>(`DELETE FROM run WHERE ended_at IS NOT NULL
    AND transponder_id = (SELECT transponder_id FROM run WHERE nonce = @nonce)
    AND run_id NOT IN (SELECT run_id FROM run AS kept WHERE kept.transponder_id = run.transponder_id
      ORDER BY run_id DESC LIMIT @keep)`);
  const allOpen = database.prepare<[], OpenRun>(`SELECT transponder_id AS transponderId, boot_id AS bootId, nonce, pid,
    pid_start_ticks AS startTicks FROM run WHERE ended_at IS NULL ORDER BY run_id`);
  const endOpenOf = database.prepare<[number, string, string, string]>(
    'UPDATE run SET ended_at = ?, exit_class = ?, exit_detail = ? WHERE transponder_id = ? AND ended_at IS NULL',
  );
  const endAllOpen = database.prepare<[number, string]>(
    'UPDATE run SET ended_at = ?, exit_class = ? WHERE ended_at IS NULL',
  );
  const ofTransponder = database.prepare<[string], RunRow>(`SELECT transponder_id AS transponderId, attempt,
    boot_id AS bootId, nonce, spawned_at AS spawnedAtMs, pid, pid_start_ticks AS startTicks,
    argv_redacted AS argvRedacted, ready_at AS readyAtMs, ended_at AS endedAtMs, exit_code AS exitCode,
    exit_signal AS exitSignal, exit_class AS exitClass, exit_detail AS exitDetail, bytes_out AS bytesOut,
    frames_out AS framesOut, bytes_acknowledged AS bytesAcknowledged, cpu_ms AS cpuMs, max_rss AS maxRssBytes, stderr_head AS stderrHead, stderr_tail AS stderrTail
    FROM run WHERE transponder_id = ? ORDER BY run_id DESC`);
  return {
    open: (intent) => void open.run(intent),
    spawned: (nonce, { pid, startTicks, argvRedacted }) => void spawned.run(pid, startTicks, argvRedacted, nonce),
    ready: (nonce, atMs) => void ready.run(atMs, nonce),
    progress: (counters) => void progress.run({ cpuMs: null, maxRssBytes: null, ...counters }),
    end(nonce, atMs, { exitClass, detail, exitCode, exitSignal }, stderrHead, stderrTail, keep) {
      end.run({
        nonce,
        atMs,
        exitClass,
        detail,
        exitCode: exitCode ?? null,
        exitSignal: exitSignal ?? null,
        stderrHead,
        stderrTail,
      });
      forget.run({ nonce, keep });
    },
    allOpen: () => allOpen.all(),
    endOpenOf: (id, atMs, { exitClass, detail }) => void endOpenOf.run(atMs, exitClass, detail, id),
    endAllOpen: (atMs, exitClass) => endAllOpen.run(atMs, exitClass).changes,
    ofTransponder: (transponderId) => ofTransponder.all(transponderId),
  };
}
