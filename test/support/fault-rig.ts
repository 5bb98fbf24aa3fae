import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { PushView } from '../../src/services/transponder-request.ts';
import { AwakeClock } from './awake-clock.ts';
import { startNginxRtmp, type NginxRtmp } from './nginx-rtmp.ts';
import { PublishedRecording, type TakenMedia } from './published-recording.ts';
import { sourceGapMs, sourceJitterMs } from './source-gap.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import { startTestPublisher } from './test-publisher.ts';
import { waitUntil } from './wait-until.ts';

const STREAM = 'faults';
const BYSTANDERS = 9;
const START_TIMEOUT_MS = 20_000;
/** A report tells of at least that much: it waits for what is on its way. */
const MIN_MEDIA_MS = 200;
/** A look into a recording that took longer does not say how much had been sent by then. */
const MAX_LOOK_MS = 50;

export interface PushStep {
  /** Wall clock. */
  readonly atMs: number;
  /** The event that made it. */
  readonly type: string;
  readonly toState: string;
}

export interface EndedRun {
  /** Null where no process was started for it. */
  readonly pid: number | null;
  readonly exitClass: string;
  readonly exitDetail: string;
}

/** What happened to the nine healthy pushes since the rig began or was last asked. */
export interface BystanderReport extends TakenMedia {
  /**
   * How much later than before the slowest of them got what the publisher had sent when it was asked for, without the time in
   * which this process had to wait, and without that of a publisher whose own pace was uneven.
   */
  readonly behindMs: number;
  readonly restarts: number;
  /** The states that they went to from ACTIVE. */
  readonly leftActive: readonly string[];
  /** Given up for want of time, of all of them. */
  readonly droppedUnits: { readonly video: number; readonly audio: number };
  /** By how much the publisher itself sent unevenly, and what it sent was held up by the machine before the application. */
  readonly sourceJitterMs: number;
}

/**
 * The real application with one WebRTC publisher and nine pushes to a healthy, recording nginx-rtmp, so that a tenth push can
 * meet a faulty destination.
 */
export interface FaultRig {
  readonly app: TestApp;
  /** The healthy destination. */
  readonly nginx: NginxRtmp;
  /** Starts the tenth push and resolves with its mediaSessionId. Its restart policy is `persistent`. */
  startup(rtmpUrl: string, request?: object): Promise<string>;
  terminate(id: string): Promise<void>;
  /** Every state the push was in, oldest first. */
  steps(id: string): readonly PushStep[];
  /** Its runs that have ended, oldest first. */
  endedRuns(id: string): readonly EndedRun[];
  /** Why each of them ended, in the same order. */
  exitClasses(id: string): readonly string[];
  state(id: string): { readonly state: string; readonly reason: string | null; readonly restarts: number };
  /** The first step into that state at or after `sinceMs` of the wall clock. */
  reached(id: string, state: string, timeoutMs: number, sinceMs?: number): Promise<PushStep>;
  /**
   * The first end of a run at or after `sinceMs` while the push is wanted. The state after it is BACKOFF, or STARTING at once where
   * chance, which may choose any pause before a first try, makes it 0.
   */
  runEnded(id: string, timeoutMs: number, sinceMs?: number): Promise<PushStep>;
  /** The longest hole that the publisher itself may have made since that time of `performance.now()`. */
  sourceGapMs(sinceMs: number): number;
  bystanders(): Promise<BystanderReport>;
  close(): Promise<void>;
}

