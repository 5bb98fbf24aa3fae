import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_PERIOD_MS = 20;
/** A process that is killed with its parent takes a moment to be gone: 100 ms of looks. */
const LAST_LOOKS = 5;

/** All processes that a process has, and those that they have, from now on: to be asked what is left of them when it is gone. */
export class Offspring {
  readonly #rootPid: number;
  readonly #seen = new Map<number, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(rootPid: number) {
    this.#rootPid = rootPid;
    this.#timer = setInterval(() => this.#look(this.#rootPid), LOOK_PERIOD_MS);
    this.#timer.unref();
  }

  /** Process ids of those that still run, and go on running. Also ends the watching. */
  async left(): Promise<number[]> {
    clearInterval(this.#timer);
    for (let look = 0; look < LAST_LOOKS && this.#running().length > 0; look++) await delay(LOOK_PERIOD_MS);
    return this.#running();
  }

  #running(): number[] {
    return [...this.#seen].filter(([pid, birth]) => birthOf(pid) === birth).map(([pid]) => pid);
  }

  #look(pid: number): void {
    for (const child of childrenOf(pid)) {
      const birth = birthOf(child);
      if (birth !== undefined) this.#seen.set(child, birth);
      this.#look(child);
    }
  }
}

export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    // Gone meanwhile.
    return [];
  }
}

/** When it began, which tells it from a later process of the same id; undefined where there is none, or only its remains. */
function birthOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
