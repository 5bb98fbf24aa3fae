const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Whether a JSON text nests arrays and objects deeper than `maxDepth`. Ask before it is parsed: `JSON.parse` takes any depth,
 * but `JSON.stringify`, loggers and serialisers recurse and run out of stack on what it made.
 */
export function nestsDeeperThan(json: string, maxDepth: number): boolean {
  let depth = 0;
  let isInText = false;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (isInText) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) isInText = false;
      continue;
    }
    if (code === QUOTE) isInText = true;
    // `[` and `{` differ in one bit, and so do `]` and `}`.
    else if ((code & 0xdf) === 0x5b && ++depth > maxDepth) return true;
    else if ((code & 0xdf) === 0x5d) depth--;
  }
  return false;
}
