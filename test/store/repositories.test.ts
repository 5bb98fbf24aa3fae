import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/open-store.ts';
import { forgetOldHistory } from '../../src/store/retention.ts';
import { rowWith, storeDirectory } from './store-fixture.ts';

const DAY_MS = 86_400_000;
let files: ReturnType<typeof storeDirectory>;
let store: Store;
beforeEach(() => {
  files = storeDirectory();
  store = openStore(files);
});
afterEach(() => {
  store.close();
  files.remove();
});

function openRun(nonce: string, transponderId = 'id1') {
  store.runs.open({ transponderId, attempt: 0, bootId: 'boot', nonce, spawnedAtMs: 1 });
}

describe('transponders', () => {
  it('refuses a second live row for the same stream and destination', () => {
    store.transponders.insert(rowWith({ id: 'a' }));
    expect(() => store.transponders.insert(rowWith({ id: 'b' }))).toThrow(
      expect.objectContaining({ code: 'TRANSPONDER_EXISTS' }),
    );
  });

  it.each([{ destHash: 'other' }, { streamName: 'other' }, { kind: 'wcs_push' as const }])(
    'takes a second live row that differs in %o',
    (change) => {
      store.transponders.insert(rowWith({ id: 'a' }));
      store.transponders.insert(rowWith({ id: 'b', ...change }));
      expect(store.transponders.unfinished()).toHaveLength(2);
    },
  );

  it.each([{ desired: 'stop' as const }, { state: 'FAILED' as const }, { state: 'TERMINATED' as const }])(
    'frees the place when the first row becomes %o',
    (change) => {
      store.transponders.insert(rowWith({ id: 'a' }));
      store.transponders.update(rowWith({ id: 'a', ...change }));
      store.transponders.insert(rowWith({ id: 'b' }));
      expect(store.transponders.get('b')).toBeDefined();
    },
  );

  it('updates all that can change', () => {
    store.transponders.insert(rowWith({}));
    const changed = rowWith({
      desired: 'stop',
      state: 'BACKOFF',
      stateSinceMs: 2,
      reason: 'why',
      muted: true,
      soundJson: '{"soundFile":"a.wav","loop":true}',
      attempt: 3,
      restartsTotal: 4,
      nextRetryAtMs: 5,
      lastActiveAtMs: 6,
      updatedAtMs: 7,
      terminatedAtMs: 8,
    });
    store.transponders.update(changed);
    expect(store.transponders.get('id1')).toEqual(changed);
  });

  it('refuses a state, a kind or a JSON that is none', () => {
    expect(() => store.transponders.insert(rowWith({ state: 'RUNNING' as 'NEW' }))).toThrow(/CHECK/);
    expect(() => store.transponders.insert(rowWith({ kind: 'x' as 'rtmp_push' }))).toThrow(/CHECK/);
    expect(() => store.transponders.insert(rowWith({ requestJson: '{' }))).toThrow(/CHECK/);
  });
});

