import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRtmpApp, parseRtmpStreamName } from '../../../src/protocol/rtmp/client-url.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

/** Name and parameters of an application, in a form that is easy to compare. */
const app = (text: string, tcUrl?: string) => {
  const { appName, params } = parseRtmpApp(text, tcUrl);
  return [appName, Object.fromEntries(params)];
};
const stream = (text: string, appName?: string) => {
  const { name, params } = parseRtmpStreamName(text, appName);
  return [name, Object.fromEntries(params)];
};

describe('the application of an RTMP client', () => {
  it('is cut at its first question mark, and the rest are the parameters of the connection', () => {
    const params = { connectParam1: 'val1', connectParam2: 'val2' };
    expect(app('live?connectParam1=val1&connectParam2=val2')).toEqual(['live', params]);
    expect(app('live?suppress_sound=true')).toEqual(['live', { suppress_sound: 'true' }]);
    expect(app('live?url=http://a/b?c=d')).toEqual(['live', { url: 'http://a/b?c=d' }]);
  });

  it('takes its parameters from tcUrl where it has none', () => {
    expect(app('live', 'rtmp://h:1935/live?a=1')).toEqual(['live', { a: '1' }]);
    expect(app('live?b=2', 'rtmp://h:1935/live?a=1')).toEqual(['live', { b: '2' }]);
    expect(app('live', 'not a URL at all')).toEqual(['live', {}]);
    expect(app('live?', 'rtmp://h/live?a=1')).toEqual(['live', {}]);
  });

  it('loses the slashes at its ends and the default instance', () => {
    for (const text of ['live', '/live', 'live/', 'live//', 'live/_definst_', '/live/_definst_/', 'live/_definst_/?']) {
      expect(app(text)[0]).toBe('live');
    }
    expect(app('live/x')[0]).toBe('live/x');
    expect(app('my_definst_')[0]).toBe('my_definst_');
    expect(app('_definst_')[0]).toBe('');
    expect(app('')).toEqual(['', {}]);
  });
});

describe('the stream name of an RTMP client', () => {
  it('is cut at its first question mark, and the rest are the parameters of the stream', () => {
    const params = { streamParam1: 'val1', streamParam2: 'a/b=c' };
    expect(stream('streamName?streamParam1=val1&streamParam2=a/b=c')).toEqual(['streamName', params]);
    expect(stream('/test?auth=key')).toEqual(['test', { auth: 'key' }]);
    expect(stream('?auth=key')).toEqual(['', { auth: 'key' }]);
  });

  it('loses the word for a container that clients put in front, once', () => {
    expect(['mp4:x.mp4', 'flv:x', 'mp3:x', '/mp4:x', 'mp4:mp4:x', 'MP4:x', 'x:mp4'].map((n) => stream(n)[0])).toEqual([
      'x.mp4',
      'x',
      'x',
      'x',
      'mp4:x',
      'MP4:x',
      'x:mp4',
    ]);
  });

  it('is decoded where it is encoded, and left alone where it is not', () => {
    expect(stream('a%20b%C3%A9')[0]).toBe('a bé');
    expect(stream('100%')[0]).toBe('100%');
    expect(stream('%ff%zz')[0]).toBe('%ff%zz');
    expect(stream('x?token=a%2Bb+c%')[1]).toEqual({ token: 'a%2Bb+c%' });
    expect(stream('x?token=a%2Bb+c')[1]).toEqual({ token: 'a+b+c' });
  });

  it('stands behind the application where an encoder has no stream key', () => {
    expect(stream('', 'live/x')[0]).toBe('x');
    expect(stream('/', 'live/a/mp4:x')[0]).toBe('x');
    expect(stream('y', 'live/x')[0]).toBe('y');
    expect(stream('', 'live')[0]).toBe('');
    const { appName, params } = parseRtmpApp('live/x?key=1');
    expect([stream('', appName)[0], [...params]]).toEqual(['x', [['key', '1']]]);
  });
});

