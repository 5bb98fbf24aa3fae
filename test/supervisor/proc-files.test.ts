import { expect, it } from 'vitest';
import { ProcessStat, statusBytes } from '../../src/supervisor/proc-files.ts';

/** Fields 3 to 22 (proc(5)), each with its number but for the state. */
const FIELDS = ['S', ...Array.from({ length: 19 }, (_, index) => index + 4)].join(' ');

it.each(['node', 'a b', ') Z 1', '((', ''])('the times and the state of a process named "%s" are its own', (name) => {
  const stat = new ProcessStat(`4711 (${name}) ${FIELDS}\n`);
  expect(stat).toMatchObject({ isZombie: false, cpuMs: (14 + 15) * 10, reapedCpuMs: (16 + 17) * 10, startTicks: 22 });
  expect(new ProcessStat(`4711 (${name}) Z 1 4711`).isZombie).toBe(true);
});

it('a process that is gone has used nothing, and nobody can say when it began', () => {
  expect(new ProcessStat('')).toMatchObject({ isZombie: false, cpuMs: 0, reapedCpuMs: 0, startTicks: undefined });
  expect(statusBytes('Name:\tnode\nState:\tZ (zombie)\n', 'VmRSS')).toBeUndefined();
});

it('sizes are read in bytes, each by its own name', () => {
  const status = 'Name:\tnode\nVmHWM:\t    2048 kB\nVmRSS:\t      16 kB\n';
  expect(statusBytes(status, 'VmHWM')).toBe(2 << 20);
  expect(statusBytes(status, 'VmRSS')).toBe(16 << 10);
});
