import { expect, it } from 'vitest';
import { EventQueue } from '../../../src/services/hooks/event-queue.ts';
import { Slots } from '../../../src/services/hooks/slots.ts';

function recorded(queue: EventQueue) {
  const log: string[] = [];
  const waiting: (() => void)[] = [];
  const push = (name: string): void =>
    queue.push({
      async send() {
        log.push(`${name} sent`);
        await new Promise<void>((resolve) => waiting.push(resolve));
        log.push(`${name} done`);
      },
      drop: () => void log.push(`${name} dropped`),
    });
  return { log, waiting, push };
}

it('events go out one after the other, and the oldest that waits makes room', async () => {
  const queue = new EventQueue(2);
  const { log, waiting, push } = recorded(queue);
  for (const name of ['a', 'b', 'c', 'd']) push(name);
  const { drained } = queue;
  for (const count of [1, 2, 3]) {
    await expect.poll(() => waiting.length).toBe(count);
    waiting.at(-1)!();
  }
  await drained;
  expect(log).toEqual(['a sent', 'b dropped', 'a done', 'c sent', 'c done', 'd sent', 'd done']);
  expect(queue.drained).toBeUndefined();
  push('e');
  expect(log.at(-1)).toBe('e sent');
});

it('slots are taken in order, given back, and left by those who are called off', async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const take = (name: string, signal = new AbortController().signal) =>
    slots.take(signal).then(
      () => order.push(name),
      () => order.push(`${name} called off`),
    );
  const abort = new AbortController();
  await take('a');
  const others = [take('b', abort.signal), take('c'), take('d')];
  expect(slots.waiting).toBe(3);
  abort.abort();
  await others[0];
  slots.give();
  slots.give();
  await Promise.all(others);
  expect(order).toEqual(['a', 'b called off', 'c', 'd']);
  expect(slots.waiting).toBe(0);
});
