import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { startChild } from '../../src/supervisor/child-process.ts';

/** A supervisor that waits to be killed: starts one child that would run for long, and tells its pid on stdout. */
const child = startChild({
  program: 'sleep',
  args: ['600'],
  name: 'sleeper',
  nonce: 'test',
  logger: silentLogger,
  clock: systemClock,
});
process.stdout.write(`${child.pid}\n`);
