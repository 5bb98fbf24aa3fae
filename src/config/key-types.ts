import { isIP } from 'node:net';
import type { IceServer } from '../domain/ice-server.ts';

/** The kinds of value a configuration key can have. Each parses its text or says in a few words what is allowed. */
export interface KeyType<T> {
  readonly allowed: string;
  /** `undefined` when the text is not allowed. */
  parse(text: string): T | undefined;
  /** The text that parses to `value`; used for the sample file. */
  print(value: T): string;
}

export const boolean: KeyType<boolean> = {
  allowed: 'true or false',
  parse: (text) => ({ true: true, false: false })[text.toLowerCase()],
  print: String,
};

export function integer(min: number, max: number, unit = ''): KeyType<number> {
  return {
    allowed: `a whole number from ${min} to ${max}${unit && ` ${unit}`}`,
    parse(text) {
      if (!/^-?\d{1,15}$/.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
    print: String,
  };
}

export const port = integer(0, 65_535, '(0 = any free port)');

export const text: KeyType<string> = {
  allowed: 'a text without control characters',
  // oxlint-disable-next-line no-control-regex
  parse: (value) => (/[\u0000-\u001f\u007f]/.test(value) ? undefined : value),
  print: (value) => value,
};

export function oneOf<const T extends string>(...values: readonly T[]): KeyType<T> {
  return {
    allowed: values.join(', '),
    parse: (value) => values.find((allowed) => allowed.toLowerCase() === value.toLowerCase()),
    print: (value) => value,
  };
}

/** An IP literal; empty text is none. */
export const address: KeyType<string> = {
  allowed: 'an IP address',
  parse: (value) => (value === '' || isIP(value) !== 0 ? value : undefined),
  print: (value) => value,
};

/** IP literals. */
export const addresses = list('a comma-separated list of IP addresses', (part) => isIP(part) !== 0);

/** IP literals and CIDR blocks. */
export const networks = list('a comma-separated list of IP addresses and networks (10.0.0.0/8)', isNetwork);

/** No text has a comma in it. */
export const texts = list('a comma-separated list', (part) => text.parse(part) !== undefined);

/** STUN servers by their URI; behind that of a TURN server stand user and password. */
export const iceServers: KeyType<readonly IceServer[]> = {
  allowed:
    'a comma-separated list of stun:HOST[:PORT] and turn:HOST[:PORT][?transport=udp|tcp] USER PASSWORD (stuns:, turns:)',
  parse(value) {
    const servers = parts(value).map(parseIceServer);
    return servers.every((server) => server !== undefined) ? servers : undefined;
  },
  print: (value) =>
    value.map(({ uri, login }) => (login ? `${uri} ${login.username} ${login.credential}` : uri)).join(','),
};

/** Printable ASCII, because it goes into a header. */
function parseIceServer(part: string): IceServer | undefined {
  const host = String.raw`(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?`;
  const stun = new RegExp(`^stuns?:${host}$`, 'i').exec(part);
  if (stun) return { uri: part };
  const turn = new RegExp(String.raw`^(turns?:${host}(?:\?transport=(?:udp|tcp))?) +([!-~]+) +([!-~]+)$`, 'i').exec(
    part,
  );
  return turn?.[1] && turn[2] && turn[3]
    ? { uri: turn[1], login: { username: turn[2], credential: turn[3] } }
    : undefined;
}

/** Comma-separated; empty text is the empty list. */
function list(allowed: string, isAllowed: (part: string) => boolean): KeyType<readonly string[]> {
  return {
    allowed,
    parse: (value) => (parts(value).every(isAllowed) ? parts(value) : undefined),
    print: (value) => value.join(','),
  };
}

function parts(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function isNetwork(part: string): boolean {
  const [base = '', prefix = '0', ...rest] = part.split('/');
  const family = isIP(base);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}
