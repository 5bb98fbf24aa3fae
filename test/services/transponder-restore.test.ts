import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CancelTimer } from '../../src/domain/clock.ts';
import { TransponderService } from '../../src/services/transponders.ts';
import type { TransponderConfig } from '../../src/services/transponders.ts';
import { openStore } from '../../src/store/open-store.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { storeDirectory } from '../store/store-fixture.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { FakePushRuns } from './fake-push-runs.ts';

const WINDOW_MS = 600_000;
const request = { streamName: 'cam', rtmpUrl: 'rtmp://dest.example/live/canary', rtmpTransponderFullUrl: true };

/** Loses timers when told to, as nothing should. */
class LossyClock extends ManualClock {
  losesTimers = false;

  override after(delayMs: number, fire: () => void): CancelTimer {
    return this.losesTimers ? () => {} : super.after(delayMs, fire);
  }
}

/** One database and the lives of the server that follow each other on it. */
class Lives {
  readonly files = storeDirectory();
  readonly clock = new LossyClock();
  store = openStore(this.files);
  runs = new FakePushRuns();
  service!: TransponderService;

  constructor() {
    this.start();
  }

  start(config: Partial<TransponderConfig> = {}): void {
    this.runs = new FakePushRuns();
    this.service = new TransponderService({
      config: {
        streamNamePrefix: 'rtmp_',
        fullUrl: false,
        sendMetadata: false,
        flashVersion: '',
        restartPolicy: 'wcs',
        restore: true,
        restoreAttempts: 3,
        restoreIntervalMs: 5000,
        restoreOnStart: { onStart: 'if_source_returns', windowMs: WINDOW_MS },
        autoStartUrl: undefined,
        maxTransponders: 1000,
        ...config,
      },
      store: this.store,
      clock: this.clock,
      logger: silentLogger,
      runs: this.runs,
      resolveHost: () => Promise.resolve([{ address: '203.0.114.1' }]),
      allowAddress: () => undefined,
      admission: { check: () => ({ ok: true }), reserve: () => {} },
      hasSoundFile: () => Promise.resolve(true),
      bootId: 'boot1',
      processUsage: () => undefined,
      random: () => 0.5,
      randomBytes,
    });
  }

  /** The process is gone from one moment to the next; its database is what it was. */
  kill(): void {
    this.store.close();
    this.store = openStore(this.files);
  }

  row(id: string) {
    return this.store.transponders.get(id)!;
  }

  async close(): Promise<void> {
    await this.service.close();
    this.store.close();
    this.files.remove();
  }
}

let lives: Lives;
beforeEach(() => {
  lives = new Lives();
  lives.service.sourceUp('cam');
});
afterEach(() => lives.close());

async function activeId(more: object = {}): Promise<string> {
  const { mediaSessionId } = await lives.service.startup({ ...request, ...more }, 'rest');
  lives.runs.last.becomeActive();
  return mediaSessionId;
}

