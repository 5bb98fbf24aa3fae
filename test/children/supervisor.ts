import { writeSync } from 'node:fs';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { startChild } from '../../src/supervisor/child-process.ts';

/**
 * A supervisor that waits to be killed, or with the argument `at-once` does not wait: starts one child that would run for long, and tells
 * its pid on stdout.
 */
const child = startChild({
  program: 'sleep',
  args: ['600'],
  name: 'sleeper',
  nonce: 'test',
  logger: silentLogger,
  clock: systemClock,
});
writeSync(1, `${child.pid}\n`);
if (process.argv[2] === 'at-once') process.kill(process.pid, 'SIGKILL');
