import type { Store } from './open-store.ts';

const KEEP_MS = 30 * 24 * 3_600_000;
/** Any page may begin pushes and end them; a list that is asked for goes through all of them while media wait. */
const MAX_ENDED = 10_000;
/** So that one pass never holds up the process. A transponder goes with up to a thousand events of its own. */
const MAX_EVENTS_PER_PASS = 1000;
const MAX_TRANSPONDERS_PER_PASS = 10;

/**
 * Forgets events older than 30 days and transponders that ended as long ago, or before the last `maxEnded`, some of them at a
 * time; true when there are more. Runs and the number of events of each transponder are bounded where they are written.
 */
export function forgetOldHistory(store: Store, nowMs: number, maxEnded = MAX_ENDED): boolean {
  const beforeMs = nowMs - KEEP_MS;
  return store.transaction(() => {
    const events = store.events.deleteOlder(beforeMs, MAX_EVENTS_PER_PASS);
    const transponders = store.transponders.deleteEnded(beforeMs, maxEnded, MAX_TRANSPONDERS_PER_PASS);
    return events === MAX_EVENTS_PER_PASS || transponders === MAX_TRANSPONDERS_PER_PASS;
  });
}
