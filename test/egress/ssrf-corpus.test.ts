import { lookup } from 'node:dns/promises';
import { isIP, Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { AppError } from '../../src/domain/errors.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import type { RunEnd } from '../../src/domain/transponder.ts';
import { createAddressPolicy } from '../../src/egress/address-policy.ts';
import type { AddressPolicyOptions, DestinationCaller } from '../../src/egress/address-policy.ts';
import type { Resolve } from '../../src/egress/dial.ts';
import { createRtmpPushGate } from '../../src/egress/rtmp-push-gate.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';
import { restFixture } from '../edges/rest/rest-fixture.ts';
import { connectGateChild } from '../support/gate-child.ts';
import { CORPUS, type Harm, NAMES } from './ssrf-corpus.ts';

const NUMBERS = /^(0x[\da-f]+|\d+)(\.(0x[\da-f]+|\d+)){0,3}$/i;
const SETTINGS = ['rest', 'all', 'none'] as const;
const CALLERS: readonly DestinationCaller[] = ['rest', 'other'];
const EVERY_HARM: readonly Harm[] = ['loopback', 'private', 'reserved', 'always', 'unknown'];
const INSIDE = [
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
  'fec0::/10',
];
const REACHING = CORPUS.filter(([, harm]) => harm !== 'malformed');

/** For spellings of numbers the system's own answer, so that they mean what they really mean; no name server is asked. */
const resolveAsTheSystem: Resolve = async (host) => {
  const known = NAMES[host];
  if (known) return known.map((address) => ({ address }));
  // With its zone, whatever interfaces there are on this machine.
  if (isIP(host) !== 0) return [{ address: host }];
  if (NUMBERS.test(host) && host !== '256.256.256.256') return lookup(host, { all: true });
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
};

type Policy = Partial<AddressPolicyOptions> & { readonly resolve?: Resolve };

/** A real gate under a real policy, whose connections to the outside are counted and refused. */
async function startGate({ resolve = resolveAsTheSystem, ...policy }: Policy = {}) {
  const dialled: string[] = [];
  const resolved: string[] = [];
  const gate = await createRtmpPushGate({
    logger: silentLogger,
    clock: systemClock,
    allowAddress: createAddressPolicy({ privateAddresses: 'rest', allow: [], deny: [], ...policy }),
    resolve(host) {
      resolved.push(host);
      return resolve(host);
    },
    connect({ host }) {
      dialled.push(host!);
      const socket = new Socket();
      process.nextTick(() => socket.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })));
      return socket;
    },
  });
  onTestFinished(() => gate.close());

  /** Publishes to the URL as a child does. Throws what parsing throws. */
  const publish = async (rtmpUrl: string, caller: DestinationCaller): Promise<RunEnd> => {
    const target = parseRtmpTarget({ rtmpUrl, streamName: 'cam', fullUrl: false, prefix: 'rtmp_' });
    const { promise: ended, resolve: end } = Promise.withResolvers<RunEnd>();
    const session = gate.admit({
      target,
      flashVersion: '',
      connectTimeoutMs: 5000,
      maxBacklogBytes: 1 << 20,
      caller,
      onEvent: (event) => event.type === 'ended' && end(event.end),
    });
    const child = connectGateChild(session);
    onTestFinished(() => void child.destroy());
    return ended;
  };
  return { publish, dialled, resolved };
}

interface Outcome {
  readonly url: string;
  readonly harm: Harm;
  readonly exitClass: string;
  readonly dials: number;
}

/** What becomes of each URL, at a gate of its own. */
function outcomesOf(harms: readonly Harm[], caller: DestinationCaller, policy: Policy): Promise<Outcome[]> {
  const chosen = REACHING.filter(([, harm]) => harms.includes(harm));
  return Promise.all(
    chosen.map(async ([url, harm]) => {
      const { publish, dialled } = await startGate(policy);
      const { exitClass } = await publish(url, caller);
      return { url, harm, exitClass, dials: dialled.length };
    }),
  );
}

/** What a policy without lists makes of a harm. */
function isAllowed(harm: Harm, setting: (typeof SETTINGS)[number], caller: DestinationCaller): boolean {
  return (harm === 'loopback' || harm === 'private') && (setting === 'all' || setting === caller);
}

