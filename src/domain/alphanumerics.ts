const ALPHANUMERICS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A letter or digit for each random byte: for names, not for secrets, because some come more often than others. */
export function alphanumericsOf(randomBytes: Uint8Array): string {
  return Array.from(randomBytes, (byte) => ALPHANUMERICS[byte % ALPHANUMERICS.length]).join('');
}
