import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The tiers of CONTRIBUTING.md. A file may import from its own folder, from the same tier where that is allowed, and from
 * any tier below. `app.ts` and `main.ts` see everything.
 */
const TIERS: readonly { readonly folders: readonly string[]; readonly sideways: boolean }[] = [
  { folders: ['domain', 'protocol', 'pipelines'], sideways: true },
  { folders: ['hub', 'webrtc', 'supervisor', 'egress', 'store', 'transcode'], sideways: true },
  { folders: ['inputs', 'outputs'], sideways: false },
  { folders: ['services'], sideways: true },
  { folders: ['edges'], sideways: false },
];
const ONLY_FOR_THE_ROOT = new Set(['config', 'observability']);
const ROOTS = new Set(['app.ts', 'main.ts']);
const IO_MODULES =
  /^(node:)?(fs|net|dgram|http|https|tls|child_process|dns|os|timers|worker_threads|cluster|process)(\/|$)/;

const project = normalize(new URL('..', import.meta.url).pathname);

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

function sourceFiles(): string[] {
  return ['src', 'pipelines'].flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith('web/'))
      .map((name) => join(folder, name)),
  );
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(project, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)].map((match) => ({
    file,
    typeOnly: match[1] !== undefined,
    target: match[2]!.startsWith('.') ? relative(project, join(project, file, '..', match[2]!)) : match[2]!,
  }));
}

/** `src/edges/rest/x.ts` → folder `edges`, leaf `edges/rest`. */
function place(file: string): { folder: string; leaf: string; tier: number } {
  const parts = file.startsWith('pipelines/') ? ['pipelines'] : file.replace(/^src\//, '').split('/');
  const folder = parts[0]!;
  return {
    folder,
    leaf: parts.slice(0, 2).join('/'),
    tier: TIERS.findIndex(({ folders }) => folders.includes(folder)),
  };
}

function isWrongArrow({ file, target }: Import): boolean {
  if (!target.startsWith('src/') && !target.startsWith('pipelines/')) return false;
  const from = place(file);
  const to = place(target);
  if (ROOTS.has(from.folder) || from.folder === to.folder) return from.folder === 'edges' && from.leaf !== to.leaf;
  if (ONLY_FOR_THE_ROOT.has(from.folder)) return to.folder !== 'domain';
  if (ROOTS.has(to.folder) || ONLY_FOR_THE_ROOT.has(to.folder)) return true;
  if (from.folder === 'domain' || from.folder === 'pipelines') return to.folder !== 'domain';
  return to.tier > from.tier || (to.tier === from.tier && !TIERS[from.tier]!.sideways);
}

const files = sourceFiles();
const imports = files.flatMap(importsOf);

describe('the architecture', () => {
  it('was looked at: files of every tier and their imports were seen', () => {
    const folders = new Set(files.map((file) => place(file).folder));
    for (const folder of ['domain', 'protocol', 'hub', 'webrtc', 'supervisor', 'store', 'services', 'edges']) {
      expect(folders).toContain(folder);
    }
    expect(imports.length).toBeGreaterThan(100);
    expect(isWrongArrow({ file: 'src/hub/a.ts', target: 'src/services/b.ts', typeOnly: true })).toBe(true);
    expect(isWrongArrow({ file: 'src/edges/rest/a.ts', target: 'src/edges/signalling/b.ts', typeOnly: true })).toBe(
      true,
    );
    expect(isWrongArrow({ file: 'src/inputs/a.ts', target: 'src/outputs/b.ts', typeOnly: true })).toBe(true);
    expect(isWrongArrow({ file: 'src/services/a.ts', target: 'src/hub/b.ts', typeOnly: true })).toBe(false);
  });

  it('gives every source file a place in a tier', () => {
    const strangers = files.filter((file) => {
      const { folder, tier } = place(file);
      return tier < 0 && !ROOTS.has(folder) && !ONLY_FOR_THE_ROOT.has(folder);
    });
    expect(strangers).toEqual([]);
  });

  it('has only arrows that point to what is more stable', () => {
    const wrong = imports.filter(isWrongArrow).map(({ file, target }) => `${file} → ${target}`);
    expect(wrong).toEqual([]);
  });

  it('does no I/O and reads no clock in protocol, domain and pipelines', () => {
    const pure = files.filter((file) => ['protocol', 'domain', 'pipelines'].includes(place(file).folder));
    const withIo = imports.filter(
      ({ file, target, typeOnly }) => pure.includes(file) && !typeOnly && IO_MODULES.test(target),
    );
    expect(withIo.map(({ file, target }) => `${file} → ${target}`)).toEqual([]);
    const readers = pure.filter(
      (file) =>
        file !== 'src/domain/clock.ts' &&
        /\b(Date\.now|performance\.now|new Date\(\)|Math\.random|setTimeout|setInterval)\b/.test(
          readFileSync(join(project, file), 'utf8'),
        ),
    );
    expect(readers).toEqual([]);
  });

  it('leaves console and process.exit to main.ts', () => {
    const offenders = files.filter(
      (file) =>
        file !== 'src/main.ts' && /\bconsole\.|\bprocess\.exit\b/.test(readFileSync(join(project, file), 'utf8')),
    );
    expect(offenders).toEqual([]);
  });
});
