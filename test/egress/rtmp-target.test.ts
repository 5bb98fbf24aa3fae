import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/domain/errors.ts';
import { parseRtmpTarget } from '../../src/egress/rtmp-target.ts';

const parse = (rtmpUrl: string, fullUrl = false, streamName = 'stream1') =>
  parseRtmpTarget({ rtmpUrl, streamName, fullUrl, prefix: 'rtmp_' });

const forms: { url: string; full?: boolean; app: string; name: string; host?: string; port?: number }[] = [
  { url: 'rtmp://h:1935/live', app: 'live', name: 'rtmp_stream1' },
  { url: 'rtmp://h/app/instance', app: 'app/instance', name: 'rtmp_stream1' },
  { url: 'rtmp://h/live/', app: 'live', name: 'rtmp_stream1' },
  { url: 'rtmp://h:1935/app_name/?user=u&pass=p', app: 'app_name?user=u&pass=p', name: 'rtmp_stream1' },
  { url: 'rtmp://h:1935/app_name?user=u&pass=p', app: 'app_name?user=u&pass=p', name: 'rtmp_stream1' },
  { url: 'rtmp://h:1935/app/inst/?user=u&pass=p/x', app: 'app/inst?user=u&pass=p/x', name: 'rtmp_stream1' },
  { url: 'rtmp://h:1935/live/test', full: true, app: 'live', name: 'test' },
  { url: 'rtmp://h/app/instance/name', full: true, app: 'app/instance', name: 'name' },
  { url: 'rtmp://h/live/name?sig=a/b?c#d', full: true, app: 'live', name: 'name?sig=a/b?c#d' },
  { url: 'rtmp://h/app/?user=u&pass=p', full: true, app: 'app?user=u&pass=p', name: 'rtmp_stream1' },
  { url: 'rtmp://h/app?c=1/name?s=2', full: true, app: 'app?c=1', name: 'name?s=2' },
  { url: 'rtmp://h/live/a b?&%#+=$\'"ü€', full: true, app: 'live', name: 'a b?&%#+=$\'"ü€' },
  { url: 'rtmp://h/live/-key', full: true, app: 'live', name: '-key' },
  { url: 'RTMP://h/live', app: 'live', name: 'rtmp_stream1' },
  { url: 'rtmps://h/live', app: 'live', name: 'rtmp_stream1', port: 443 },
  { url: 'rtmps://h:8443/live', app: 'live', name: 'rtmp_stream1', port: 8443 },
  { url: 'rtmp://[::1]:19350/live', app: 'live', name: 'rtmp_stream1', host: '::1', port: 19_350 },
  { url: 'rtmp://[2001:db8::5]/live', app: 'live', name: 'rtmp_stream1', host: '2001:db8::5' },
  { url: 'rtmp://bücher.example/live', app: 'live', name: 'rtmp_stream1', host: 'xn--bcher-kva.example' },
];

