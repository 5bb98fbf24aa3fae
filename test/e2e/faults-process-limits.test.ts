import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { expectUnharmed } from '../support/expect-unharmed.ts';
import { startFaultRig, type FaultRig } from '../support/fault-rig.ts';
import { waitUntil } from '../support/wait-until.ts';

const FAULTY_FFMPEG = fileURLToPath(new URL('../children/faulty-ffmpeg.sh', import.meta.url));
const START_MS = 20_000;
/** Over a limit for 10 s, and the machine is busy. */
const LIMITED_MS = 40_000;
/** The pause before a try is a second or two; the process is killed half a second after it was asked to end. */
const BACK_MS = 20_000;
/** Of one core. A push that copies uses some 3 %; one that keeps a core busy may have to share it with other programs. */
const CPU_LIMIT_PERCENT = 20;
/** Of all cores: less than a busy process and a rig use, and more than a rig alone, also on a core that is half as quick as most. */
const ADMISSION_PERCENT = Math.ceil(90 / availableParallelism());
const OVERLOADED_MS = 90_000;

let rig: FaultRig;
beforeAll(async () => {
  rig = await startFaultRig({
    ffmpeg_path: FAULTY_FFMPEG,
    rtmp_push_cpu_limit_percent: String(CPU_LIMIT_PERCENT),
    rtmp_push_memory_limit_bytes: '150000000',
    admission_max_cpu_percent: String(ADMISSION_PERCENT),
  });
});
afterAll(() => rig?.close());
afterEach(async () => expectUnharmed(await rig.bystanders()));

async function startFault(fault: string): Promise<string> {
  const request = { rtmpTransponderFullUrl: true, rtmpFlashVersion: `fault ${fault}` };
  let refusal: unknown;
  const id = await waitUntil(
    () =>
      rig.startup(rig.nginx.url(`live/${fault}`), request).catch((error: unknown) => {
        refusal = error;
        return undefined;
      }),
    OVERLOADED_MS,
    () => `an end of the load of before: ${String(refusal)}`,
  );
  onTestFinished(() => rig.terminate(id));
  await rig.reached(id, 'ACTIVE', START_MS);
  return id;
}

describe('a process that takes more of the machine than it may, while nine other pushes go on', () => {
  it('of its memory: is ended with that reason, and started again', async () => {
    const id = await startFault('hungry');
    const { atMs } = await rig.runEnded(id, LIMITED_MS);
    expect(rig.endedRuns(id)[0]).toMatchObject({
      exitClass: 'limit_memory',
      exitDetail: expect.stringContaining('more than 150000000 bytes of memory for 10 s') as string,
    });
    await rig.reached(id, 'ACTIVE', BACK_MS, atMs);
  });

  it('of a core: is ended with that reason, and started again; and no push is begun while the server is busy with it', async () => {
    const id = await startFault('busy');
    const { atMs } = await rig.runEnded(id, LIMITED_MS);
    expect(rig.endedRuns(id)[0]).toMatchObject({
      exitClass: 'limit_cpu',
      exitDetail: expect.stringContaining(`more than ${CPU_LIMIT_PERCENT} % CPU for 10 s`) as string,
    });
    await rig.reached(id, 'ACTIVE', BACK_MS, atMs);
    const refusal = await waitUntil(
      async () => {
        const rtmpUrl = rig.nginx.url('live/one-more');
        const answer = await rig.app.rest('/rest-api/push/startup', { streamName: 'faults', rtmpUrl });
        if (answer.status !== 200) return answer;
        await rig.terminate((answer.json() as { mediaSessionId: string }).mediaSessionId);
        return undefined;
      },
      OVERLOADED_MS,
      () => `a refusal while more than ${ADMISSION_PERCENT} % CPU is used`,
    );
    expect(refusal.status).toBe(503);
    expect(refusal.text).toMatch(new RegExp(`the server is busy: \\d+ % CPU .* ${ADMISSION_PERCENT} % allowed`));
  });
});
