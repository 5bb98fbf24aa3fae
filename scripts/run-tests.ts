/** Runs every check and every test project, one after the other, and ends with one line: `N passed, N failed`. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

const CHECKS = ['format:check', 'lint', 'types', 'unused'];
const PROJECTS = ['unit', 'integration', 'e2e'];

const directory = await mkdtemp(join(tmpdir(), 'transponder-tests-'));
let failedSteps = 0;
let passed = 0;
let failed = 0;
let skipped = 0;

async function step(program: string, args: readonly string[]): Promise<void> {
  console.log(`\n== ${[program, ...args].join(' ')}`);
  const { exitCode } = await execa(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
    preferLocal: true,
  });
  if (exitCode !== 0) failedSteps++;
}

for (const check of CHECKS) await step('npm', ['run', '--silent', check]);
for (const project of PROJECTS) {
  const outputFile = join(directory, `${project}.json`);
  await step('vitest', [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${outputFile}`,
  ]);
  try {
    const report = JSON.parse(await readFile(outputFile, 'utf8')) as Report;
    passed += report.numPassedTests;
    failed += report.numFailedTests;
    skipped += report.numPendingTests;
  } catch {
    console.error(`The ${project} tests left no report.`);
    failedSteps++;
  }
}
await rm(directory, { recursive: true });

if (failedSteps > 0) console.error(`\n${failedSteps} step(s) failed; see above.`);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failedSteps > 0 || failed > 0 || passed === 0 ? 1 : 0;