export async function startFaultRig(settings: Readonly<Record<string, string>> = {}): Promise<FaultRig> {
  const built: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of built.splice(0).toReversed()) await end();
  };
  try {
    return await build(settings, built, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(
  settings: Readonly<Record<string, string>>,
  built: (() => Promise<unknown>)[],
  close: () => Promise<void>,
): Promise<FaultRig> {
  const nginx = await startNginxRtmp({ isRecording: true });
  built.push(() => nginx.stop());
  const app = await startTestApp(settings);
  built.push(() => app.close('test ended'));
  const publisher = await startTestPublisher(app.wsUrl, STREAM);
  built.push(() => publisher.close('test ended'));
  const database = new Database(join(app.directory, 'data', 'transponder.sqlite'), { readonly: true });
  built.push(async () => void database.close());

  const stepsOf = database.prepare<[string], PushStep>(
    'SELECT at AS atMs, type, to_state AS toState FROM event WHERE transponder_id = ? ORDER BY seq',
  );
  const runsOf = database.prepare<[string], EndedRun>(
    `SELECT pid, exit_class AS exitClass, exit_detail AS exitDetail FROM run
     WHERE transponder_id = ? AND ended_at IS NOT NULL ORDER BY run_id`,
  );
  const rowOf = database.prepare<[string], { state: string; reason: string | null; restarts: number }>(
    'SELECT state, reason, restarts_total AS restarts FROM transponder WHERE id = ?',
  );
  const startup = async (rtmpUrl: string, request: object = {}): Promise<string> => {
    const body = { streamName: STREAM, rtmpUrl, restartPolicy: 'persistent', ...request };
    const answer = await app.rest('/rest-api/push/startup', body);
    if (answer.status !== 200) throw new Error(`startup: ${answer.status} ${answer.text}`);
    return (answer.json() as PushView).mediaSessionId;
  };
  const firstStep = (
    id: string,
    isWanted: (step: PushStep) => boolean,
    timeoutMs: number,
    sinceMs: number,
    what: string,
  ): Promise<PushStep> =>
    waitUntil(
      () => stepsOf.all(id).find((step) => step.atMs >= sinceMs && isWanted(step)),
      timeoutMs,
      () => `${what} after ${sinceMs}, got ${JSON.stringify([stepsOf.all(id), runsOf.all(id)])}`,
    );
  const reached = (id: string, state: string, timeoutMs: number, sinceMs = 0): Promise<PushStep> =>
    firstStep(id, ({ toState }) => toState === state, timeoutMs, sinceMs, state);
  const runEnded = (id: string, timeoutMs: number, sinceMs = 0): Promise<PushStep> =>
    firstStep(id, ({ type }) => type === 'runEnded', timeoutMs, sinceMs, 'the end of a run');

  const names = Array.from({ length: BYSTANDERS }, (_, n) => `bystander${n}`);
  const ids = await Promise.all(
    names.map((name) => startup(nginx.url(`live/${name}`), { rtmpTransponderFullUrl: true })),
  );
  await Promise.all(ids.map((id) => reached(id, 'ACTIVE', START_TIMEOUT_MS)));
  const recordings = names.map((name) => new PublishedRecording(nginx.recordingPath(name)));
  const takenMs = recordings.map(() => 0);
  /** How much less than what was sent a recording had when it was last looked into quickly: the media on the way to it. */
  const onTheWayMs = recordings.map((): number | undefined => undefined);
  const take = async (n: number): Promise<TakenMedia> => {
    const lookMs = performance.now();
    const sentMs = publisher.video.mediaMs;
    const media = await recordings[n]!.take();
    takenMs[n]! += media.mediaMs;
    if (performance.now() - lookMs < MAX_LOOK_MS) onTheWayMs[n] = sentMs - takenMs[n]!;
    return media;
  };
  // Each recording must have begun; what is counted begins now.
  await Promise.all(
    recordings.map((_, n) =>
      waitUntil(
        async () => {
          const media = await take(n).catch(() => undefined);
          return (media?.mediaMs && onTheWayMs[n] !== undefined) || undefined;
        },
        START_TIMEOUT_MS,
        () => `no recording of ${names[n]}`,
      ),
    ),
  );
  const countsOf = (id: string): BystanderCounts => ({
    restarts: rowOf.get(id)!.restarts,
    steps: stepsOf.all(id).length,
    droppedUnits: app.pushStatus(id)?.droppedUnits ?? { video: 0, audio: 0 },
  });
  const awake = new AwakeClock();
  built.push(async () => awake[Symbol.dispose]());
  let sinceMs = performance.now();
  let counted = ids.map(countsOf);
  return {
    app,
    nginx,
    startup,
    async terminate(mediaSessionId) {
      const { status, text } = await app.rest('/rest-api/push/terminate', { mediaSessionId });
      if (status !== 200) throw new Error(`terminate: ${status} ${text}`);
    },
    steps: (id) => stepsOf.all(id),
    endedRuns: (id) => runsOf.all(id),
    exitClasses: (id) => runsOf.all(id).map(({ exitClass }) => exitClass),
    state: (id) => rowOf.get(id)!,
    reached,
    runEnded,
    sourceGapMs: (fromMs) => sourceGapMs(sourceJitterMs(publisher, fromMs)),
    async bystanders() {
      const reports = recordings.map(() => NOTHING_TAKEN);
      const askedMs = Date.now();
      const sentMs = publisher.video.mediaMs;
      const wantedMs = onTheWayMs.map((ms) => sentMs - ms!);
      const behindMs = recordings.map((): number | undefined => undefined);
      await waitUntil(
        async () => {
          await Promise.all(
            recordings.map(async (_, n) => {
              reports[n] = joined(reports[n]!, await take(n));
              if (takenMs[n]! >= wantedMs[n]!) behindMs[n] ??= awake.betweenMs(askedMs, Date.now());
            }),
          );
          const isTaken = reports.every(({ mediaMs }) => mediaMs >= MIN_MEDIA_MS);
          return (isTaken && behindMs.every((ms) => ms !== undefined)) || undefined;
        },
        START_TIMEOUT_MS,
        () => `media of all: ${JSON.stringify({ reports, behindMs, wantedMs, takenMs })}`,
      );
      const before = counted;
      counted = ids.map(countsOf);
      const gained = (read: (counts: BystanderCounts) => number): number =>
        counted.reduce((sum, counts, n) => sum + Math.max(0, read(counts) - read(before[n]!)), 0);
      const jitterMs = sourceJitterMs(publisher, sinceMs);
      sinceMs = performance.now();
      return {
        ...reports.reduce(worstOf),
        behindMs: Math.max(0, ...behindMs.map((ms) => ms! - sourceGapMs(jitterMs))),
        restarts: gained(({ restarts }) => restarts),
        leftActive: ids
          .flatMap((id, n) => stepsOf.all(id).slice(before[n]!.steps, counted[n]!.steps))
          .map(({ toState }) => toState)
          .filter((state) => state !== 'ACTIVE'),
        droppedUnits: {
          video: gained(({ droppedUnits }) => droppedUnits.video),
          audio: gained(({ droppedUnits }) => droppedUnits.audio),
        },
        sourceJitterMs: jitterMs,
      };
    },
    close,
  };
}

interface BystanderCounts {
  readonly restarts: number;
  readonly steps: number;
  readonly droppedUnits: { readonly video: number; readonly audio: number };
}

const NOTHING_TAKEN: TakenMedia = { maxVideoGapMs: 0, maxAudioGapMs: 0, mediaMs: 0 };

function joined(before: TakenMedia, after: TakenMedia): TakenMedia {
  return { ...worstOf(before, after), mediaMs: before.mediaMs + after.mediaMs };
}

function worstOf(one: TakenMedia, other: TakenMedia): TakenMedia {
  return {
    maxVideoGapMs: Math.max(one.maxVideoGapMs, other.maxVideoGapMs),
    maxAudioGapMs: Math.max(one.maxAudioGapMs, other.maxAudioGapMs),
    mediaMs: Math.min(one.mediaMs, other.mediaMs),
  };
}
