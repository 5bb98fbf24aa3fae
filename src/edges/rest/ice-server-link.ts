import type { IceServer } from '../../domain/ice-server.ts';

/** The value of a `Link` header (RFC 9725 §4.6). */
export function iceServerLink({ uri, login }: IceServer): string {
  const server = `<${uri}>; rel="ice-server"`;
  if (!login) return server;
  const { username, credential } = login;
  return `${server}; username=${quoted(username)}; credential=${quoted(credential)}; credential-type="password"`;
}

/** RFC 9110 §5.6.4. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