describe('URLs that lead inside', () => {
  it('are many, of every kind', () => {
    expect(new Set(CORPUS.map(([url]) => url)).size).toBe(CORPUS.length);
    expect(REACHING.length).toBeGreaterThanOrEqual(60);
    for (const kind of ['loopback', 'private', 'reserved', 'always', 'malformed', 'unknown']) {
      expect(CORPUS.filter(([, harm]) => harm === kind).length).toBeGreaterThanOrEqual(3);
    }
  });

  for (const privateAddresses of SETTINGS) {
    for (const caller of CALLERS) {
      it(`are dialled for ${caller} only as outbound_private_addresses=${privateAddresses} says`, async () => {
        const outcomes = await outcomesOf(EVERY_HARM, caller, { privateAddresses });
        const expected = outcomes.map(({ url, harm, dials }) => {
          if (isAllowed(harm, privateAddresses, caller)) {
            return { url, harm, exitClass: 'dest_refused', dials: Math.max(dials, 1) };
          }
          return { url, harm, exitClass: harm === 'unknown' ? 'dest_dns' : 'dest_forbidden_address', dials: 0 };
        });
        expect(outcomes).toEqual(expected);
      });
    }
  }

  it.each(CALLERS)('are refused by the deny list, spelt in any way, when %s names them', async (caller) => {
    const allow = ['0.0.0.0/0', '::/0'];
    const outcomes = await outcomesOf(['loopback', 'private'], caller, {
      privateAddresses: 'all',
      allow,
      deny: INSIDE,
    });
    expect(outcomes.filter(({ exitClass, dials }) => exitClass !== 'dest_forbidden_address' || dials > 0)).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(40);
  });

  it.each(CALLERS)('are opened to %s by the allow list, but for those where nobody publishes', async (caller) => {
    const allow = ['0.0.0.0/0', '::/0'];
    const outcomes = await outcomesOf(EVERY_HARM, caller, { privateAddresses: 'none', allow });
    const kinds = outcomes.map(
      ({ harm, exitClass, dials }) => `${harm}: ${exitClass}, ${dials > 0 ? '' : 'not '}dialled`,
    );
    expect([...new Set(kinds)].toSorted()).toEqual([
      'always: dest_forbidden_address, not dialled',
      'loopback: dest_refused, dialled',
      'private: dest_refused, dialled',
      'reserved: dest_refused, dialled',
      'unknown: dest_dns, not dialled',
    ]);
  });

  it('open no more than the network that the allow list names', async () => {
    const { publish, dialled } = await startGate({ privateAddresses: 'none', allow: ['10.1.2.0/24'] });
    expect((await publish('rtmp://lan.example/live', 'other')).exitClass).toBe('dest_refused');
    expect(dialled).toEqual(['10.1.2.3']);
    expect((await publish('rtmp://[::ffff:10.1.2.4]/live', 'other')).exitClass).toBe('dest_refused');
    dialled.length = 0;
    expect((await publish('rtmp://10.1.3.1/live', 'rest')).exitClass).toBe('dest_forbidden_address');
    expect(dialled).toEqual([]);
  });

  it('are not mistaken for public ones, which stay open to everybody', async () => {
    const { publish, dialled } = await startGate({ privateAddresses: 'none' });
    for (const url of ['rtmp://public.example/live', 'rtmp://127.0.0.1@public.example/live', 'rtmp://8.8.8.8/live']) {
      expect((await publish(url, 'other')).exitClass).toBe('dest_refused');
    }
    expect(dialled).toEqual(['8.8.8.8', '8.8.8.8', '8.8.8.8']);
  });
});

describe('names whose answers change or differ', () => {
  /** A name server that answers anew each time, the last answer for ever. */
  const answering = (...answers: readonly string[][]): Resolve => {
    let asked = 0;
    return async () => answers[Math.min(asked++, answers.length - 1)]!.map((address) => ({ address }));
  };

  it.each([['169.254.169.254'], ['127.0.0.1'], ['::ffff:10.0.0.1']])(
    'dials what was checked, though a second look-up would say %s',
    async (second) => {
      const { publish, dialled, resolved } = await startGate({ resolve: answering(['8.8.8.8'], [second]) });
      expect((await publish('rtmp://rebind.example/live', 'other')).exitClass).toBe('dest_refused');
      expect(dialled).toEqual(['8.8.8.8']);
      expect(resolved).toEqual(['rebind.example']);
      // The next run asks again, and is judged by what it hears.
      expect((await publish('rtmp://rebind.example/live', 'other')).exitClass).toBe('dest_forbidden_address');
      expect(dialled).toEqual(['8.8.8.8']);
    },
  );

  it('dials of several answers only those that may be dialled', async () => {
    const answers = ['169.254.169.254', '127.0.0.1', '8.8.8.8', '::1', '10.0.0.1', '8.8.4.4', '::'];
    const { publish, dialled } = await startGate({ resolve: answering(answers) });
    await publish('rtmp://several.example/live', 'other');
    expect(dialled).toEqual(['8.8.8.8', '8.8.4.4']);
  });

  it('refuses a name all of whose answers are bad', async () => {
    const { publish, dialled } = await startGate({ resolve: answering(['169.254.169.254', '0.0.0.0', 'ff02::1']) });
    expect((await publish('rtmp://several.example/live', 'rest')).exitClass).toBe('dest_forbidden_address');
    expect(dialled).toEqual([]);
  });

  it('takes an answer that is no address for none', async () => {
    const { publish, dialled } = await startGate({ privateAddresses: 'all', resolve: answering(['0x7f.1'], ['']) });
    expect((await publish('rtmp://odd.example/live', 'rest')).exitClass).toBe('dest_forbidden_address');
    expect((await publish('rtmp://odd.example/live', 'rest')).exitClass).toBe('dest_forbidden_address');
    expect(dialled).toEqual([]);
  });
});

describe('malformed URLs', () => {
  const malformed = CORPUS.filter(([, harm]) => harm === 'malformed').map(([url]) => url);

  it.each(malformed)('%j is refused before anything is resolved', async (url) => {
    const { publish, dialled, resolved } = await startGate({ privateAddresses: 'all' });
    const refusal = await publish(url, 'rest').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(AppError);
    expect(refusal).toMatchObject({ code: 'BAD_RTMP_URL', httpStatus: 400 });
    expect([...dialled, ...resolved]).toEqual([]);
  });

  it('are answered 400 by REST, which starts nothing', async () => {
    const fixture = restFixture();
    onTestFinished(() => fixture.close());
    for (const rtmpUrl of malformed) {
      const { statusCode } = await fixture.post('/push/startup', { streamName: 'cam', rtmpUrl });
      expect({ rtmpUrl, statusCode }).toEqual({ rtmpUrl, statusCode: 400 });
    }
    expect(fixture.runs.started).toEqual([]);
  });
});
