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

/** Comma-separated; empty text is the empty list. */
export const list: KeyType<readonly string[]> = {
  allowed: 'a comma-separated list',
  parse: (value) =>
    value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  print: (value) => value.join(','),
};
