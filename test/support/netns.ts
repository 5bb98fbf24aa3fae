import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DELAY_PROGRAM = fileURLToPath(new URL('../children/udp-delay.ts', import.meta.url));
/** Names carry the process id of their maker, so that what a killed run left behind can be told from what is in use. */
const NAME = /^tpl(\d+)[a-z]?-[rc]\b/gm;
/** A timer may fire up to this much before its time. */
const TIMER_SLACK_MS = 1;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
/** Of the block for benchmarks (RFC 2544), which nothing else on a machine uses: 198.18.0.0/15, eight addresses a network. */
const NETWORK_ADDRESSES = 8;
const NETWORKS_IN_BLOCK = 2 ** 17 / NETWORK_ADDRESSES;
/** A process has the networks from here on, so that those of its own do not meet. */
const FIRST_NETWORK = randomInt(NETWORKS_IN_BLOCK);
/** Made by this process so far: each has a letter, for the names of interfaces have room for no more. */
let networks = 0;

/**
 * A network namespace for clients behind a router that loses UDP packets in both directions:
 *
 *     this process ── veth ── router (drops, delays) ── veth ── clients
 *
 * The router is a namespace of its own, because a packet that is dropped on its way out of a socket's own namespace is
 * reported to the sender as an error, which no network does.
 */
export interface LossyNetwork {
  /** The address of this machine as the clients see it. */
  readonly hostAddress: string;
  /** The address of the clients as this machine sees it. */
  readonly clientAddress: string;
  /** An executable file that runs `program` with its arguments among the clients. */
  launcher(program: string): Promise<string>;
  /** The part of all UDP packets that is lost in each direction, from now on. */
  setLoss(fraction: number): Promise<void>;
  /** Loses every TCP packet in both directions while it is on, without a word to either side. */
  setBlackHole(isOn: boolean): Promise<void>;
  /** The rate at which TCP goes from this machine to the clients, through a queue of 30 kB; undefined = as fast as it can. */
  setRateToClients(bitsPerSecond: number | undefined): Promise<void>;
  /** How much the kernel takes for a program among the clients that does not read; for connections made from now on. */
  setReceiveBuffers(bytes: number): Promise<void>;
  /** What was lost since `setLoss`, in packets. */
  lostPackets(): Promise<{ readonly toHost: number; readonly toClients: number }>;
  /** Holds up the packets of new UDP flows between the clients and `port` of this machine by that at least, in each direction. */
  delayNewFlows(port: number, oneWayMs: number): Promise<void>;
  /** Removes everything. What runs in the namespace must have been ended before. */
  close(): Promise<void>;
}

