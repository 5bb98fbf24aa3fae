import { readFile } from 'node:fs/promises';
import { AppError } from '../../domain/errors.ts';
import { type Fields, isFields, printable } from '../../protocol/wcs/fields.ts';
import { HOOK_METHODS } from './hook-methods.ts';

/** What clients name as their `appKey`, and who is asked about them (reference/wcs-protocol.md §4). */
export interface Application {
  /** For the log. */
  readonly name: string;
  readonly appKey: string;
  /** Absent: the built-in EchoApp, which agrees to everything and costs no request. */
  readonly backend?: ApplicationBackend | undefined;
}

export interface ApplicationBackend {
  /** Without a slash at its end; methods are put behind it. */
  readonly url: string;
  /** HTTP Basic. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
  /** Absent: all. */
  readonly methods?: ReadonlySet<string> | undefined;
}

/** Where there is no file: pages, RTMP clients, and pages that use rooms. */
export const BUILT_IN_APPLICATIONS: readonly Application[] = ['defaultApp', 'flashStreamingApp', 'roomApp'].map(
  (appKey) => ({ name: appKey, appKey }),
);

const ROOT_FIELDS = ['applications'];
const FIELDS = ['name', 'appKey', 'url', 'restUsername', 'restPassword', 'methods'];
const MAX_TEXT_CHARS = 128;

/**
 * Reads `applications_file`. Rejects with AppError BAD_CONFIGURATION, one sentence that names file, place and value.
 * `isSigned`: requests carry a signature (`rest_hook_send_hash`), which has the place of HTTP Basic.
 */
export async function readApplications(file: string, isSigned: boolean): Promise<Application[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AppError('BAD_CONFIGURATION', `applications_file="${file}" cannot be read (${code})`);
  }
  return parseApplications(text, file, isSigned);
}

/** As `readApplications`; `file` is for the sentence. Secrets are in no sentence. */
export function parseApplications(text: string, file: string, isSigned: boolean): Application[] {
  try {
    const root = fieldsOf(parseJson(text), 'the file', ROOT_FIELDS);
    const list: unknown = root['applications'];
    if (!Array.isArray(list)) throw wrong('applications', 'a list is expected');
    const applications = list.map((one, index) => applicationOf(one, `applications[${index}]`));
    for (const field of ['appKey', 'name'] as const) requireUnique(applications, field);
    const index = applications.findIndex(({ backend }) => backend?.credentials !== undefined);
    if (!isSigned || index === -1) return applications;
    throw wrong(`applications[${index}].restUsername`, 'it cannot go with rest_hook_send_hash="true"');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, `${file}: ${error.message}`);
  }
}

/** V8's sentence would quote the text. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec(String(error))?.[0] ?? 'at its end';
    throw wrong('the file', `it is not JSON ${position}`);
  }
}

function applicationOf(value: unknown, path: string): Application {
  const fields = fieldsOf(value, path, FIELDS);
  const name = textOf(fields, 'name', path);
  const appKey = textOf(fields, 'appKey', path);
  if (Object.hasOwn(fields, 'url')) return { name, appKey, backend: backendOf(fields, path) };
  const useless = ['restUsername', 'restPassword', 'methods'].find((field) => Object.hasOwn(fields, field));
  if (useless) throw wrong(`${path}.${useless}`, 'it means nothing without url');
  return { name, appKey };
}

function backendOf(fields: Fields, path: string): ApplicationBackend {
  const url = urlOf(fields['url'], `${path}.url`);
  const methods = Object.hasOwn(fields, 'methods') ? methodsOf(fields['methods'], `${path}.methods`) : undefined;
  if (!Object.hasOwn(fields, 'restUsername') && !Object.hasOwn(fields, 'restPassword')) return { url, methods };
  const username = textOf(fields, 'restUsername', path);
  if (username.includes(':')) throw wrong(`${path}.restUsername`, 'HTTP Basic allows no colon in it');
  return { url, methods, credentials: { username, password: textOf(fields, 'restPassword', path) } };
}

function urlOf(value: unknown, path: string): string {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.search !== '' || url.hash !== '') {
    throw wrong(path, `${shown(value)} is not allowed; expected an http:// or https:// URL without ? and #`);
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong(path, 'it holds credentials; put them into restUsername and restPassword');
  }
  return url.href.replace(/\/+$/, '');
}

function methodsOf(value: unknown, path: string): ReadonlySet<string> {
  if (!Array.isArray(value)) throw wrong(path, 'a list of method names is expected');
  for (const [index, method] of value.entries()) {
    if (!HOOK_METHODS.has(method)) throw wrong(`${path}[${index}]`, `${shown(method)} is no method`);
  }
  return new Set<string>(value);
}

function textOf(fields: Fields, field: string, path: string): string {
  const text = printable(fields, field, MAX_TEXT_CHARS);
  if (text !== '') return text;
  const value = fields[field];
  const given = value === undefined ? 'it is missing' : field === 'restPassword' ? 'it is not allowed' : shown(value);
  throw wrong(`${path}.${field}`, `${given}; expected a text of 1 to ${MAX_TEXT_CHARS} characters`);
}

/** An unknown field may be a misspelt password, so its value is not told. */
function fieldsOf(value: unknown, path: string, known: readonly string[]): Fields {
  if (!isFields(value)) throw wrong(path, 'an object is expected');
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown === undefined) return value;
  throw wrong(path, `there is no field ${shown(unknown)}; the known ones are ${known.join(', ')}`);
}

function requireUnique(applications: readonly Application[], field: 'appKey' | 'name'): void {
  const seen = new Set<string>();
  for (const [index, { [field]: value }] of applications.entries()) {
    if (seen.has(value)) throw wrong(`applications[${index}].${field}`, `${shown(value)} is there twice`);
    seen.add(value);
  }
}

/** What may be a URL with credentials or a key in it is masked. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return /[@?]/.test(text) ? '"***"' : text.slice(0, MAX_TEXT_CHARS);
}

function wrong(path: string, what: string): AppError {
  return new AppError('BAD_CONFIGURATION', `${path}: ${what}`);
}
