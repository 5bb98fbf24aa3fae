import type { RtmpTarget } from './gate.ts';

const MASK = '***';
const MAX_TEXT_LENGTH = 200;
const MIN_SUBSTRING_LENGTH = 4;

/**
 * Destinations repeat names, queries and user names in their messages. The returned function makes such a text fit for a log
 * or an API answer: secrets of `target` and RTMP URLs are masked, control characters replaced, the length limited.
 */
export function secretMasker({ playPath, app, credentials }: RtmpTarget): (text: string) => string {
  const query = (text: string): string => text.split('?').slice(1).join('?');
  const argumentValues = (text: string): string[] =>
    query(text)
      .split('&')
      .map((pair) => pair.slice(pair.indexOf('=') + 1));
  const appRest = app.split('?', 1)[0]!.split('/').slice(1).join('/');
  const secrets = [playPath, playPath.split('?', 1)[0]!, appRest, query(app), query(playPath)];
  secrets.push(
    ...argumentValues(app),
    ...argumentValues(playPath),
    credentials?.user ?? '',
    credentials?.password ?? '',
  );
  const spellings = new Set(
    secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]).filter((secret) => secret !== ''),
  );
  const pattern = Array.from(spellings)
    .sort((a, b) => b.length - a.length)
    .map(asPattern)
    .join('|');
  const masked = new RegExp(`rtmps?://\\S+${pattern === '' ? '' : `|${pattern}`}`, 'gi');
  return (text) => {
    const plain = Array.from(text, (character) => (character < ' ' || character === '\u007f' ? ' ' : character)).join(
      '',
    );
    const safe = plain.replaceAll(masked, MASK);
    return safe.length > MAX_TEXT_LENGTH ? `${safe.slice(0, MAX_TEXT_LENGTH)}…` : safe;
  };
}

/** A short secret is masked only as a word of its own, or every sentence would be unreadable. */
function asPattern(secret: string): string {
  const literal = secret.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
  return secret.length >= MIN_SUBSTRING_LENGTH ? literal : `(?<![\\w-])${literal}(?![\\w-])`;
}