describe('after the server was killed', () => {
  it('a push waits for its source under its id, and starts with it, muted as it was', async () => {
    const id = await activeId({ waitForStream: true, width: 320 });
    lives.service.mute(id);
    lives.kill();
    lives.start();
    expect(lives.row(id)).toMatchObject({ state: 'WAITING_SOURCE', desired: 'run', muted: true });
    expect(lives.store.runs.ofTransponder(id)[0]).toMatchObject({ exitClass: 'server_crash' });
    expect(lives.store.events.ofTransponder(id, 1)[0]).toMatchObject({
      type: 'restored',
      fromState: 'ACTIVE',
      toState: 'WAITING_SOURCE',
    });
    expect(lives.service.find({}).map(({ mediaSessionId, rtmpUrl }) => [mediaSessionId, rtmpUrl])).toEqual([
      [id, request.rtmpUrl],
    ]);
    expect(lives.runs.started).toHaveLength(0);
    lives.service.sourceUp('cam');
    expect(lives.runs.last.options).toMatchObject({
      id,
      target: { app: 'live', playPath: 'canary' },
      params: { width: 320 },
      audio: { mode: 'mute' },
      caller: 'rest',
    });
    lives.runs.last.becomeActive();
    expect(lives.row(id)).toMatchObject({ state: 'ACTIVE', restartsTotal: 1 });
    await expect(lives.service.startup(request, 'rest')).rejects.toThrow(/already exists/);
  });

  it('a push that ends with its stream waits for the restore window, and then is over', async () => {
    const id = await activeId();
    lives.kill();
    lives.start();
    expect(lives.row(id).state).toBe('WAITING_SOURCE');
    lives.clock.advance(WINDOW_MS - 1);
    expect(lives.row(id).state).toBe('WAITING_SOURCE');
    lives.clock.advance(1);
    expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', reason: 'source_gone', desired: 'run' });
    lives.service.sourceUp('cam');
    expect(lives.runs.started).toHaveLength(0);
  });

  it('a push that ends with its stream starts with it within the window, and ends with it again', async () => {
    const id = await activeId();
    lives.kill();
    lives.start();
    lives.clock.advance(WINDOW_MS - 1);
    lives.service.sourceUp('cam');
    lives.clock.advance(WINDOW_MS);
    expect(lives.row(id).state).toBe('STARTING');
    lives.service.sourceDown('cam');
    expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', reason: 'source_gone' });
  });

  it('a push that outlives its stream waits without end', async () => {
    const id = await activeId({ restartPolicy: 'persistent' });
    lives.kill();
    lives.start();
    lives.clock.advance(10 * WINDOW_MS);
    expect(lives.row(id).state).toBe('WAITING_SOURCE');
  });

  it('a push comes back suspended when the server was away for longer than the window, and is resumed by hand only', async () => {
    const id = await activeId();
    lives.kill();
    lives.clock.advance(WINDOW_MS + 1);
    lives.start();
    expect(lives.row(id)).toMatchObject({ state: 'SUSPENDED', reason: 'restore_window' });
    lives.service.sourceUp('cam');
    expect(lives.runs.started).toHaveLength(0);
    lives.kill();
    lives.start({ restoreOnStart: { onStart: 'always', windowMs: WINDOW_MS } });
    expect(lives.row(id).state).toBe('SUSPENDED');
    expect(lives.service.resume(id)).toMatchObject({ state: 'WAITING_SOURCE' });
    lives.service.sourceUp('cam');
    expect(lives.row(id).state).toBe('STARTING');
  });

  it('restore_on_start=always does not ask how long ago', async () => {
    const id = await activeId();
    lives.kill();
    lives.clock.advance(100 * WINDOW_MS);
    lives.start({ restoreOnStart: { onStart: 'always', windowMs: WINDOW_MS } });
    expect(lives.row(id).state).toBe('WAITING_SOURCE');
  });

  it('a push that has waited for its stream, or tried in vain, for longer than the window goes on doing so', async () => {
    const [waiting, trying] = await Promise.all([
      lives.service.startup(
        { ...request, streamName: 'later', restartPolicy: 'persistent', waitForStream: true },
        'rest',
      ),
      activeId({ restartPolicy: 'persistent' }).then((mediaSessionId) => ({ mediaSessionId })),
    ]);
    lives.runs.last.end('dest_refused');
    expect(lives.row(trying.mediaSessionId).state).toBe('BACKOFF');
    for (const leave of [() => lives.service.close(), () => lives.kill()]) {
      lives.clock.advance(10 * WINDOW_MS);
      await leave();
      lives.clock.advance(WINDOW_MS - 60_000);
      lives.start();
      expect(lives.row(waiting.mediaSessionId).state).toBe('WAITING_SOURCE');
      expect(lives.row(trying.mediaSessionId).state).toBe('WAITING_SOURCE');
    }
  });

  it.each(['rest', 'publisher', 'auto_start'] as const)(
    'a suspended push gives its place to a new one: %s',
    async (caller) => {
      const id = await activeId();
      lives.kill();
      lives.clock.advance(WINDOW_MS + 1);
      lives.start();
      lives.service.sourceUp('cam');
      const { mediaSessionId } = await lives.service.startup(request, caller);
      expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', desired: 'stop' });
      expect(mediaSessionId).not.toBe(id);
      expect(lives.service.find({})).toMatchObject([{ mediaSessionId }]);
      expect(lives.row(mediaSessionId).state).toBe('STARTING');
    },
  );

  it('the push of a publisher is over: who publishes next may be someone else', async () => {
    const { mediaSessionId: id } = await lives.service.startup(request, 'publisher');
    lives.runs.last.becomeActive();
    lives.kill();
    lives.start();
    expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', reason: 'source_gone' });
  });

  it('an order to stop is carried out', async () => {
    lives.runs.diesWhenAsked = false;
    const id = await activeId();
    void lives.service.terminate(id);
    lives.kill();
    lives.start();
    expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', reason: 'asked_stop' });
  });

  it('a push that would now go to another place is not restored, nor resumed until it goes where it went', async () => {
    const id = await activeId({ rtmpTransponderFullUrl: false });
    lives.kill();
    lives.start({ streamNamePrefix: 'other_' });
    expect(lives.row(id)).toMatchObject({ state: 'FAILED', reason: 'server_restart' });
    const refusal = expect.objectContaining({ code: 'TRANSPONDER_STATE', message: expect.stringMatching(/elsewhere/) });
    expect(() => lives.service.resume(id)).toThrow(refusal);
    expect(lives.row(id)).toMatchObject({ state: 'FAILED' });
    lives.kill();
    lives.start();
    expect(lives.service.resume(id)).toMatchObject({ state: 'WAITING_SOURCE' });
  });

  it('a thousand pushes are back in one transaction', async () => {
    for (let n = 0; n < 1000; n++) await activeId({ rtmpUrl: `rtmp://dest.example/live/key${n}` });
    lives.kill();
    let transactions = 0;
    const { store } = lives;
    lives.store = { ...store, transaction: (work) => (transactions++, store.transaction(work)) };
    lives.start();
    expect(lives.service.find({})).toHaveLength(1000);
    // The other one forgets old history.
    expect(transactions).toBe(2);
    lives.store = store;
    // Each of the thousand was written to the disk in steps.
  }, 60_000);
});

