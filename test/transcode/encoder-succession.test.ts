import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import { EncoderSuccession } from '../../src/transcode/encoder-succession.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** Encoders that do nothing but end: by `die`, and when `gone` resolves after they were told to. */
function startRig() {
  const clock = new ManualClock();
  const gone = Promise.withResolvers<void>();
  const ends: string[] = [];
  const told: string[] = [];
  let die: (reason: string) => void = () => {};
  const encoders = new EncoderSuccession({
    host: { ffmpegPath: '', nonce: '', clock, logger: silentLogger },
    kind: 'audio',
    onEnd: (reason) => ends.push(reason),
  });
  const leave = (how: string): Promise<void> => {
    told.push(how);
    return gone.promise;
  };
  const process = { waitedUs: () => 4_000_000, close: () => leave('close'), abandon: () => leave('abandon') };
  const start = () =>
    encoders.start(clock.monotonicUs(), (onEnd) => {
      die = onEnd;
      return { process };
    });
  return { clock, encoders, ends, told, start, gone, die: (reason: string) => die(reason) };
}

it('starts one encoder at a time, again when it has died, and gives up after ten deaths in a row', () => {
  const { clock, encoders, ends, start, die } = startRig();
  for (let deaths = 0; deaths < 10; deaths++) {
    expect(ends).toEqual([]);
    while (!encoders.mayStart(clock.monotonicUs())) clock.advance(100);
    start();
    expect(encoders.mayStart(clock.monotonicUs())).toBe(false);
    die('crash: test');
  }
  expect(encoders.deaths).toBe(10);
  expect(encoders.isOver).toBe(true);
  expect(ends).toEqual(['the audio encoder keeps dying: crash: test']);
});

it('kills an encoder that has been silent for too long, and puts another in its place at once', () => {
  const { clock, encoders, told, start } = startRig();
  const first = start();
  encoders.abandonStalled(4_000_000, clock.monotonicUs());
  expect(encoders.run).toBe(first);
  encoders.abandonStalled(3_999_999, clock.monotonicUs());
  expect(encoders.run).toBeUndefined();
  expect(told).toEqual(['abandon']);
  expect(encoders.mayStart(clock.monotonicUs())).toBe(true);
});

it('is closed only when the encoders that were on their way out are gone too', async () => {
  const { encoders, told, start, gone, ends } = startRig();
  start();
  encoders.retire();
  start();
  let isClosed = false;
  const closing = encoders.close().then(() => (isClosed = true));
  await turn();
  expect({ told, isClosed, deaths: encoders.deaths }).toEqual({ told: ['close', 'close'], isClosed: false, deaths: 0 });
  gone.resolve();
  await closing;
  expect(encoders.run).toBeUndefined();
  expect(ends).toEqual([]);
});
