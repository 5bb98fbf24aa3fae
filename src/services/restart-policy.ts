import { AppError } from '../domain/errors.ts';
import { PERSISTENT } from '../supervisor/transponder-policy.ts';
import type { RestartPolicy } from '../supervisor/transponder-policy.ts';

/** What a caller may say: a word for a policy of the configuration, or the figures themselves. Absent figures have defaults. */
export type RestartPolicyRequest =
  | 'wcs'
  | 'persistent'
  | {
      readonly kind: 'wcs' | 'persistent';
      readonly attempts?: number | undefined;
      readonly intervalMs?: number | undefined;
      readonly baseMs?: number | undefined;
      readonly capMs?: number | undefined;
      readonly stableAfterMs?: number | undefined;
    };

/** The slice of the configuration; each field is the key of `flashphoner.properties` it is named after. */
export interface RestartPolicyConfig {
  /** `rtmp_push_restart_policy` */
  readonly restartPolicy: 'wcs' | 'persistent';
  /** `rtmp_push_restore` */
  readonly restore: boolean;
  /** `rtmp_push_restore_attempts` */
  readonly restoreAttempts: number;
  /** `rtmp_push_restore_interval_ms` */
  readonly restoreIntervalMs: number;
}

const FIELDS = {
  wcs: ['attempts', 'intervalMs'],
  persistent: ['baseMs', 'capMs', 'stableAfterMs'],
} as const;

/** The policy in all its figures. Throws BAD_REQUEST where the figures do not belong together. */
export function effectivePolicy(request: RestartPolicyRequest | undefined, config: RestartPolicyConfig): RestartPolicy {
  const wanted = request ?? config.restartPolicy;
  if (wanted === 'persistent') return PERSISTENT;
  if (wanted === 'wcs') {
    const { restore, restoreAttempts, restoreIntervalMs } = config;
    return { kind: 'wcs', attempts: restore ? restoreAttempts : 0, intervalMs: restoreIntervalMs };
  }
  requireOwnFields(wanted);
  if (wanted.kind === 'wcs') {
    const { attempts, intervalMs } = wanted;
    if (attempts === undefined || intervalMs === undefined) {
      throw new AppError('BAD_REQUEST', 'restartPolicy of kind "wcs" needs attempts and intervalMs');
    }
    return { kind: 'wcs', attempts, intervalMs };
  }
  const policy = persistentWith(wanted);
  if (policy.capMs < policy.baseMs) {
    throw new AppError('BAD_REQUEST', `restartPolicy.capMs ${policy.capMs} is less than baseMs ${policy.baseMs}`);
  }
  return policy;
}

/** Of a row. Rows of earlier versions hold less. */
export function policyOfRow(policyJson: string): RestartPolicy {
  const policy = JSON.parse(policyJson) as RestartPolicy;
  return policy.kind === 'wcs' ? policy : persistentWith(policy);
}

type Persistent = Extract<RestartPolicy, { kind: 'persistent' }>;

interface PersistentFigures {
  readonly baseMs?: number | undefined;
  readonly capMs?: number | undefined;
  readonly stableAfterMs?: number | undefined;
}

function persistentWith({ baseMs, capMs, stableAfterMs }: PersistentFigures): Persistent {
  return {
    kind: 'persistent',
    baseMs: baseMs ?? PERSISTENT.baseMs,
    capMs: capMs ?? Math.max(PERSISTENT.capMs, baseMs ?? 0),
    stableAfterMs: stableAfterMs ?? PERSISTENT.stableAfterMs,
  };
}

function requireOwnFields(wanted: Exclude<RestartPolicyRequest, string>): void {
  const own: readonly string[] = ['kind', ...FIELDS[wanted.kind]];
  const foreign = Object.keys(wanted).find((name) => !own.includes(name));
  if (foreign === undefined) return;
  throw new AppError(
    'BAD_REQUEST',
    `restartPolicy of kind "${wanted.kind}" has no ${foreign}; expected ${own.join(', ')}`,
  );
}
