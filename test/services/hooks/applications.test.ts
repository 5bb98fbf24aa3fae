import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseApplications, readApplications } from '../../../src/services/hooks/applications.ts';

const SHOP = { name: 'Shop', appKey: 'shop', url: 'https://shop.example/hooks/' };

function parse(applications: unknown, isSigned = false) {
  return parseApplications(JSON.stringify({ applications }), 'apps.json', isSigned);
}

describe('an applications file', () => {
  it('names applications, with or without a backend', () => {
    const login = { restUsername: 'u', restPassword: 'p: w' };
    expect(
      parse([
        { ...SHOP, ...login, methods: ['connect', 'call'] },
        { name: 'Open', appKey: 'open' },
      ]),
    ).toEqual([
      {
        name: 'Shop',
        appKey: 'shop',
        backend: {
          url: 'https://shop.example/hooks',
          credentials: { username: 'u', password: 'p: w' },
          methods: new Set(['connect', 'call']),
        },
      },
      { name: 'Open', appKey: 'open' },
    ]);
    expect(parse([])).toEqual([]);
  });

  it('has a sample that is valid', () => {
    const sample = readFileSync(new URL('../../../conf/applications.json', import.meta.url), 'utf8');
    const keys = parseApplications(sample, 'sample', false).map(({ appKey }) => appKey);
    expect(keys).toEqual(['defaultApp', 'flashStreamingApp', 'roomApp']);
  });

  it.each<[string, unknown, string]>([
    ['an unknown field', [{ ...SHOP, URL: 'x' }], 'applications[0]: there is no field "URL"; the known ones are'],
    ['no list', {}, 'applications: a list is expected'],
    ['no object', [SHOP, 7], 'applications[1]: an object is expected'],
    ['a missing key', [{ name: 'Shop' }], 'applications[0].appKey: it is missing'],
    ['an empty name', [{ ...SHOP, name: '' }], 'applications[0].name: ""'],
    ['control characters', [{ ...SHOP, appKey: 'a\nb' }], 'applications[0].appKey: "a\\nb"'],
    ['the same key twice', [SHOP, { ...SHOP, name: 'Other' }], 'applications[1].appKey: "shop" is there twice'],
    ['the same name twice', [SHOP, { ...SHOP, appKey: 'x' }], 'applications[1].name: "Shop" is there twice'],
    ['no URL', [{ ...SHOP, url: 'shop' }], 'applications[0].url: "shop" is not allowed; expected an http://'],
    ['another scheme', [{ ...SHOP, url: 'file:///etc' }], 'applications[0].url: "file:///etc" is not allowed'],
    ['a URL that is no text', [{ ...SHOP, url: null }], 'applications[0].url: null is not allowed'],
    ['a fragment', [{ ...SHOP, url: 'http://h/#a' }], 'applications[0].url: "http://h/#a" is not allowed'],
    ['an unknown method', [{ ...SHOP, methods: ['connet'] }], 'applications[0].methods[0]: "connet" is no method'],
    ['methods in a text', [{ ...SHOP, methods: 'connect' }], 'applications[0].methods: a list of method names'],
    ['half a login', [{ ...SHOP, restUsername: 'u' }], 'applications[0].restPassword: it is missing'],
    ['a colon', [{ ...SHOP, restUsername: 'u:v', restPassword: 'p' }], 'applications[0].restUsername: HTTP Basic'],
    ['methods of nobody', [{ name: 'x', appKey: 'x', methods: [] }], 'applications[0].methods: it means nothing'],
  ])('with %s is refused, and the sentence says where', (_what, applications, sentence) => {
    expect(() => parse(applications)).toThrow(
      expect.objectContaining({
        code: 'BAD_CONFIGURATION',
        message: expect.stringContaining(`apps.json: ${sentence}`),
      }),
    );
  });

  it('tells no secret in any sentence', () => {
    const secrets = [
      [{ ...SHOP, url: 'http://u:SECRET@h/' }],
      [{ ...SHOP, url: 'http//u:SECRET@h/' }],
      [{ ...SHOP, url: 'http://h/?key=SECRET' }],
      [{ ...SHOP, restUsername: 'u', restPassword: 'SECRET\n' }],
      [{ ...SHOP, restPasword: 'SECRET' }],
    ];
    for (const applications of secrets) {
      expect(() => parse(applications)).toThrow(
        expect.objectContaining({ code: 'BAD_CONFIGURATION', message: expect.not.stringContaining('SECRET') }),
      );
    }
    expect(() => parseApplications('{"applications": SECRET', 'apps.json', false)).toThrow(/^(?!.*SECRET).*not JSON/);
  });

  it('cannot have HTTP Basic where requests are signed: both want the same header', () => {
    const login = { restUsername: 'u', restPassword: 'p' };
    expect(() => parse([SHOP, { name: 'x', appKey: 'x', url: SHOP.url, ...login }], true)).toThrow(
      'applications[1].restUsername: it cannot go with rest_hook_send_hash',
    );
    expect(parse([SHOP], true)).toHaveLength(1);
  });

  it('that is not there is named', async () => {
    await expect(readApplications('/nowhere/apps.json', false)).rejects.toThrow(
      'applications_file="/nowhere/apps.json" cannot be read (ENOENT)',
    );
  });
});
