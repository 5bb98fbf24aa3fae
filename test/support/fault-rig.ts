import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { PushView } from '../../src/services/transponder-request.ts';
import { startNginxRtmp, type NginxRtmp } from './nginx-rtmp.ts';
import { PublishedRecording, type TakenMedia } from './published-recording.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import { startTestPublisher } from './test-publisher.ts';
import { waitUntil } from './wait-until.ts';

const STREAM = 'faults';
const BYSTANDERS = 9;
const START_TIMEOUT_MS = 20_000;
/** A report tells of at least that much: it waits for what is on its way. */
const MIN_MEDIA_MS = 200;
/** What the publisher did so long ago may have an effect only now: it sends a report every second or so. */
const EFFECT_MS = 5000;

export interface PushStep {
  /** Wall clock. */
  readonly atMs: number;
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
  /** How much less than the publisher sent the slowest of them got. */
  readonly behindMs: number;
  readonly restarts: number;
  /** The states that they went to from ACTIVE. */
  readonly leftActive: readonly string[];
  /** Given up for want of time, of all of them. */
  readonly droppedUnits: { readonly video: number; readonly audio: number };
  /** By how much the publisher itself sent unevenly. */
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
    'SELECT at AS atMs, to_state AS toState FROM event WHERE transponder_id = ? ORDER BY seq',
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
  const reached = (id: string, state: string, timeoutMs: number, sinceMs = 0): Promise<PushStep> =>
    waitUntil(
      () => stepsOf.all(id).find((step) => step.atMs >= sinceMs && step.toState === state),
      timeoutMs,
      () => `${state} after ${sinceMs}, got ${JSON.stringify([stepsOf.all(id), runsOf.all(id)])}`,
    );

  const names = Array.from({ length: BYSTANDERS }, (_, n) => `bystander${n}`);
  const ids = await Promise.all(
    names.map((name) => startup(nginx.url(`live/${name}`), { rtmpTransponderFullUrl: true })),
  );
  await Promise.all(ids.map((id) => reached(id, 'ACTIVE', START_TIMEOUT_MS)));
  const recordings = names.map((name) => new PublishedRecording(nginx.recordingPath(name)));
  /** What the publisher had sent when a recording was last looked into. */
  const sentMs = recordings.map(() => 0);
  /** What has come of a recording since the last time, and how much less that is than what was sent. */
  const take = async (n: number): Promise<TakenMedia & { readonly behindMs: number }> => {
    const media = await recordings[n]!.take();
    const more = publisher.video.mediaMs - sentMs[n]!;
    sentMs[n]! += more;
    return { ...media, behindMs: more - media.mediaMs };
  };
  // Each recording must have begun; what is counted begins now.
  await Promise.all(
    recordings.map((_, n) =>
      waitUntil(
        async () => ((await take(n).catch(() => undefined))?.mediaMs ? true : undefined),
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
    async bystanders() {
      const reports = recordings.map(() => NOTHING_TAKEN);
      const behindMs = recordings.map(() => 0);
      await waitUntil(
        async () => {
          const taken = await Promise.all(recordings.map((_, n) => take(n)));
          taken.forEach((media, n) => {
            reports[n] = joined(reports[n]!, media);
            behindMs[n]! += media.behindMs;
          });
          return reports.every(({ mediaMs }) => mediaMs >= MIN_MEDIA_MS) || undefined;
        },
        START_TIMEOUT_MS,
        () => `media of all: ${JSON.stringify(reports)}`,
      );
      const before = counted;
      counted = ids.map(countsOf);
      const gained = (read: (counts: BystanderCounts) => number): number =>
        counted.reduce((sum, counts, n) => sum + Math.max(0, read(counts) - read(before[n]!)), 0);
      const fromMs = sinceMs - EFFECT_MS;
      sinceMs = performance.now();
      return {
        ...reports.reduce(worstOf),
        behindMs: Math.max(...behindMs),
        restarts: gained(({ restarts }) => restarts),
        leftActive: ids
          .flatMap((id, n) => stepsOf.all(id).slice(before[n]!.steps, counted[n]!.steps))
          .map(({ toState }) => toState)
          .filter((state) => state !== 'ACTIVE'),
        droppedUnits: {
          video: gained(({ droppedUnits }) => droppedUnits.video),
          audio: gained(({ droppedUnits }) => droppedUnits.audio),
        },
        sourceJitterMs: Math.max(publisher.video.jitterMs(fromMs), publisher.audio.jitterMs(fromMs)),
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
