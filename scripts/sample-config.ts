/** Writes conf/flashphoner.properties from the table of keys. Run after changing src/config/keys.ts: `npm run config:sample`. */
import { writeFileSync } from 'node:fs';
import { sampleConfig } from '../src/config/sample.ts';

writeFileSync(new URL('../conf/flashphoner.properties', import.meta.url), sampleConfig());
