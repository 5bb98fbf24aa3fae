/** What is read of /proc/<pid>/stat; places behind the name, which is the second field (proc(5)). */
const PLACES = {
  state: 0,
  userTicks: 11,
  systemTicks: 12,
  /** Of children that were waited for. */
  reapedUserTicks: 13,
  reapedSystemTicks: 14,
  /** Since boot. */
  startTicks: 19,
} as const;

/** The unit of CPU times in /proc (proc(5), USER_HZ), the same on every Linux that node runs on. */
const TICKS_PER_SECOND = 100;

/** The contents of /proc/<pid>/stat. A name may hold any characters, also spaces and parentheses. */
export class ProcessStat {
  readonly #fields: readonly string[];

  constructor(text: string) {
    this.#fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  }

  /** It has ended, and nobody has waited for it yet. */
  get isZombie(): boolean {
    return this.#fields[PLACES.state] === 'Z';
  }

  /** User and system time since it began. */
  get cpuMs(): number {
    return this.#ms('userTicks') + this.#ms('systemTicks');
  }

  /** The same of all its children that it has waited for. */
  get reapedCpuMs(): number {
    return this.#ms('reapedUserTicks') + this.#ms('reapedSystemTicks');
  }

  /** Clock ticks from boot to its start; undefined where the text is none of a process. */
  get startTicks(): number | undefined {
    const ticks = Number(this.#fields[PLACES.startTicks]);
    return Number.isSafeInteger(ticks) ? ticks : undefined;
  }

  #ms(place: keyof typeof PLACES): number {
    return (Number(this.#fields[PLACES[place]] ?? 0) * 1000) / TICKS_PER_SECOND;
  }
}

/** One size of /proc/<pid>/status: the resident set now (`VmRSS`) or at its largest (`VmHWM`). Undefined of a process that has ended. */
export function statusBytes(status: string, field: 'VmRSS' | 'VmHWM'): number | undefined {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}
