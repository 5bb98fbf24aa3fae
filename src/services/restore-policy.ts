import type { TransponderRow } from '../store/transponders.ts';
import type { RestoredAs } from '../supervisor/transponder-machine.ts';

/** The slice of the configuration; each field is the key of `flashphoner.properties` it is named after. */
export interface RestoreConfig {
  /** `restore_on_start` */
  readonly onStart: 'never' | 'if_source_returns' | 'always';
  /** `restore_window_ms` */
  readonly windowMs: number;
}

/**
 * What becomes of a row that was live when the supervisor went away, killed or asked to. Sources over WebRTC never survive
 * that, so a push waits for its stream; after an absence longer than the window it comes back suspended, because nobody may
 * expect it any more (reference/supervision-and-user-pain.md §2.3, "Restore policy at boot"). How long it had waited before
 * is no matter: it would be waiting still. The push of a publisher (`rtmpUrl` of publishStream) was for that publisher's
 * stream only: who publishes next under the name may be someone else. `awayMs` is how long the supervisor was away.
 */
export function restoredAs(row: TransponderRow, { onStart, windowMs }: RestoreConfig, awayMs: number): RestoredAs {
  if (onStart === 'never') return 'failed';
  if (row.caller === 'publisher') return 'over';
  if (row.state === 'SUSPENDED') return 'suspended';
  if (onStart === 'always') return 'waiting';
  return awayMs > windowMs ? 'suspended' : 'waiting';
}
