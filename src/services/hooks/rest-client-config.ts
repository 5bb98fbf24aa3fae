import { type Fields, isFields } from '../../protocol/wcs/fields.ts';
import { HOOK_METHODS } from './hook-methods.ts';

/** How one method of one session is handled (`restClientConfig`, reference/wcs-protocol.md §4). Lists are names of fields. */
export interface HookPolicy {
  /** Not shown to the client. */
  readonly clientExclude: ReadonlySet<string>;
  /** Not sent to the backend. */
  readonly restExclude: ReadonlySet<string>;
  readonly restOnError: 'LOG' | 'FAIL';
  readonly restPolicy: 'NOTIFY' | 'OVERWRITE' | 'DISABLE';
  /** Taken from the answer, with OVERWRITE. */
  readonly restOverwrite: ReadonlySet<string>;
}

export interface RestClientConfig {
  readonly policies: ReadonlyMap<string, HookPolicy>;
  /** Places that say nothing that is known, for the log. */
  readonly ignored: readonly string[];
}

const NO_FIELDS: ReadonlySet<string> = new Set();

export const DEFAULT_POLICY: HookPolicy = {
  clientExclude: NO_FIELDS,
  restExclude: NO_FIELDS,
  restOnError: 'LOG',
  restPolicy: 'NOTIFY',
  restOverwrite: NO_FIELDS,
};

const ON_ERROR = new Map<unknown, HookPolicy['restOnError']>([
  ['LOG', 'LOG'],
  ['FAIL', 'FAIL'],
]);
/** Old pages of the documentation spell DISABLED. */
const POLICIES = new Map<unknown, HookPolicy['restPolicy']>([
  ['NOTIFY', 'NOTIFY'],
  ['OVERWRITE', 'OVERWRITE'],
  ['DISABLE', 'DISABLE'],
  ['DISABLED', 'DISABLE'],
]);
const MAX_IGNORED = 20;
const MAX_PATH_CHARS = 100;
const MAX_FIELDS = 100;

/** Reads `restClientConfig` of an answer to `connect`. What is not understood keeps its default and is named in `ignored`. */
export function parseRestClientConfig(value: unknown): RestClientConfig {
  const policies = new Map<string, HookPolicy>();
  const ignored: string[] = [];
  const ignore = (path: string): void => {
    if (ignored.length < MAX_IGNORED) ignored.push(path.slice(0, MAX_PATH_CHARS));
  };
  if (value !== undefined && !isFields(value)) ignore('restClientConfig');
  for (const [method, fields] of Object.entries(isFields(value) ? value : {})) {
    if (HOOK_METHODS.has(method) && isFields(fields)) {
      policies.set(
        method,
        policyOf(fields, (field) => ignore(`${method}.${field}`)),
      );
    } else ignore(method);
  }
  return { policies, ignored };
}

function policyOf(fields: Fields, ignore: (field: string) => void): HookPolicy {
  const policy: { -readonly [Field in keyof HookPolicy]: HookPolicy[Field] } = { ...DEFAULT_POLICY };
  for (const [field, value] of Object.entries(fields)) {
    switch (field) {
      case 'clientExclude':
      case 'restExclude':
      case 'restOverwrite': {
        if (typeof value === 'string') policy[field] = namesOf(value);
        else ignore(field);
        break;
      }
      case 'restOnError': {
        const known = ON_ERROR.get(value);
        if (known) policy.restOnError = known;
        else ignore(field);
        break;
      }
      case 'restPolicy': {
        const known = POLICIES.get(value);
        if (known) policy.restPolicy = known;
        else ignore(field);
        break;
      }
      default:
        ignore(field);
    }
  }
  return policy;
}

function namesOf(list: string): ReadonlySet<string> {
  const names = list.split(',', MAX_FIELDS).map((name) => name.trim());
  return new Set(names.filter((name) => name !== ''));
}
