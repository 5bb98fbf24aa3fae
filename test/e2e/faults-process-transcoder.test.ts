import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { appChildren, type AppChild } from '../support/app-children.ts';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { PublishedRecording } from '../support/published-recording.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIMEOUT_MS = 15_000;
const MAX_GAP_MS = 500;
/** One AAC frame at 48 kHz, rounded. */
const MAX_AUDIO_GAP_MS = 22;
const SIGNALS = ['SIGKILL', 'SIGSEGV'] as const;

let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig();
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

/** The encoder whose command line has `argument`, other than `previousPid`. */
function encoder(kind: AppChild['kind'], argument: string, previousPid?: number): Promise<number> {
  const isWanted = ({ kind: own, pid, commandLine }: AppChild): boolean =>
    own === kind && pid !== previousPid && commandLine.includes(argument);
  return waitUntil(
    () => appChildren().find(isWanted)?.pid,
    TIMEOUT_MS,
    () => `a ${kind} with ${argument} other than ${previousPid}`,
  );
}

it.each(SIGNALS)('pushes stay connected and their sound has no gap when the encoder of it gets %s', async (signal) => {
  const sinceMs = performance.now();
  const recording = new PublishedRecording(rig.nginx.recordingPath('bystander0'));
  await recording.take();
  const pid = await encoder('audio-transcode', 'pipe:0');
  process.kill(pid, signal);
  await encoder('audio-transcode', 'pipe:0', pid);
  const { maxAudioGapMs } = await mediaOf(recording, 1500);
  expect(maxAudioGapMs).toBeLessThanOrEqual(atMost(MAX_AUDIO_GAP_MS, sinceMs));
});

/** Of sizes of their own, because encoders that die again and again are given time. */
it.each([
  ['SIGKILL', 120, 300],
  ['SIGKILL', 180, 1000],
  ['SIGSEGV', 240, 1700],
] as const)(
  'a push stays connected and its picture has no gap when the encoder of it gets %s (height %i, after %i ms)',
  async (signal, height, afterMs) => {
    const name = `height${height}`;
    const id = await rig.startup(rig.nginx.url(`live/${name}`), { rtmpTransponderFullUrl: true, height });
    await rig.reached(id, 'ACTIVE', TIMEOUT_MS);
    const recording = new PublishedRecording(rig.nginx.recordingPath(name));
    const sinceMs = performance.now();
    await mediaOf(recording, afterMs);
    const pid = await encoder('video-transcode', `:${height}:-1:-1`);
    process.kill(pid, signal);
    const { maxVideoGapMs, maxAudioGapMs } = await mediaOf(recording, 2500);
    expect(maxVideoGapMs).toBeLessThanOrEqual(atMost(MAX_GAP_MS, sinceMs));
    expect(maxAudioGapMs).toBeLessThanOrEqual(atMost(MAX_AUDIO_GAP_MS, sinceMs));
    expect(rig.steps(id).map(({ toState }) => toState)).toEqual(['STARTING', 'ACTIVE']);
    await rig.terminate(id);
  },
);

/** The limit, or the hole that the source itself may have made since then. */
function atMost(limitMs: number, sinceMs: number): number {
  return Math.max(limitMs, rig.sourceGapMs(sinceMs));
}

/** Waits until the destination has got so much more. */
async function mediaOf(recording: PublishedRecording, mediaMs: number) {
  let taken = { maxVideoGapMs: 0, maxAudioGapMs: 0, mediaMs: 0 };
  return waitUntil(
    async () => {
      const more = await recording.take().catch(() => undefined);
      if (!more) return undefined;
      taken = {
        maxVideoGapMs: Math.max(taken.maxVideoGapMs, more.maxVideoGapMs),
        maxAudioGapMs: Math.max(taken.maxAudioGapMs, more.maxAudioGapMs),
        mediaMs: taken.mediaMs + more.mediaMs,
      };
      return taken.mediaMs >= mediaMs ? taken : undefined;
    },
    TIMEOUT_MS,
    () => `${mediaMs} ms of media, got ${JSON.stringify(taken)}`,
  );
}