describe('runs', () => {
  beforeEach(() => store.transponders.insert(rowWith({})));

  it('allows one open run for a transponder', () => {
    openRun('n1');
    expect(() => openRun('n2')).toThrow(/UNIQUE/);
    store.runs.end('n1', 5, { exitClass: 'crash', detail: 'd' }, '', '', 20);
    openRun('n2');
    expect(store.runs.ofTransponder('id1').map(({ nonce }) => nonce)).toEqual(['n2', 'n1']);
  });

  it('keeps the whole story of a run', () => {
    openRun('n1');
    store.runs.spawned('n1', { pid: 42, startTicks: 99, argvRedacted: 'ffmpeg' });
    store.runs.ready('n1', 3);
    store.runs.ready('n1', 4);
    const counters = { nonce: 'n1', bytesOut: 2 ** 40, framesOut: 7, bytesAcknowledged: 5 };
    store.runs.progress({ ...counters, cpuMs: 120, maxRssBytes: 9000 });
    store.runs.progress({ ...counters, maxRssBytes: 8000 });
    store.runs.progress(counters);
    store.runs.end('n1', 5, { exitClass: 'killed', detail: 'by us', exitSignal: 'SIGKILL' }, 'head', 'tail', 20);
    store.runs.end('n1', 6, { exitClass: 'crash', detail: 'late' }, '', '', 20);
    expect(store.runs.ofTransponder('id1')[0]).toEqual({
      transponderId: 'id1',
      attempt: 0,
      bootId: 'boot',
      nonce: 'n1',
      spawnedAtMs: 1,
      pid: 42,
      startTicks: 99,
      argvRedacted: 'ffmpeg',
      readyAtMs: 3,
      endedAtMs: 5,
      exitCode: null,
      exitSignal: 'SIGKILL',
      exitClass: 'killed',
      exitDetail: 'by us',
      bytesOut: 2 ** 40,
      framesOut: 7,
      bytesAcknowledged: 5,
      cpuMs: 120,
      maxRssBytes: 9000,
      stderrHead: 'head',
      stderrTail: 'tail',
    });
  });

  it('keeps the last twenty of a transponder and those of others', () => {
    store.transponders.insert(rowWith({ id: 'other', destHash: 'other' }));
    openRun('kept', 'other');
    store.runs.end('kept', 1, { exitClass: 'crash', detail: '' }, '', '', 20);
    for (let n = 0; n < 25; n++) {
      openRun(`n${n}`);
      store.runs.end(`n${n}`, 1, { exitClass: 'crash', detail: '' }, '', '', 20);
    }
    const kept = store.runs.ofTransponder('id1').map(({ nonce }) => nonce);
    expect(kept).toHaveLength(20);
    expect([kept[0], kept[19]]).toEqual(['n24', 'n5']);
    expect(store.runs.ofTransponder('other')).toHaveLength(1);
  });

  it('names the open ones, and closes that of one transponder', () => {
    openRun('n1');
    store.runs.spawned('n1', { pid: 42, startTicks: 99, argvRedacted: 'ffmpeg' });
    expect(store.runs.allOpen()).toEqual([
      { transponderId: 'id1', bootId: 'boot', nonce: 'n1', pid: 42, startTicks: 99 },
    ]);
    store.runs.endOpenOf('id1', 5, { exitClass: 'crash', detail: 'lost' });
    expect(store.runs.allOpen()).toEqual([]);
    expect(store.runs.ofTransponder('id1')[0]).toMatchObject({ exitClass: 'crash', exitDetail: 'lost', endedAtMs: 5 });
  });

  it('closes all open runs at once', () => {
    openRun('n1');
    expect(store.runs.endAllOpen(9, 'server_crash')).toBe(1);
    expect(store.runs.endAllOpen(9, 'server_crash')).toBe(0);
    expect(store.runs.ofTransponder('id1')[0]).toMatchObject({ exitClass: 'server_crash', endedAtMs: 9 });
  });

  it('needs a transponder', () => {
    expect(() => openRun('n1', 'nobody')).toThrow(/FOREIGN KEY/);
  });
});

describe('a list', () => {
  it('has what fits, newest first, page by page, with the number of all', () => {
    for (let n = 0; n < 5; n++) {
      store.transponders.insert(rowWith({ id: `id${n}`, destHash: `${n}`, createdAtMs: n, streamName: `s${n % 2}` }));
    }
    store.transponders.insert(rowWith({ id: 'ended', createdAtMs: 9, state: 'FAILED' }));
    const idsOf = (...args: Parameters<typeof store.transponders.list>) => {
      const { rows, total } = store.transponders.list(...args);
      return [...rows.map(({ id }) => id), total];
    };
    expect(idsOf({}, 3, 0)).toEqual(['ended', 'id4', 'id3', 6]);
    expect(idsOf({}, 3, 4)).toEqual(['id1', 'id0', 6]);
    expect(idsOf({ state: 'FAILED' }, 9, 0)).toEqual(['ended', 1]);
    expect(idsOf({ streamName: 's1', kind: 'rtmp_push' }, 9, 0)).toEqual(['id3', 'id1', 2]);
    expect(idsOf({ kind: 'wcs_pull' }, 9, 0)).toEqual([0]);
  });
});