describe('RTMP target', () => {
  for (const { url, full = false, app, name, host = 'h', port = 1935 } of forms) {
    it(`reads ${url}${full ? ' in full-URL mode' : ''}`, () => {
      expect(parse(url, full)).toMatchObject({
        app,
        playPath: name,
        host,
        port,
        tls: url.startsWith('rtmps'),
        credentials: undefined,
      });
    });
  }

  it('takes user and password up to the last @ and decodes them', () => {
    const target = parse('rtmp://na%40me:p@ss%3A%2F:w@server:1935/live');
    expect(target.credentials).toEqual({ user: 'na@me', password: 'p@ss:/:w' });
    expect(target).toMatchObject({ host: 'server', tcUrl: 'rtmp://server:1935/live' });
    expect(parse('rtmp://name:50%@server/live').credentials).toEqual({ user: 'name', password: '50%' });
    expect(parse('rtmp://name@server/live').credentials).toEqual({ user: 'name', password: '' });
    expect(parse('rtmp://h/live/key@home', true)).toMatchObject({
      host: 'h',
      playPath: 'key@home',
      credentials: undefined,
    });
  });

  it('builds tcUrl with the query of the application, the port as given and no user information', () => {
    expect(parse('rtmp://u:p@h/app_name/?user=1').tcUrl).toBe('rtmp://h/app_name?user=1');
    expect(parse('rtmps://[::1]:444/live').tcUrl).toBe('rtmps://[::1]:444/live');
  });

  it('shows scheme, host, port and first path element and nothing else in the redacted form', () => {
    expect(parse('rtmp://name:secret@h/live/key?token=secret', true).redacted).toBe('rtmp://h:1935/live/***');
    expect(parse('rtmps://h/app_name/inst/?user=u&pass=secret').redacted).toBe('rtmps://h:443/app_name/***');
    expect(parse('rtmp://[::1]/app?secret').redacted).toBe('rtmp://[::1]:1935/app/***');
  });

  it('has one canonical text for all spellings of a destination', () => {
    const canonical = parse('rtmp://h/live').canonical;
    for (const same of ['RTMP://H:1935/live', 'rtmp://h/live/', 'rtmp://h:1935/live/'])
      expect(parse(same).canonical).toBe(canonical);
    expect(parse('rtmp://h/live/rtmp_stream1', true).canonical).toBe(canonical);
    for (const other of [
      'rtmps://h/live',
      'rtmp://h:1936/live',
      'rtmp://h/Live',
      'rtmp://h/live?a=1',
      'rtmp://u:p@h/live',
    ]) {
      expect(parse(other).canonical).not.toBe(canonical);
    }
  });

  it('asks for an empty application where the URL names none', () => {
    for (const [url, app, tcUrl] of [
      ['rtmp://h:1935/', '', 'rtmp://h:1935/'],
      ['rtmp://h', '', 'rtmp://h/'],
      ['rtmp://h/?user=u', '?user=u', 'rtmp://h/?user=u'],
    ] as const) {
      const redacted = 'rtmp://h:1935/***';
      expect(parse(url)).toMatchObject({ app, tcUrl, redacted, playPath: 'rtmp_stream1' });
    }
  });

  const refusals: [string, string, boolean?][] = [
    ['', 'the RTMP URL is empty'],
    ['http://h/secret', 'the RTMP URL does not begin with rtmp:// or rtmps://'],
    ['h/secret', 'the RTMP URL does not begin with rtmp:// or rtmps://'],
    ['-i rtmp://h/secret', 'the RTMP URL begins with a hyphen'],
    ['rtmp://', 'the RTMP URL names no host'],
    ['rtmp:///secret', 'the RTMP URL names no host'],
    ['rtmp://user:secret@/live', 'the RTMP URL names no host'],
    ['rtmp://-h/live', 'the host of the RTMP URL is malformed'],
    ['rtmp://a b/live', 'the host of the RTMP URL is malformed'],
    ['rtmp://[fe80]/live', 'the host of the RTMP URL is in brackets but is no IPv6 address'],
    ['rtmp://::1/live', 'the host and port of the RTMP URL are malformed'],
    ['rtmp://h:0/live', 'the port of the RTMP URL is not a number from 1 to 65535'],
    ['rtmp://h:65536/live', 'the port of the RTMP URL is not a number from 1 to 65535'],
    ['rtmp://h:/live', 'the port of the RTMP URL is not a number from 1 to 65535'],
    ['rtmp://h/?user=secret/name', 'the RTMP URL names no application', true],
    ['rtmp://h/live\nsecret', 'the RTMP URL contains a control character'],
    [`rtmp://h/${'s'.repeat(2048)}`, 'the RTMP URL is longer than 2048 bytes'],
    ['rtmp://h/live/\ud800', 'the RTMP URL is not valid Unicode'],
    [
      'rtmp://h/live',
      'the RTMP URL names no stream: in full-URL mode the last path element is the name to publish',
      true,
    ],
    [
      'rtmp://h/live?secret',
      'the RTMP URL names no stream: in full-URL mode the last path element is the name to publish',
      true,
    ],
  ];
  for (const [url, sentence, full] of refusals) {
    it(`refuses ${JSON.stringify(url.slice(0, 40))}${full ? ' in full-URL mode' : ''} and says why`, () => {
      expect(() => parse(url, full)).toThrow(new AppError('BAD_RTMP_URL', sentence));
    });
  }

  it('refuses a stream name with control characters', () => {
    expect(() => parse('rtmp://h/live', false, 'a\u0000b')).toThrow('the stream name contains a control character');
  });

  it('keeps any key byte for byte in full-URL mode', () => {
    const key = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 60 })
      .filter((text) => text.isWellFormed() && !/[\p{Cc}/?]/u.test(text));
    fc.assert(
      fc.property(key, (text) => {
        expect(parse(`rtmp://h/live/${text}`, true).playPath).toBe(text);
      }),
    );
  });

  it('throws nothing but an AppError and never repeats the key or the password', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'rtmps:/@?[]#% \u0001-1.aü') });
    const shown = (url: string, full: boolean): string => {
      try {
        return parse(url, full).redacted;
      } catch (error) {
        if (error instanceof AppError) return error.message;
        throw error;
      }
    };
    fc.assert(
      fc.property(noise, noise, fc.boolean(), (before, after, full) => {
        expect(shown(`rtmp://u:SECRET1@h${before}/live${after}/SECRET2`, full)).not.toMatch(/SECRET/);
      }),
    );
  });
});
