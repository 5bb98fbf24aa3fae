import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/domain/logger.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { LiveStream } from '../../src/hub/live-stream.ts';
import { ManualClock } from '../support/manual-clock.ts';

function publish(hub: Hub, name: string): LiveStream {
  const source = { setFramesWanted: () => {} };
  return hub.publish(name, { id: `id of ${name}`, source, tracks: {}, clock: new ManualClock(), logger: silentLogger });
}

describe('Hub', () => {
  it('gives a name to one stream at a time', () => {
    const hub = new Hub(silentLogger);
    const first = publish(hub, 'a');
    expect(() => publish(hub, 'a')).toThrow(expect.objectContaining({ code: 'STREAM_NAME_IN_USE' }));
    expect(hub.find('a')).toBe(first);
    hub.remove(first, 'over');
    expect(hub.find('a')).toBeUndefined();
    const second = publish(hub, 'a');
    hub.remove(first, 'again');
    expect(hub.list()).toEqual([second]);
    expect(first.hasEnded).toBe(true);
    expect(second.hasEnded).toBe(false);
  });

  it('tells listeners of streams that come and go, even when one of them throws', () => {
    const hub = new Hub(silentLogger);
    const heard: string[] = [];
    hub.onUp(() => {
      throw new Error('no');
    });
    const stop = hub.onUp((stream) => heard.push(`up ${stream.name}`));
    hub.onDown((stream) => heard.push(`down ${stream.name} ${String(hub.find(stream.name))}`));
    hub.remove(publish(hub, 'a'), 'over');
    stop();
    publish(hub, 'b');
    expect(heard).toEqual(['up a', 'down a undefined']);
  });

  it('replaces a stream by another one without its name being free in between', () => {
    const hub = new Hub(silentLogger);
    const heard: string[] = [];
    const first = publish(hub, 'a');
    hub.onUp((stream) => heard.push(`up ${stream.id}`));
    hub.onDown((stream) => heard.push(`down ${stream.id}`));
    let found: LiveStream | undefined;
    first.addReader({
      label: 'test',
      fromCachedGop: false,
      maxQueueBytes: 1,
      onUnit: () => true,
      onEnd: (reason) => {
        heard.push(reason);
        found = hub.find('a');
      },
    });
    const source = { setFramesWanted: () => {} };
    const options = { id: 'second', source, tracks: {}, clock: new ManualClock(), logger: silentLogger };
    const second = hub.replace(first, 'changed', options);
    expect(heard).toEqual(['changed', 'up second']);
    expect([found, hub.find('a'), first.hasEnded]).toEqual([second, second, true]);
    hub.remove(first, 'late');
    expect(hub.find('a')).toBe(second);
  });

  it('waits for a stream that is not there yet', async () => {
    const hub = new Hub(silentLogger);
    const { signal } = new AbortController();
    const waiting = hub.whenUp('a', signal);
    publish(hub, 'b');
    const stream = publish(hub, 'a');
    expect(await waiting).toBe(stream);
    expect(await hub.whenUp('a', signal)).toBe(stream);
  });

  it('stops waiting with the reason of the signal', async () => {
    const hub = new Hub(silentLogger);
    const abort = new AbortController();
    const waiting = hub.whenUp('a', abort.signal);
    abort.abort(new Error('stopped by user'));
    await expect(waiting).rejects.toThrow('stopped by user');
    await expect(hub.whenUp('a', abort.signal)).rejects.toThrow('stopped by user');
  });
});
