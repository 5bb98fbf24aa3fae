import { environmentName } from './load.ts';
import { KEYS_WITHOUT_EFFECT, SECTIONS, type KeySpec } from './keys.ts';

/** The text of `conf/flashphoner.properties`: every key with its reason, its default and what is allowed. */
export function sampleConfig(): string {
  const lines = [
    '# Configuration of Transponder. Each key is shown with its default; remove the leading # to change it.',
    `# Each can also be set from the environment (ws.port as ${environmentName('ws.port')}) or with --set ws.port=9090; the flag wins over`,
    '# the environment, the environment over this file. Keys of Flashphoner WCS have their WCS meaning.',
  ];
  for (const [title, section] of Object.entries<Record<string, KeySpec<unknown>>>(SECTIONS)) {
    lines.push('', `# ---- ${title} ----`);
    for (const [key, { type, fallback, doc }] of Object.entries(section)) {
      lines.push('', `# ${doc}`, `# Allowed: ${type.allowed}.`, `#${key}=${type.print(fallback)}`);
    }
  }
  lines.push('', '# ---- Keys of WCS that are accepted and have no effect here ----', '');
  lines.push(...KEYS_WITHOUT_EFFECT.map((key) => `#${key}=`));
  return `${lines.join('\n')}\n`;
}