describe('after an orderly end of the server', () => {
  it('a push is restored although its source ended with the server', async () => {
    const id = await activeId();
    const closed = lives.service.close();
    lives.service.sourceDown('cam');
    await closed;
    expect(lives.row(id)).toMatchObject({ state: 'ACTIVE', desired: 'run' });
    lives.kill();
    lives.start();
    lives.service.sourceUp('cam');
    expect(lives.row(id).state).toBe('STARTING');
  });
});

describe('the invariant, looked at every second', () => {
  it('finds a retry whose timer was lost, counts it and starts anew', async () => {
    const id = await activeId();
    lives.clock.losesTimers = true;
    lives.runs.last.end('dest_reset');
    lives.clock.losesTimers = false;
    expect(lives.row(id).state).toBe('BACKOFF');
    lives.clock.advance(7000);
    expect(lives.service.totals.invariantViolations).toBe(0);
    lives.clock.advance(1000);
    expect(lives.service.totals.invariantViolations).toBe(1);
    await expect.poll(() => lives.row(id).reason).toBe('invariant_broken');
    expect(lives.store.events.ofTransponder(id, 1)[0]).toMatchObject({
      type: 'invariantBroken',
      detail: 'BACKOFF has a dead timer',
    });
    lives.clock.advance(1000);
    expect(lives.row(id).state).toBe('STARTING');
    lives.runs.last.becomeActive();
    lives.clock.advance(10_000);
    expect([lives.row(id).state, lives.service.totals.invariantViolations]).toEqual(['ACTIVE', 1]);
  });

  it('finds nothing in any state that is as it should be', async () => {
    await activeId();
    await lives.service.startup({ ...request, streamName: 'later', waitForStream: true }, 'rest');
    await activeId({ rtmpUrl: 'rtmp://dest.example/live/other' });
    lives.runs.last.end('dest_reset');
    lives.kill();
    lives.start();
    lives.clock.advance(5000);
    lives.service.sourceUp('cam');
    lives.clock.advance(60_000);
    expect(lives.service.totals.invariantViolations).toBe(0);
  });

  it('has an order to stop carried out for a push that is broken', async () => {
    const id = await activeId();
    lives.clock.losesTimers = true;
    lives.runs.last.end('dest_reset');
    lives.clock.losesTimers = false;
    await lives.service.terminate(id);
    expect(lives.row(id)).toMatchObject({ state: 'TERMINATED', reason: 'asked_stop' });
  });
});
