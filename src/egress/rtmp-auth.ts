import { createHash } from 'node:crypto';

export interface RtmpCredentials {
  readonly user: string;
  readonly password: string;
}

/** What follows a connect that was answered with a challenge. */
export type AuthStep =
  /** Connect again on a new connection with these arguments on the app and tcUrl. */
  { readonly type: 'retry'; readonly query: string } | { readonly type: 'failed'; readonly reason: string };

const LLNW_REALM = 'live';
const LLNW_METHOD = 'publish';
const LLNW_QOP = 'auth';
const LLNW_COUNT = '00000001';

/**
 * The challenge authentication of Adobe and Limelight servers, which speak through the description of a connect `_error`:
 * first a bare demand, then a challenge, then the verdict; each is answered on a new connection (reference/ffmpeg.md §3).
 *
 * @param clientChallenge eight random hexadecimal digits
 * @returns undefined when the description is not about authentication
 */
export function nextAuthStep(
  description: string,
  app: string,
  credentials: RtmpCredentials | undefined,
  hasAnswered: boolean,
  clientChallenge: string,
): AuthStep | undefined {
  const method = /authmod=(adobe|llnw)/.exec(description)?.[1];
  if (!method) return undefined;
  if (!credentials) return { type: 'failed', reason: 'the destination wants a user and a password' };
  if (/reason=authfailed/.test(description)) return { type: 'failed', reason: 'wrong user or password' };
  if (/reason=nosuchuser/.test(description)) return { type: 'failed', reason: 'unknown user' };
  if (hasAnswered) return { type: 'failed', reason: 'authentication failed' };
  const user = encodeURIComponent(credentials.user);
  if (!/reason=needauth/.test(description)) {
    if (!/code=403 need auth/.test(description)) return { type: 'failed', reason: 'authentication failed' };
    return { type: 'retry', query: `authmod=${method}&user=${user}` };
  }
  const challenge = challengeFields(description);
  const answer = method === 'adobe' ? adobeAnswer : llnwAnswer;
  return {
    type: 'retry',
    query: `authmod=${method}&user=${user}&${answer(challenge, app, credentials, clientChallenge)}`,
  };
}

function adobeAnswer(
  fields: ReadonlyMap<string, string>,
  _app: string,
  { user, password }: RtmpCredentials,
  clientChallenge: string,
): string {
  const opaque = fields.get('opaque');
  const secret = md5(`${user}${fields.get('salt') ?? ''}${password}`, 'base64');
  const response = md5(`${secret}${opaque ?? fields.get('challenge') ?? ''}${clientChallenge}`, 'base64');
  return `challenge=${clientChallenge}&response=${response}${opaque === undefined ? '' : `&opaque=${opaque}`}`;
}

function llnwAnswer(
  fields: ReadonlyMap<string, string>,
  app: string,
  { user, password }: RtmpCredentials,
  clientNonce: string,
): string {
  const nonce = fields.get('nonce') ?? '';
  const path = app.split('?', 1)[0]!;
  const secret = md5(`${user}:${LLNW_REALM}:${password}`, 'hex');
  const request = md5(`${LLNW_METHOD}:/${path}${path.includes('/') ? '' : '/_definst_'}`, 'hex');
  const response = md5(`${secret}:${nonce}:${LLNW_COUNT}:${clientNonce}:${LLNW_QOP}:${request}`, 'hex');
  return `nonce=${nonce}&cnonce=${clientNonce}&nc=${LLNW_COUNT}&response=${response}`;
}

function challengeFields(description: string): Map<string, string> {
  const query = /\?(reason=needauth\S*)/.exec(description)?.[1] ?? '';
  return new Map(
    query.split('&').map((pair) => {
      const equals = pair.indexOf('=');
      return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

function md5(text: string, encoding: 'base64' | 'hex'): string {
  return createHash('md5').update(text, 'utf8').digest(encoding);
}
