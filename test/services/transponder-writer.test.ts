import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import { TransponderWriter } from '../../src/services/transponder-writer.ts';
import { openStore } from '../../src/store/open-store.ts';
import { storeDirectory } from '../store/store-fixture.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('writes that the store does not take', () => {
  it('are kept up to a bound and written in order later; of more the oldest go, but never the end of a push', () => {
    const files = storeDirectory();
    onTestFinished(() => files.remove());
    const store = openStore(files);
    onTestFinished(() => store.close());
    let isFull = true;
    const transaction = <Result>(work: () => Result): Result => {
      if (isFull) throw new Error('the disk is full');
      return store.transaction(work);
    };
    const writer = new TransponderWriter({ ...store, transaction }, silentLogger, new ManualClock());
    const written: string[] = [];
    writer.write(() => written.push('the first'));
    writer.write(() => written.push('an end'), { mustStay: true });
    for (let n = 0; n < 1500; n++) writer.write(() => written.push(String(n)));
    expect(written).toEqual([]);
    expect(writer.isWritable).toBe(false);
    isFull = false;
    writer.flush();
    expect(written).toHaveLength(1000);
    expect(written.slice(0, 2)).toEqual(['an end', '501']);
    expect(written.at(-1)).toBe('1499');
    expect(writer.isWritable).toBe(true);
  });

  it('are tried again with what comes later, but not with everything that comes right behind: each try of a locked store takes time', () => {
    const files = storeDirectory();
    onTestFinished(() => files.remove());
    const store = openStore(files);
    onTestFinished(() => store.close());
    const clock = new ManualClock();
    let tries = 0;
    const transaction = (): never => {
      tries++;
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    };
    const writer = new TransponderWriter({ ...store, transaction }, silentLogger, clock);
    for (let n = 0; n < 20; n++) writer.write(() => {});
    expect(tries).toBe(1);
    clock.advance(250);
    writer.write(() => {});
    expect(tries).toBe(2);
    writer.flush();
    expect(tries).toBe(3);
  });
});