/** Why namespaces cannot be had here, in a sentence; `undefined` where they can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  const name = `tpl${process.pid}-c`;
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['netns', 'exec', name, 'iptables', '-t', 'mangle', '-L', '-n']);
    return undefined;
  } catch (error) {
    const { code, stderr = '', message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT' || /not permitted|Permission denied/i.test(stderr)) {
      return `network namespaces are not permitted here: ${(stderr || message).trim()}`;
    }
    throw error;
  } finally {
    await run('ip', ['netns', 'del', name]).catch(() => {});
  }
}

export async function createLossyNetwork(): Promise<LossyNetwork> {
  await removeLeftovers();
  const network = networks++;
  const id = `tpl${process.pid}${LETTERS[network % LETTERS.length]}`;
  const [router, clients] = [`${id}-r`, `${id}-c`];
  const [hostSide, routerOut, routerIn, clientSide] = ['h', 'o', 'i', 'c'].map((end) => id + end) as Four;
  const base = ((FIRST_NETWORK + network) % NETWORKS_IN_BLOCK) * NETWORK_ADDRESSES;
  const address = (offset: number) => `198.${18 + (base >> 16)}.${(base >> 8) & 255}.${(base & 255) + offset}`;
  const hostAddress = address(1);
  const directory = await mkdtemp(join(tmpdir(), 'lossy-network-'));
  let delay: ChildProcess | undefined;

  const ip = (...args: string[]) => run('ip', args);
  const inRouter = (...args: string[]) => run('ip', ['netns', 'exec', router, ...args]);
  const mangle = (...args: string[]) => inRouter('iptables', '-w', '-t', 'mangle', ...args);
  const close = async (): Promise<void> => {
    await stop(delay);
    for (const name of [router, clients]) await ip('netns', 'del', name).catch(() => {});
    // Goes with the namespace of its other end, but not at once.
    await ip('link', 'del', hostSide).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  };
  const lost = async (incoming: string): Promise<number> => {
    const { stdout } = await mangle('-L', 'PREROUTING', '-v', '-n', '-x');
    const rule = stdout.split('\n').find((line) => line.includes('DROP') && line.includes(` ${incoming} `));
    return Number(rule?.trim().split(/\s+/)[0] ?? 0);
  };

  try {
    for (const name of [router, clients]) {
      await ip('netns', 'add', name);
      await ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    await ip('link', 'add', hostSide, 'type', 'veth', 'peer', 'name', routerOut, 'netns', router);
    await ip('-n', router, 'link', 'add', routerIn, 'type', 'veth', 'peer', 'name', clientSide, 'netns', clients);
    await ip('addr', 'add', `${hostAddress}/30`, 'dev', hostSide);
    await ip('-n', router, 'addr', 'add', `${address(2)}/30`, 'dev', routerOut);
    await ip('-n', router, 'addr', 'add', `${address(5)}/30`, 'dev', routerIn);
    await ip('-n', clients, 'addr', 'add', `${address(6)}/30`, 'dev', clientSide);
    await ip('link', 'set', hostSide, 'up');
    await ip('-n', router, 'link', 'set', routerOut, 'up');
    await ip('-n', router, 'link', 'set', routerIn, 'up');
    await ip('-n', clients, 'link', 'set', clientSide, 'up');
    await ip('route', 'add', `${address(4)}/30`, 'via', address(2));
    await ip('-n', clients, 'route', 'add', 'default', 'via', address(5));
    await inRouter('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  } catch (error) {
    await close();
    throw error;
  }

  return {
    hostAddress,
    clientAddress: address(6),
    async launcher(program) {
      const path = join(directory, `run-${program.replaceAll('/', '-')}`);
      await writeFile(path, `#!/bin/sh\nexec ip netns exec ${clients} ${program} "$@"\n`);
      await chmod(path, 0o755);
      return path;
    },
    async setLoss(fraction) {
      await mangle('-F', 'PREROUTING');
      if (fraction === 0) return;
      for (const incoming of [routerOut, routerIn]) {
        const random = ['-m', 'statistic', '--mode', 'random', '--probability', String(fraction)];
        await mangle('-A', 'PREROUTING', '-i', incoming, '-p', 'udp', ...random, '-j', 'DROP');
      }
    },
    async setBlackHole(isOn) {
      const all = ['-p', 'tcp', '-j', 'DROP'];
      if (isOn) await mangle('-A', 'FORWARD', ...all);
      else await mangle('-D', 'FORWARD', ...all);
    },
    async setRateToClients(bitsPerSecond) {
      const queue = ['qdisc', bitsPerSecond === undefined ? 'del' : 'replace', 'dev', routerIn, 'root'];
      const shape = ['tbf', 'rate', `${bitsPerSecond}bit`, 'burst', '16kb', 'limit', '30kb'];
      await inRouter('tc', ...queue, ...(bitsPerSecond === undefined ? [] : shape));
    },
    async setReceiveBuffers(bytes) {
      await run('ip', ['netns', 'exec', clients, 'sysctl', '-q', '-w', `net.ipv4.tcp_rmem=4096 ${bytes} ${bytes}`]);
    },
    lostPackets: async () => ({ toHost: await lost(routerIn), toClients: await lost(routerOut) }),
    async delayNewFlows(port, oneWayMs) {
      await stop(delay);
      const program = [process.execPath, DELAY_PROGRAM, String(port), hostAddress, String(oneWayMs + TIMER_SLACK_MS)];
      delay = spawn('ip', ['netns', 'exec', router, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(delay, 'exit').then(() => {
        throw new Error('the delaying relay ended');
      });
      await Promise.race([once(delay.stdout!, 'data'), ended]);
      const flow = ['-i', routerIn, '-p', 'udp', '-d', hostAddress, '--dport', String(port)];
      await inRouter('iptables', '-w', '-t', 'nat', '-F', 'PREROUTING');
      await inRouter('iptables', '-w', '-t', 'nat', '-A', 'PREROUTING', ...flow, '-j', 'REDIRECT');
    },
    close,
  };
}

type Four = [string, string, string, string];

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Namespaces whose maker was killed; their interfaces go with them. */
async function removeLeftovers(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list']);
  for (const [name, pid] of stdout.matchAll(NAME)) {
    try {
      process.kill(Number(pid), 0);
    } catch {
      await run('ip', ['netns', 'del', name]).catch(() => {});
    }
  }
}
