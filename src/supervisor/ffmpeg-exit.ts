import type { ExitClass, RunEnd } from '../domain/transponder.ts';
import type { ChildEnd } from './child-process.ts';

/** Phrases of ffmpeg's stderr in the order in which they decide (reference/ffmpeg.md §4). */
const CLASSES: ReadonlyArray<readonly [RegExp, ExitClass]> = [
  [/Failed to resolve hostname/, 'dest_dns'],
  [/Connection refused/, 'dest_refused'],
  [/No route to host|Network is unreachable/, 'dest_unreachable'],
  [/Connection timed out/, 'dest_timeout'],
  [/certificate/i, 'tls_error'],
  [/Incorrect username|No credentials|Authentication failed/, 'dest_auth'],
  [/Server error: Already publishing/i, 'dest_busy'],
  [/Server error: /, 'dest_rejected'],
  [/Broken pipe|reset by peer|End of file/, 'dest_reset'],
  [/Invalid data found|Could not find codec parameters|Invalid argument/, 'media_unsupported'],
  [/Input\/output error|Operation not permitted/, 'dest_rejected'],
];

const MAX_DETAIL_CHARS = 200;

/**
 * Why an ffmpeg that nobody asked to stop has ended. Its exit code says little (reference/ffmpeg.md §0 rule 8), so its words
 * decide. The gate knows the destination's own reason and goes before this; this is what is left when the child's end came first.
 * Exit code 0 is no good end either: the input of a live process has none that we did not make.
 */
export function classifyFfmpegEnd(end: ChildEnd, stderrLines: readonly string[], wasAskedToStop: boolean): RunEnd {
  const exit = { exitCode: end.exitCode, exitSignal: end.signal };
  if (wasAskedToStop) return { exitClass: 'asked_stop', detail: 'stopped on request', ...exit };
  if (end.spawnError !== undefined) return { exitClass: 'spawn_error', detail: end.spawnError, ...exit };
  if (end.signal !== undefined) {
    return { exitClass: isFault(end.signal) ? 'crash' : 'killed', detail: `ended by ${end.signal}`, ...exit };
  }
  for (const [pattern, exitClass] of CLASSES) {
    const line = stderrLines.findLast((candidate) => pattern.test(candidate));
    if (line !== undefined) return { exitClass, detail: withoutAddresses(line), ...exit };
  }
  if (end.exitCode === 0) return { exitClass: 'crash', detail: 'ffmpeg ended of its own accord', ...exit };
  return { exitClass: 'crash', detail: withoutAddresses(stderrLines.at(-1) ?? `exit code ${end.exitCode}`), ...exit };
}

function isFault(signal: string): boolean {
  return ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGSYS', 'SIGTRAP'].includes(signal);
}

/** Names of one-time loopback places mean nothing to an operator, and other addresses may carry a key. */
function withoutAddresses(line: string): string {
  return line.replaceAll(/\b[a-z]+:\/\/[^\s'"]+/gi, '[address]').slice(0, MAX_DETAIL_CHARS);
}
