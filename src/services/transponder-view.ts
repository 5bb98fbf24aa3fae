import type {
  Desired,
  ExitClass,
  TransponderCaller,
  TransponderKind,
  TransponderState,
} from '../domain/transponder.ts';
import type { StoredEvent } from '../store/events.ts';
import type { RunRow } from '../store/runs.ts';
import type { TransponderRow } from '../store/transponders.ts';
import type { RestartPolicy } from '../supervisor/transponder-policy.ts';
import type { PushParams } from '../outputs/push-run.ts';
import { policyOfRow } from './restart-policy.ts';
import type { PushStatus } from './transponder-request.ts';
import { soundOf } from './transponder-row.ts';

const STDERR_LINES_SHOWN = 20;

/** A transponder for operators, live or ended, without its URL. Times are milliseconds since 1970. */
export interface TransponderView {
  readonly id: string;
  readonly kind: TransponderKind;
  readonly caller: TransponderCaller;
  readonly streamName: string;
  readonly remoteName: string;
  /** Redacted. */
  readonly destination: string;
  readonly desired: Desired;
  readonly state: TransponderState;
  readonly stateSinceMs: number;
  readonly reason: string | null;
  /** The effective policy. */
  readonly restartPolicy: RestartPolicy;
  readonly params: PushParams;
  readonly muted: boolean;
  readonly soundFile: string | null;
  readonly attempt: number;
  readonly restartsTotal: number;
  readonly nextRetryAtMs: number | null;
  readonly lastActiveAtMs: number | null;
  readonly createdAtMs: number;
  readonly terminatedAtMs: number | null;
  /** Of the present run; absent without one, and each figure until the run has reported it. */
  readonly live?: LiveFigures | undefined;
}

export interface LiveFigures {
  readonly bitrateBps?: number | undefined;
  readonly fps?: number | undefined;
  readonly backlogBytes?: number | undefined;
  readonly bufferedMs?: number | undefined;
  readonly bufferings?: number | undefined;
  readonly bytesAccepted?: number | undefined;
  readonly bytesAcknowledged?: number | undefined;
  readonly uptimeMs?: number | undefined;
  readonly cpuMs?: number | undefined;
  readonly rssBytes?: number | undefined;
  readonly maxRssBytes?: number | undefined;
  readonly droppedVideoUnits?: number | undefined;
  readonly droppedAudioUnits?: number | undefined;
}

/** One child process of the past or present. */
export interface RunView {
  readonly attempt: number;
  readonly pid: number | null;
  readonly spawnedAtMs: number;
  readonly readyAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly exitClass: ExitClass | null;
  readonly exitDetail: string | null;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  readonly bytesOut: number;
  readonly bytesAcknowledged: number;
  readonly framesOut: number;
  readonly cpuMs: number | null;
  readonly maxRssBytes: number | null;
  /** The last lines, of a run that goes on as of one that has ended. */
  readonly stderrTail: string | null;
}

/** With its history, newest first. */
export interface TransponderDetail extends TransponderView {
  readonly runs: RunView[];
  readonly events: StoredEvent[];
}

/** `status` where the transponder lives. */
export function transponderView(row: TransponderRow, status: PushStatus | undefined): TransponderView {
  return {
    id: row.id,
    kind: row.kind,
    caller: row.caller,
    streamName: row.streamName,
    remoteName: row.remoteName,
    destination: row.destRedacted,
    desired: row.desired,
    state: row.state,
    stateSinceMs: row.stateSinceMs,
    reason: row.reason,
    restartPolicy: policyOfRow(row.policyJson),
    params: JSON.parse(row.paramsJson) as PushParams,
    muted: row.muted,
    soundFile: soundOf(row)?.soundFile ?? null,
    attempt: row.attempt,
    restartsTotal: row.restartsTotal,
    nextRetryAtMs: row.nextRetryAtMs,
    lastActiveAtMs: row.lastActiveAtMs,
    createdAtMs: row.createdAtMs,
    terminatedAtMs: row.terminatedAtMs,
    live: status?.bytesOut === undefined ? undefined : liveFigures(status),
  };
}

function liveFigures(status: PushStatus): LiveFigures {
  const { bitrateBps, fps, backlogBytes, bufferedMs, bufferings, bytesOut, bytesAcknowledged } = status;
  const { uptimeMs, cpuMs, rssBytes, maxRssBytes, droppedUnits } = status;
  return {
    bitrateBps,
    fps,
    backlogBytes,
    bufferedMs,
    bufferings,
    bytesAccepted: bytesOut,
    bytesAcknowledged,
    uptimeMs,
    cpuMs,
    rssBytes,
    maxRssBytes,
    droppedVideoUnits: droppedUnits?.video,
    droppedAudioUnits: droppedUnits?.audio,
  };
}

/** Without what is of use to the sweep of orphans only, nonce first of all. `lastWords` are those of a run that goes on. */
export function runView(run: RunRow, lastWords: string | undefined): RunView {
  return {
    attempt: run.attempt,
    pid: run.pid,
    spawnedAtMs: run.spawnedAtMs,
    readyAtMs: run.readyAtMs,
    endedAtMs: run.endedAtMs,
    exitClass: run.exitClass,
    exitDetail: run.exitDetail,
    exitCode: run.exitCode,
    exitSignal: run.exitSignal,
    bytesOut: run.bytesOut,
    bytesAcknowledged: run.bytesAcknowledged,
    framesOut: run.framesOut,
    cpuMs: run.cpuMs,
    maxRssBytes: run.maxRssBytes,
    stderrTail: run.endedAtMs === null ? (lastWords ?? null) : lastLinesOf(run),
  };
}

/** The row keeps the first lines apart, which are all there are of most runs. */
function lastLinesOf({ stderrHead, stderrTail }: RunRow): string | null {
  if (stderrHead === null || stderrTail === null) return null;
  const lines = [stderrHead, stderrTail].filter((part) => part !== '').join('\n');
  return lines.split('\n').slice(-STDERR_LINES_SHOWN).join('\n');
}
