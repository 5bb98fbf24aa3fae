import type { Store } from './open-store.ts';

const KEEP_MS = 30 * 24 * 3_600_000;
/** So that one pass never holds up the process; the next one goes on. */
const MAX_ROWS_PER_PASS = 1000;

/** Forgets events older than 30 days and transponders that ended as long ago. Runs are bounded where they end. */
export function forgetOldHistory(store: Store, nowMs: number): void {
  const beforeMs = nowMs - KEEP_MS;
  store.transaction(() => {
    store.events.deleteOlder(beforeMs, MAX_ROWS_PER_PASS);
    store.transponders.deleteEnded(beforeMs, MAX_ROWS_PER_PASS);
  });
}
