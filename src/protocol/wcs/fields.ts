/** Readers of single fields of client messages. WCS clients send numbers and booleans as strings now and then, so nothing throws. */
export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Absent, of another type or too long: the empty text. */
export function text(fields: Fields, name: string, maxChars: number): string {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  return typeof value === 'string' && value.length <= maxChars ? value : '';
}

/** As `text`, and empty as well when there are control characters inside: ids and names go into logs, answers and paths. */
export function printable(fields: Fields, name: string, maxChars: number): string {
  const value = text(fields, name, maxChars);
  // oxlint-disable-next-line no-control-regex -- finding control characters is the purpose
  return /[\u0000-\u001f\u007f]/.test(value) ? '' : value;
}

/** So that sums and unit conversions of what clients say stay exact and finite. */
const MAX_AMOUNT = 1e9;

/** A number from 0 to 10^9, or its decimal text; anything else is 0. */
export function amount(fields: Fields, name: string): number {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && number > 0 && number <= MAX_AMOUNT ? number : 0;
}

/** `true` or its text; `absent` when the field is not there. */
export function flag(fields: Fields, name: string, absent = false): boolean {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  return value === undefined || value === null ? absent : value === true || value === 'true';
}