describe('the parameters of an RTMP client', () => {
  it('cannot touch anything but themselves', () => {
    const { params } = parseRtmpApp('live?__proto__=1&constructor=2&toString=3&__proto__[x]=4');
    expect([...params]).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
      ['toString', '3'],
      ['__proto__[x]', '4'],
    ]);
    expect('x' in {}).toBe(false);
  });

  it('may be empty, come without a value and come twice, where the last counts', () => {
    expect(app('live?&a&=b&c=&d=1&d=2&')).toEqual(['live', { a: '', c: '', d: '2' }]);
  });

  it('come back as any client has written them', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 20 }), fc.boolean(), (params, isOfStream) => {
        const query = Object.entries(params)
          .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
          .join('&');
        fc.pre(query.length <= 4096);
        const parse = isOfStream ? parseRtmpStreamName : parseRtmpApp;
        expect(new Map(parse(`name?${query}`).params)).toEqual(new Map(Object.entries(params)));
      }),
    );
  });
});

describe('names from outside', () => {
  const refusals: readonly [string, () => unknown, string][] = [
    ['an application of more than 256 characters', () => app('a'.repeat(257)), 'RTMP_NAME_LENGTH'],
    ['a name of more than 256 characters', () => stream('a'.repeat(257)), 'RTMP_NAME_LENGTH'],
    ['a tcUrl of more than 2,048 characters', () => app('live', 'a'.repeat(2049)), 'RTMP_NAME_LENGTH'],
    ['parameters of more than 4,096 characters', () => stream(`a?${'b'.repeat(4097)}`), 'RTMP_NAME_LENGTH'],
    ['more than 64 parameters', () => app(`live?${manyParams(65)}`), 'RTMP_NAME_PARAMS'],
    ['a control character', () => stream('a\nb'), 'RTMP_NAME_CHARACTERS'],
    ['a control character in disguise', () => stream('a%00b'), 'RTMP_NAME_CHARACTERS'],
    ['a control character in the application', () => app('li\u007fve'), 'RTMP_NAME_CHARACTERS'],
  ];
  function manyParams(count: number): string {
    return Array.from({ length: count }, (_, index) => `p${index}=1`).join('&');
  }
  for (const [what, act, code] of refusals) {
    it(`are refused for ${what}`, () => expect(protocolErrorCode(act)).toBe(code));
  }

  it('are measured before they are taken apart', () => {
    const slashes = `a${'/'.repeat(65_000)}b`;
    expect(protocolErrorCode(() => app(slashes))).toBe('RTMP_NAME_LENGTH');
    expect(protocolErrorCode(() => stream(slashes))).toBe('RTMP_NAME_LENGTH');
  });

  it('are taken up to these limits', () => {
    expect(stream(`${'a'.repeat(256)}?b=${'c'.repeat(4094)}`)[0]).toHaveLength(256);
    expect(parseRtmpApp(`live?${manyParams(64)}`).params.size).toBe(64);
    expect(app('live', `${'a'.repeat(2048)}?b=${'c'.repeat(4094)}`)[0]).toBe('live');
  });

  it('throw nothing but ProtocolError, whatever they are, and are printable', () => {
    const any = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ unit: 'grapheme' }));
    const bits = fc.array(fc.constantFrom('live', '/', '?', '&', '=', '%41', '%', 'mp4:', '_definst_', '\u0000', 'x'));
    const text = fc.oneof(
      any,
      bits.map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, text, (first, second) => {
        const code = protocolErrorCode(() => {
          const { appName } = parseRtmpApp(first, second);
          const { name } = parseRtmpStreamName(second, appName);
          for (const parsed of [appName, name]) {
            expect(parsed.length).toBeLessThanOrEqual(256);
            expect([...parsed].every((character) => character >= ' ' && character !== '\u007f')).toBe(true);
          }
          expect(appName).toBe(appName.replace(/^\/|\/$/g, ''));
        });
        expect(code).toMatch(/^RTMP_NAME_|^none$/);
      }),
      { numRuns: 2000 },
    );
  });
});
