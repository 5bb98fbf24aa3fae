import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, parseRestClientConfig } from '../../../src/services/hooks/rest-client-config.ts';

describe('restClientConfig', () => {
  it('sets policies by method; what it leaves out has the defaults of WCS', () => {
    const { policies, ignored } = parseRestClientConfig({
      publishStream: { restOnError: 'FAIL', restPolicy: 'OVERWRITE', restOverwrite: ' name, custom,,' },
      StreamStatusEvent: { clientExclude: '', restExclude: 'sdp', restOnError: 'LOG', restPolicy: 'NOTIFY' },
      pushLogs: { restPolicy: 'DISABLE' },
      snapshot: { restPolicy: 'DISABLED' },
    });
    expect(ignored).toEqual([]);
    expect(policies.get('publishStream')).toEqual({
      ...DEFAULT_POLICY,
      restOnError: 'FAIL',
      restPolicy: 'OVERWRITE',
      restOverwrite: new Set(['name', 'custom']),
    });
    expect(policies.get('StreamStatusEvent')).toEqual({ ...DEFAULT_POLICY, restExclude: new Set(['sdp']) });
    expect(policies.get('pushLogs')!.restPolicy).toBe('DISABLE');
    expect(policies.get('snapshot')!.restPolicy).toBe('DISABLE');
    expect(policies.get('connect')).toBeUndefined();
  });

  it('may be absent', () => {
    expect(parseRestClientConfig(undefined)).toEqual({ policies: new Map(), ignored: [] });
  });

  it('is taken as far as it is understood, and names the rest', () => {
    const { policies, ignored } = parseRestClientConfig({
      publishStream: { restOnError: 'IGNORE', restPolicy: 1, restExclude: ['sdp'], extra: true, clientExclude: 'a' },
      publishstream: {},
      playStream: 'FAIL',
      constructor: {},
    });
    expect(policies).toEqual(new Map([['publishStream', { ...DEFAULT_POLICY, clientExclude: new Set('a') }]]));
    expect(ignored).toEqual([
      'publishStream.restOnError',
      'publishStream.restPolicy',
      'publishStream.restExclude',
      'publishStream.extra',
      'publishstream',
      'playStream',
      'constructor',
    ]);
  });

  it.each([[null], ['x'], [[]], [7]])('that is %j is ignored as a whole', (value) => {
    expect(parseRestClientConfig(value)).toEqual({ policies: new Map(), ignored: ['restClientConfig'] });
  });

  it('cannot make a long log line', () => {
    const { ignored } = parseRestClientConfig(
      Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${index}${'x'.repeat(10_000)}`, 1])),
    );
    expect(JSON.stringify(ignored).length).toBeLessThan(3000);
  });
});
