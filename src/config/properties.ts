/**
 * Reader of Java `.properties` text, the format of `flashphoner.properties`: `key=value`, `key: value` or `key value`,
 * comments with `#` or `!`, continuation lines with a trailing backslash, `\uXXXX` escapes. The last of two equal keys wins.
 */
export interface PropertyLine {
  readonly key: string;
  readonly value: string;
  /** 1-based, of the line on which the key stands. */
  readonly line: number;
}

export function parseProperties(text: string): PropertyLine[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const found: PropertyLine[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    let logical = (lines[index] ?? '').trimStart();
    if (logical === '' || logical.startsWith('#') || logical.startsWith('!')) continue;
    while (endsWithContinuation(logical) && index + 1 < lines.length) {
      logical = logical.slice(0, -1) + (lines[++index] ?? '').trimStart();
    }
    const [rawKey, rawValue] = splitAtSeparator(logical);
    found.push({ key: unescape(rawKey), value: unescape(rawValue).trimEnd(), line });
  }
  return found;
}

function endsWithContinuation(line: string): boolean {
  return (/\\*$/.exec(line)?.[0].length ?? 0) % 2 === 1;
}

function splitAtSeparator(line: string): [string, string] {
  let at = 0;
  while (at < line.length && !/[\s=:]/.test(line.charAt(at))) at += line.charAt(at) === '\\' ? 2 : 1;
  const rest = line.slice(at).replace(/^\s*[=:]?\s*/, '');
  return [line.slice(0, at), rest];
}

function unescape(text: string): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|[\s\S])/g, (_, escape: string) => {
    if (escape.length === 5) return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return { t: '\t', n: '\n', r: '\r', f: '\f' }[escape] ?? escape;
  });
}
