import { closeSync } from 'node:fs';

/** A child program that does one wrong thing, named by its first argument; it says "ready" on stdout when it has begun. */
const [deed = '', value = ''] = process.argv.slice(2);
const forever = (): void => void setInterval(() => {}, 60_000);

const DEEDS: Readonly<Record<string, () => void>> = {
  exit: () => process.exit(Number(value)),
  'ignore-everything': () => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
    process.stdout.write('ready');
    forever();
  },
  'end-with-input': () => {
    process.stdin.on('end', () => process.exit(0)).resume();
    process.stdout.write('ready');
  },
  'flood-stderr': () => {
    const line = `${'x'.repeat(2000)}\n`;
    for (let count = 0; count < Number(value); count++) process.stderr.write(line);
    process.stderr.write('the last word\n');
  },
  'close-stdout': () => {
    process.stdout.end('ready');
    process.stdin.on('end', () => process.exit(0)).resume();
  },
  'close-stdin': () => {
    closeSync(0);
    process.stdout.write('ready');
    forever();
  },
  environment: () => {
    process.stdout.write(JSON.stringify(process.env));
  },
};

DEEDS[deed]?.();
