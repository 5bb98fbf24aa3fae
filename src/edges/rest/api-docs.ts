/** What the page needs of an OpenAPI 3 document; everything else is passed over. */
interface Description {
  readonly info?: { readonly title?: string };
  readonly paths?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
}

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly responses?: Readonly<
    Record<
      string,
      { readonly description?: string; readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> }
    >
  >;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24;background:#fff}
h2{font:600 1.05rem ui-monospace,monospace;margin:2.5rem 0 .3rem;border-top:1px solid #d8dee4;padding-top:1rem}
b{display:inline-block;min-width:3.5rem}table{border-collapse:collapse;margin:.5rem 0}
td,th{border:1px solid #d8dee4;padding:.2rem .6rem;text-align:left;vertical-align:top}td:first-child{font-family:ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th,h2{border-color:#30363d}a{color:#79b8ff}}`;

/** The page needs nothing but its own style, and may load nothing else. */
export const API_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/** A page that lists every operation of the description; no scripts and nothing from elsewhere. */
export function apiDocsPage(description: Description): string {
  const title = text(description.info?.title ?? 'REST API');
  const sections = Object.entries(description.paths ?? {}).flatMap(([path, methods = {}]) =>
    METHODS.filter((method) => methods[method] !== undefined).map((method) =>
      section(method, path, methods[method] as Operation),
    ),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>${STYLE}</style></head><body><h1>${title}</h1>
<p>The same for programs: <a href="/rest-api/openapi.json">/rest-api/openapi.json</a></p>
${sections.join('\n')}</body></html>`;
}

function section(
  method: string,
  path: string,
  { summary, parameters = [], requestBody, responses = {} }: Operation,
): string {
  const body = Object.values(requestBody?.content ?? {})[0]?.schema;
  const answer = Object.values(responses['200']?.content ?? {})[0]?.schema;
  const given = parameters.map(({ name, in: place, required, schema = {} }) =>
    row(name, `${typeOf(schema)}, in ${place}`, required === true, schema.description),
  );
  return [
    `<section><h2><b>${method.toUpperCase()}</b> ${text(path)}</h2>`,
    summary ? `<p>${text(summary)}</p>` : '',
    table('Parameters', given),
    table('Body (JSON)', body ? rowsOf(body) : []),
    answer ? table(`Answer${answer.type === 'array' ? ' (a list of)' : ''}`, rowsOf(answer.items ?? answer)) : '',
    '</section>',
  ].join('');
}

function table(caption: string, rows: readonly string[]): string {
  if (rows.length === 0) return '';
  return `<table><tr><th>${caption}</th><th>type</th><th></th></tr>${rows.join('')}</table>`;
}

function rowsOf({ properties = {}, required = [] }: Schema): string[] {
  return Object.entries(properties).map(([name, schema]) =>
    row(name, typeOf(schema), required.includes(name), schema.description),
  );
}

function row(name: string, type: string, isRequired: boolean, description = ''): string {
  const notes = [isRequired ? 'always' : 'optional', description].filter(Boolean).join('; ');
  return `<tr><td>${text(name)}</td><td>${text(type)}</td><td>${text(notes)}</td></tr>`;
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  const name = typeof schema.type === 'string' ? schema.type : (schema.type ?? ['any']).join(' | ');
  const { minimum, maximum } = schema;
  if (minimum === undefined && maximum === undefined) return name;
  return `${name} ${minimum ?? ''}…${maximum ?? ''}`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function text(value: string): string {
  return value.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}