describe('events', () => {
  it('are numbered for ever, so that a reader goes on where it was', () => {
    store.transponders.insert(rowWith({}));
    expect(store.events.lastSeq()).toBe(0);
    const event = { atMs: 1, transponderId: 'id1', type: 'x', fromState: 'NEW', toState: 'NEW', detail: null } as const;
    for (const exitClass of [null, 'dest_reset', 'crash'] as const) store.events.append({ ...event, exitClass });
    expect(store.events.after(1, 10)).toEqual([
      { ...event, seq: 2, exitClass: 'dest_reset' },
      { ...event, seq: 3, exitClass: 'crash' },
    ]);
    expect(store.events.after(0, 1).map(({ seq }) => seq)).toEqual([1]);
    store.events.deleteOlder(2, 10);
    expect(store.events.lastSeq()).toBe(3);
  });
});

describe('history', () => {
  it('forgets events and ended transponders after thirty days, live ones never', () => {
    const nowMs = 100 * DAY_MS;
    const event = { type: 'x', fromState: 'NEW', toState: 'NEW', detail: null, exitClass: null } as const;
    store.transponders.insert(rowWith({ id: 'live', createdAtMs: 0 }));
    store.transponders.insert(rowWith({ id: 'old', state: 'FAILED', terminatedAtMs: nowMs - 31 * DAY_MS }));
    store.transponders.insert(rowWith({ id: 'new', state: 'FAILED', terminatedAtMs: nowMs - 29 * DAY_MS }));
    openRun('n1', 'old');
    store.events.append({ ...event, transponderId: 'live', atMs: nowMs - 31 * DAY_MS });
    store.events.append({ ...event, transponderId: 'live', atMs: nowMs - 29 * DAY_MS });
    store.events.append({ ...event, transponderId: 'old', atMs: nowMs - 29 * DAY_MS });
    forgetOldHistory(store, nowMs);
    expect(store.transponders.get('old')).toBeUndefined();
    expect(store.transponders.get('new')).toBeDefined();
    expect(store.transponders.get('live')).toBeDefined();
    expect(store.runs.ofTransponder('old')).toEqual([]);
    expect(store.events.ofTransponder('old', 10)).toEqual([]);
    expect(store.events.ofTransponder('live', 10).map(({ atMs }) => atMs)).toEqual([nowMs - 29 * DAY_MS]);
  });

  it('keeps the last thousand events of each transponder', () => {
    const event = { type: 'x', fromState: 'NEW', toState: 'NEW', detail: null, exitClass: null, atMs: 1 } as const;
    for (const id of ['busy', 'calm']) store.transponders.insert(rowWith({ id, streamName: id }));
    store.events.append({ ...event, transponderId: 'calm' });
    for (let n = 0; n < 1010; n++) store.events.append({ ...event, transponderId: 'busy' });
    expect(store.events.ofTransponder('busy', 2000).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 1000 }, (_, n) => 1011 - n),
    );
    expect(store.events.ofTransponder('calm', 10)).toHaveLength(1);
  });

  it('keeps no more ended transponders than it is told, the last ones, and all live ones', () => {
    for (let n = 0; n < 12; n++) {
      store.transponders.insert(rowWith({ id: `t${n}`, state: 'TERMINATED', terminatedAtMs: 1000 + n }));
    }
    store.transponders.insert(rowWith({ id: 'live', createdAtMs: 0 }));
    expect([1, 2].map(() => forgetOldHistory(store, 2000, 1))).toEqual([true, false]);
    expect(
      store.transponders
        .list({}, 100, 0)
        .rows.map(({ id }) => id)
        .toSorted(),
    ).toEqual(['live', 't11']);
  });

  it('forgets in small passes, and says when there is more to forget', () => {
    const nowMs = 100 * DAY_MS;
    for (let n = 0; n < 25; n++) {
      store.transponders.insert(rowWith({ id: `t${n}`, state: 'FAILED', terminatedAtMs: nowMs - 31 * DAY_MS }));
    }
    expect([1, 2, 3].map(() => forgetOldHistory(store, nowMs))).toEqual([true, true, false]);
    expect(store.transponders.list({}, 100, 0).total).toBe(0);
  });
});
