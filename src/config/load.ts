import { readFileSync } from 'node:fs';
import { AppError } from '../domain/errors.ts';
import { KEYS, KEYS_WITHOUT_EFFECT, type Config } from './keys.ts';
import { parseProperties } from './properties.ts';

/** A key as it stands in a file, the environment or a flag; `source` is named in the error when it is wrong. */
interface Setting {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Keys of WCS that were set but do nothing here; worth one log line. */
  readonly withoutEffect: readonly string[];
}

/**
 * Builds the configuration: defaults, then the file, then the environment (`TRANSPONDER_` and the key in capitals with `_`
 * for `.`), then `--set key=value`. Throws AppError BAD_CONFIGURATION with one sentence that names source, key, value and
 * what is allowed.
 */
export function loadConfig(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  const flags = parseFlags(argv);
  const settings = [...fromFile(flags.file), ...fromEnvironment(environment), ...flags.settings];
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(KEYS)) values[key] = spec.fallback;
  const withoutEffect = new Set<string>();
  for (const { source, key, value } of settings) {
    const spec = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (!spec) {
      if (!KEYS_WITHOUT_EFFECT.includes(key))
        throw bad(`${source}: unknown key "${key}" (value "${shown(key, value)}")${suggestion(key)}`);
      withoutEffect.add(key);
      continue;
    }
    const parsed = spec.type.parse(value.trim());
    if (parsed === undefined)
      throw bad(`${source}: ${key}="${shown(key, value)}" is not allowed; expected ${spec.type.allowed}`);
    values[key] = parsed;
  }
  // Every key of Keys was filled from its spec, whose type is the one in Config.
  const config = values as unknown as Config;
  checkTogether(config);
  return { config, withoutEffect: [...withoutEffect] };
}

/** The environment variable of a key. */
export function environmentName(key: string): string {
  return `TRANSPONDER_${key.toUpperCase().replaceAll('.', '_')}`;
}

interface Flags {
  readonly file: string | undefined;
  readonly settings: readonly Setting[];
}

function parseFlags(argv: readonly string[]): Flags {
  let file: string | undefined;
  const settings: Setting[] = [];
  for (let index = 0; index < argv.length; index++) {
    const flag = argv[index];
    const value = argv[++index];
    if (flag !== '--config' && flag !== '--set')
      throw bad(`unknown argument "${flag}"; expected --config FILE or --set key=value`);
    if (value === undefined) throw bad(`${flag} needs a value; expected --config FILE or --set key=value`);
    if (flag === '--config') {
      file = value;
      continue;
    }
    const at = value.indexOf('=');
    if (at < 1) throw bad(`--set "${value}" is not allowed; expected key=value`);
    settings.push({ source: '--set', key: value.slice(0, at).trim(), value: value.slice(at + 1) });
  }
  return { file, settings };
}

function fromFile(file: string | undefined): Setting[] {
  if (file === undefined) return [];
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw bad(`--config "${file}" cannot be read: ${(error as Error).message}`);
  }
  return parseProperties(content).map(({ key, value, line }) => ({ source: `${file} line ${line}`, key, value }));
}

function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Setting[] {
  const keyOf = new Map([...Object.keys(KEYS), ...KEYS_WITHOUT_EFFECT].map((key) => [environmentName(key), key]));
  const settings: Setting[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('TRANSPONDER_')) continue;
    settings.push({ source: `environment variable ${name}`, key: keyOf.get(name) ?? name, value });
  }
  return settings;
}

/** Rules over more than one key, one a line. */
function checkTogether(config: Config): void {
  const from = config.media_port_from;
  const to = config.media_port_to;
  if (from !== 0 && to < from)
    throw bad(`media_port_to="${to}" is not allowed; expected at least media_port_from (${from})`);
  if ((config.ssl_cert_file === '') !== (config.ssl_key_file === '')) {
    throw bad('ssl_cert_file and ssl_key_file go together; only one of them is set');
  }
  if (!config.disable_rest_auth && (config.rest_username === '' || config.rest_password === '')) {
    throw bad('disable_rest_auth="false" needs rest_username and rest_password');
  }
  if (config.rest_hook_send_hash && config.rest_hook_secret_key === '') {
    throw bad('rest_hook_send_hash="true" needs rest_hook_secret_key');
  }
  if (config.rtmp_push_auto_start && config.rtmp_push_auto_start_url === '') {
    throw bad('rtmp_push_auto_start="true" needs rtmp_push_auto_start_url');
  }
  if (config.rtmp_push_auto_start && !/^rtmps?:\/\//i.test(config.rtmp_push_auto_start_url)) {
    throw bad('rtmp_push_auto_start_url="***" is not allowed; expected a URL that begins with rtmp:// or rtmps://');
  }
}

function suggestion(key: string): string {
  const near = nearestKey(key);
  return near ? `; did you mean "${near}"?` : '; the known keys are in conf/flashphoner.properties';
}

function nearestKey(key: string): string | undefined {
  const wanted = key.toLowerCase();
  return Object.keys(KEYS).find((known) => known.toLowerCase() === wanted || distance(known, wanted) <= 2);
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** A misspelt key is as secret as the one that was meant. */
function shown(key: string, value: string): string {
  return /pas+w|secret|token|url|ice.?server/i.test(`${key} ${nearestKey(key)}`) ? '***' : value;
}

function bad(sentence: string): AppError {
  return new AppError('BAD_CONFIGURATION', sentence);
}
