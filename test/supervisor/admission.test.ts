import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Admission, decideAdmission } from '../../src/supervisor/admission.ts';
import { ManualClock } from '../support/manual-clock.ts';

const LIMITS = { maxCpuPercent: 85, minMemoryBytes: 256 * 1024 * 1024 };
const GIBIBYTE = 1024 ** 3;

describe('the decision whether one more push may begin', () => {
  it.each([
    [85, GIBIBYTE, true, ''],
    [85.1, GIBIBYTE, false, 'the server is busy: 85 % CPU in the last 10 s or about to be used, 85 % allowed'],
    [0, LIMITS.minMemoryBytes, true, ''],
    [0, LIMITS.minMemoryBytes - 1, false, 'memory is short: 255 MiB are left'],
  ])('at %f %% CPU with %i bytes free', (cpuPercent, availableMemoryBytes, ok, reason) => {
    const decision = decideAdmission({ cpuPercent, availableMemoryBytes }, LIMITS);
    expect(decision).toEqual(ok ? { ok } : { ok, reason });
  });

  it('asks nothing of the CPU where there is no limit', () => {
    const load = { cpuPercent: 1000, availableMemoryBytes: GIBIBYTE };
    expect(decideAdmission(load, { ...LIMITS, maxCpuPercent: 0 })).toEqual({ ok: true });
  });
});

describe('admission by the load of the last ten seconds', () => {
  function start() {
    const clock = new ManualClock();
    const use = { own: 100, children: 1000 };
    const admission = new Admission({
      clock,
      limits: LIMITS,
      ownCpuSeconds: () => use.own,
      childrenCpuSeconds: async () => use.children,
      availableMemoryBytes: () => GIBIBYTE,
      cores: 2,
    });
    const pass = async (seconds: number, ownPart: number, childrenPart: number, secondMs = 1000): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        use.own += ownPart;
        use.children += childrenPart;
        clock.advance(secondMs);
        await turn();
      }
    };
    return { clock, admission, pass };
  }

  it('counts this process and its children over all cores, and forgives a short peak', async () => {
    const { admission, pass } = start();
    await pass(6, 0.5, 1.5);
    expect(admission.check()).toEqual({ ok: true });
    await pass(6, 0.5, 1.5);
    expect(admission.check()).toMatchObject({ ok: false, reason: expect.stringContaining('100 % CPU') });
    await pass(4, 0, 0);
    expect(admission.check()).toEqual({ ok: true });
  });

  it('counts all of it where every look comes a little late, as timers do', async () => {
    const { admission, pass } = start();
    await pass(30, 0.5, 1.4, 1001);
    expect(admission.check()).toMatchObject({ ok: false, reason: expect.stringMatching(/9[45] % CPU/) });
    await pass(12, 0, 0, 1001);
    expect(admission.check()).toEqual({ ok: true });
  });

  it('lets no more begin at once than the machine can carry, and the next when their load is seen to be less', async () => {
    const { admission, pass } = start();
    let admitted = 0;
    for (let n = 0; n < 100 && admission.check().ok; n++) {
      admission.reserve(0.5);
      admitted += 1;
    }
    expect(admitted).toBe(4);
    await pass(4, 0, 0.4);
    expect(admission.check()).toEqual({ ok: true });
    admission.reserve(0.5);
    expect(admission.check()).toMatchObject({ ok: false });
    await pass(10, 0, 0.4);
    expect(admission.check()).toEqual({ ok: true });
  });

  it('sees the real load and memory, and leaves no timer behind', async () => {
    const clock = new ManualClock();
    const admission = new Admission({ clock, limits: LIMITS, childrenCpuSeconds: async () => 0 });
    await turn();
    expect(admission.check()).toEqual({ ok: true });
    const greedy = new Admission({
      clock,
      limits: { ...LIMITS, minMemoryBytes: 2 ** 52 },
      childrenCpuSeconds: async () => 0,
    });
    expect(greedy.check()).toMatchObject({ ok: false, reason: expect.stringMatching(/^memory is short: \d+ MiB/) });
    admission.close();
    greedy.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
