/** The keys `rest_access_control_*` (reference/wcs-protocol.md §5). */
export interface AccessControl {
  readonly allowOrigin: string;
  readonly allowHeaders: string;
  readonly allowMethods: string;
  /** `rest_access_control_headers`: `Name: value;Name: value`, in place of the three others. */
  readonly headers: string | undefined;
}

/** The headers of every answer under /rest-api. */
export function corsHeaders(access: AccessControl): Readonly<Record<string, string>> {
  if (access.headers !== undefined) return parseHeaderList(access.headers);
  return {
    'Access-Control-Allow-Origin': access.allowOrigin,
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Allow-Headers': access.allowHeaders,
    'Access-Control-Allow-Methods': access.allowMethods,
  };
}

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

function parseHeaderList(list: string): Record<string, string> {
  const pairs = list.split(';').map((item) => {
    const colon = item.indexOf(':');
    return [item.slice(0, Math.max(colon, 0)).trim(), item.slice(colon + 1).trim()] as const;
  });
  return Object.fromEntries(pairs.filter(([name]) => HEADER_NAME.test(name)));
}
