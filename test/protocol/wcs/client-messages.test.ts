import { assert, constantFrom, jsonValue, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeClientMessage } from '../../../src/protocol/wcs/client-messages.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';

function decode(message: string, argument?: unknown) {
  return decodeClientMessage(JSON.stringify({ message, data: [argument] }));
}

describe('decodeClientMessage', () => {
  it('reads numbers and booleans from texts and leaves unknown fields out', () => {
    expect(
      decode('publishStream', {
        mediaSessionId: 'U1',
        name: 'test',
        sdp: 'v=0',
        record: 'true',
        hasVideo: 'false',
        bitrate: '500',
        minBitrate: 'abc',
        maxBitrate: -1,
        transport: 'SCTP',
        localMediaInfo: { devices: {} },
        receiveVideo: true,
        custom: null,
      }),
    ).toEqual({
      name: 'publishStream',
      request: {
        mediaSessionId: 'U1',
        name: 'test',
        sdp: 'v=0',
        record: true,
        hasVideo: false,
        hasAudio: true,
        bitrate: 500,
        minBitrate: 0,
        maxBitrate: 0,
        mediaProvider: 'WebRTC',
        transport: 'UDP',
        rtmpUrl: undefined,
        custom: null,
        localMediaInfo: { devices: {} },
      },
    });
  });

  it('empties ids and names that could not be told apart in a log or an answer', () => {
    for (const mediaSessionId of [undefined, 5, 'a\r\nb', 'x'.repeat(129), {}]) {
      expect(decode('stopStream', { mediaSessionId, name: 'a\0' })).toEqual({
        name: 'stopStream',
        stream: { mediaSessionId: '', name: '' },
      });
    }
  });

  it('keeps custom data of a connection as it is, and absent data absent', () => {
    const custom = { a: [1, { b: null }] };
    expect(decode('connection', { custom })).toMatchObject({ connection: { custom } });
    expect(decode('connection', {})).not.toHaveProperty('connection.custom');
  });

  it('bounds what it keeps of a connection and of reports', () => {
    const providers = Array.from({ length: 100 }, () => 'WebRTC');
    const message = decode('connection', { mediaProviders: [1, ...providers], clientVersion: 'x'.repeat(2000) });
    expect(message).toMatchObject({ connection: { clientVersion: '' } });
    expect(message.name === 'connection' && message.connection.mediaProviders).toHaveLength(16);
    const report = decode('pushLogs', { logs: 'x'.repeat(100_000) });
    expect(report.name === 'pushLogs' && report.text.length).toBe(4096);
  });

  it('takes messages without data, with null and of unknown names', () => {
    expect(decodeClientMessage('{"message":"pong"}')).toEqual({ name: 'pong' });
    expect(decode('ping', null)).toEqual({ name: 'ping' });
    expect(decode('__proto__')).toEqual({ name: 'unknown', message: '__proto__' });
    expect(decode('toString')).toEqual({ name: 'unknown', message: 'toString' });
  });

  it('throws WCS_JSON and WCS_ENVELOPE for what is no message', () => {
    expect(protocolErrorCode(() => decodeClientMessage('{'))).toBe('WCS_JSON');
    for (const frame of ['null', '1', '[]', '{}', '{"message":1}']) {
      expect(protocolErrorCode(() => decodeClientMessage(frame))).toBe('WCS_ENVELOPE');
    }
  });

  it('throws nothing but ProtocolError, whatever comes', () => {
    const names = ['connection', 'publishStream', 'playStream', 'snapshot', 'sendStreamEvent', 'sendData', 'pushLogs'];
    const wellFormed = property(
      constantFrom(...names),
      jsonValue(),
      (name, value) => protocolErrorCode(() => decode(name, value)) === 'none',
    );
    const random = property(string(), (frame) =>
      /^(none|WCS_)/.test(protocolErrorCode(() => decodeClientMessage(frame))),
    );
    expect(() => assert(wellFormed)).not.toThrow();
    expect(() => assert(random)).not.toThrow();
  });

  it('refuses what nests so deep that writing it again would exhaust the stack', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    for (const message of ['pushLogs', 'sendData', 'sendStreamEvent', 'connection', 'anything']) {
      const frame = (depth: number) => `{"message":"${message}","data":[{"payload":${nested(depth)}}]}`;
      expect(protocolErrorCode(() => decodeClientMessage(frame(60_000)))).toBe('WCS_DEPTH');
      expect(protocolErrorCode(() => decodeClientMessage(frame(29)))).toBe('none');
    }
  });

  it('takes no amount that is beyond all measure', () => {
    for (const maxBitrate of [1e306, '1e306', '1e999', 2e9, Number.NaN]) {
      expect(decode('publishStream', { maxBitrate })).toMatchObject({ request: { maxBitrate: 0 } });
    }
    expect(decode('publishStream', { maxBitrate: '1e9' })).toMatchObject({ request: { maxBitrate: 1e9 } });
  });

  it('masks RTMP URLs and ICE passwords in what is for the log', () => {
    const logs = 'push to rtmp://me:pw@host/app/"key" failed\r\na=ice-pwd:topsecret\r\na=mid:0 RTMPS://h/k';
    expect(decode('pushLogs', { logs })).toEqual({
      name: 'pushLogs',
      text: String.raw`{"logs":"push to rtmp://*** failed\r\na=ice-pwd:***\r\na=mid:0 rtmp://***"}`,
      report: { logs },
    });
  });
});
