import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { KEYS, KEYS_WITHOUT_EFFECT } from '../../src/config/keys.ts';
import { environmentName, loadConfig } from '../../src/config/load.ts';
import { sampleConfig } from '../../src/config/sample.ts';

function file(content: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'flashphoner.properties');
  writeFileSync(path, content);
  return path;
}

const sampleUrl = new URL('../../conf/flashphoner.properties', import.meta.url);

describe('configuration', () => {
  it('has the documented defaults of WCS', () => {
    const { config } = loadConfig([], {});
    expect(config['ws.port']).toBe(8080);
    expect(config.rtmp_transponder_stream_name_prefix).toBe('rtmp_');
    expect(config.rtmp_push_restore).toBe(false);
    expect(config['keep_alive.probes']).toBe(10);
  });

  it('lets the file win over defaults, the environment over the file and flags over all', () => {
    const path = file('ws.port=1\nwss.port=1\nhttp.port=1\n');
    const { config } = loadConfig(['--config', path, '--set', 'http.port=3'], {
      [environmentName('wss.port')]: '2',
      [environmentName('http.port')]: '2',
    });
    expect([config['ws.port'], config['wss.port'], config['http.port']]).toEqual([1, 2, 3]);
  });

  it('reaches every key of the sample file from the environment', () => {
    for (const [key, { type, fallback }] of Object.entries(KEYS)) {
      const { config } = loadConfig([], {
        [environmentName(key)]: type.print(fallback),
      });
      expect((config as Record<string, unknown>)[key]).toEqual(fallback);
    }
  });

  it('stops at an unknown key with one sentence that names file, line, key and value', () => {
    const path = file('\nws.prot=8080\n');
    expect(() => loadConfig(['--config', path], {})).toThrow(
      `${path} line 2: unknown key "ws.prot" (value "8080"); did you mean "ws.port"?`,
    );
  });

  it('stops at a bad value with one sentence that says what is allowed', () => {
    expect(() => loadConfig(['--set', 'ws.port=65536'], {})).toThrow(
      '--set: ws.port="65536" is not allowed; expected a whole number from 0 to 65535 (0 = any free port)',
    );
    expect(() => loadConfig([], { TRANSPONDER_RTMP_PUSH_RESTORE: 'yes' })).toThrow(
      'environment variable TRANSPONDER_RTMP_PUSH_RESTORE: rtmp_push_restore="yes" is not allowed; expected true or false',
    );
    expect(() => loadConfig([], { TRANSPONDER_NO_SUCH: '1' })).toThrow('unknown key "TRANSPONDER_NO_SUCH"');
  });

  it('accepts keys of WCS that have no effect and reports them', () => {
    const path = file('rtp_bundle=true\nuse_fdk_aac=true\n');
    expect(loadConfig(['--config', path], {}).withoutEffect).toEqual(['rtp_bundle', 'use_fdk_aac']);
  });

  it('refuses combinations that cannot work', () => {
    expect(() => loadConfig(['--set', 'disable_rest_auth=false'], {})).toThrow('needs rest_username and rest_password');
    expect(() => loadConfig(['--set', 'media_port_to=5'], {})).toThrow('at least media_port_from');
    expect(() => loadConfig(['--set', 'ssl_key_file=x'], {})).toThrow('go together');
    expect(() => loadConfig(['--set', 'rtmp_push_auto_start=true'], {})).toThrow('needs rtmp_push_auto_start_url');
    expect(() => loadConfig(['--set', 'rest_hook_send_hash=true'], {})).toThrow('needs rest_hook_secret_key');
    const autoStart = [
      '--set',
      'rtmp_push_auto_start=true',
      '--set',
      'rtmp_push_auto_start_url=http://user:canary@a/b',
    ];
    expect(() => loadConfig(autoStart, {})).toThrow(
      /^rtmp_push_auto_start_url="\*\*\*" is not allowed; expected a URL/,
    );
  });

  it('takes ICE servers with and without a login, and repeats no password of one that is wrong', () => {
    const text = 'stun:stun.example.net:3478, turn:[::1]:3478?transport=udp  ann  p"w, turns:turn.example.net bob x';
    const { config } = loadConfig(['--set', `ice_servers=${text}`], {});
    expect(config.ice_servers).toEqual([
      { uri: 'stun:stun.example.net:3478' },
      { uri: 'turn:[::1]:3478?transport=udp', login: { username: 'ann', credential: 'p"w' } },
      { uri: 'turns:turn.example.net', login: { username: 'bob', credential: 'x' } },
    ]);
    expect(
      loadConfig(['--set', `ice_servers=${KEYS['ice_servers']!.type.print(config.ice_servers)}`], {}).config,
    ).toEqual(config);
    for (const wrong of [
      'stun.example.net',
      'stun:a>b',
      'stun:a b c',
      'turn:a secret',
      'turn:a?x=y b secret',
      'turn:a b ü',
    ]) {
      expect(() => loadConfig(['--set', `ice_servers=${wrong}`], {})).toThrow(
        /^--set: ice_servers="\*\*\*" is not allowed/,
      );
    }
  });

  it('takes addresses and networks for what they are', () => {
    const networks = ['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::1'];
    const { config } = loadConfig(['--set', `outbound_allow=${networks.join(', ')}`, '--set', 'ip=::1,192.0.2.1'], {});
    expect(config).toMatchObject({ outbound_allow: networks, ip: ['::1', '192.0.2.1'] });
    const wrong = [
      'outbound_deny=10.0.0.0/33',
      'outbound_deny=10.0.0.0/8/8',
      'outbound_deny=10/8',
      'outbound_allow=::/129',
    ];
    for (const setting of [...wrong, 'ip=example.org', 'ip_local=localhost', 'rtmp_publisher_ip=1.2.3']) {
      expect(() => loadConfig(['--set', setting], {})).toThrow(/ is not allowed; expected .*IP address/);
    }
  });

  it('names a missing file, a flag without a value and an unknown flag', () => {
    expect(() => loadConfig(['--config', '/no/such/file'], {})).toThrow('--config "/no/such/file" cannot be read');
    expect(() => loadConfig(['--set'], {})).toThrow('--set needs a value');
    expect(() => loadConfig(['--prot', '1'], {})).toThrow('unknown argument "--prot"');
  });

  it('never prints a password', () => {
    expect(() => loadConfig(['--set', 'rest_password=can\tary'], {})).toThrow('rest_password="***"');
    for (const key of ['rest_pasword', 'restpassword', 'rst_passwrd', 'rtmp_push_auto_start_ulr']) {
      expect(() => loadConfig(['--set', `${key}=canary`], {})).toThrow(`unknown key "${key}" (value "***")`);
    }
    expect(() => loadConfig([], { TRANSPONDER_REST_PASWORD: 'canary' })).toThrow('(value "***")');
  });
});

describe('the sample file', () => {
  it('is what the table of keys prints', () => {
    expect(readFileSync(sampleUrl, 'utf8')).toBe(sampleConfig());
  });

  it('names every key once and no other, and works when every line is uncommented', () => {
    const settings = readFileSync(sampleUrl, 'utf8')
      .split('\n')
      .filter((line) => /^#[a-z]/i.test(line))
      .map((line) => line.slice(1));
    expect(settings.map((line) => line.slice(0, line.indexOf('='))).toSorted()).toEqual(
      [...Object.keys(KEYS), ...KEYS_WITHOUT_EFFECT].toSorted(),
    );
    const { config } = loadConfig(['--config', file(settings.join('\n'))], {});
    expect(config).toEqual(loadConfig([], {}).config);
  });
});
