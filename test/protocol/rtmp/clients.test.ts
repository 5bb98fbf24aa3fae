import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { amfProperties, amfString } from '../../../src/protocol/amf0/values.ts';
import { RtmpLink } from '../../../src/protocol/rtmp/link.ts';
import { decodeMessage } from '../../../src/protocol/rtmp/messages.ts';
import type { CommandMessage, RtmpMessage } from '../../../src/protocol/rtmp/messages.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';
import { splitAt } from '../../support/split-bytes.ts';
import { rtmpClientVectors } from '../../vectors/rtmp/clients.ts';

/** All messages that a server's link gives for these bytes, one push for each piece. */
function messagesOf(pieces: readonly Buffer[]): RtmpMessage[] {
  const link = new RtmpLink({ role: 'server', randomBytes, send: () => {} });
  const messages: RtmpMessage[] = [];
  for (const piece of pieces) {
    link.push(piece);
    for (let message = link.take(); message; message = link.take()) messages.push(decodeMessage(message));
  }
  return messages;
}

const commandsOf = (messages: readonly RtmpMessage[]): CommandMessage[] =>
  messages.filter((message) => message.kind === 'command');

const CONTROL_STEPS = new Set(['setChunkSize', 'windowAckSize', 'setBufferLength']);

for (const { client, intent, bytes, steps, ...facts } of rtmpClientVectors) {
  describe(`a session of ${client} to ${intent}`, () => {
    const whole = messagesOf([bytes]);

    it('is understood command by command', () => {
      const commands = commandsOf(whole);
      expect(commands.map(({ name }) => name)).toEqual(
        steps.map(({ name }) => name).filter((n) => !CONTROL_STEPS.has(n)),
      );
      expect(commands.map(({ transactionId }) => transactionId)).toEqual(commands.map((_, index) => index + 1));
      const [connect] = commands[0]!.args;
      expect(amfString(connect, 'app')).toBe(facts.app);
      expect(amfString(connect, 'flashVer')).toBe(facts.flashVersion);
      expect(amfProperties(connect)!['fourCcList'] !== undefined).toBe(facts.isEnhanced);
      const opening = commands.find(({ name }) => name === intent)!;
      expect(opening).toMatchObject({ streamId: 1 });
      expect(opening.args[1]).toBe(facts.target);
    });

    it('gives the same messages however its bytes are split', () => {
      expect(messagesOf(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole);
      fc.assert(
        fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
          expect(messagesOf(splitAt(bytes, cuts))).toEqual(whole);
        }),
      );
    });

    it('throws nothing but ProtocolError when it is cut or when bytes of it are flipped', () => {
      const flip = fc.record({
        at: fc.integer({ min: 3073, max: bytes.length - 1 }),
        mask: fc.integer({ min: 1, max: 255 }),
      });
      fc.assert(
        fc.property(fc.array(flip, { maxLength: 6 }), fc.nat(bytes.length), (flips, length) => {
          const broken = Buffer.from(bytes);
          for (const { at, mask } of flips) broken[at]! ^= mask;
          const code = protocolErrorCode(() => messagesOf([broken.subarray(0, length)]));
          expect(code).toMatch(/^(RTMP_|AMF0_|none$)/);
        }),
        { numRuns: 300 },
      );
    });
  });
}

describe('the connect of OBS', () => {
  it('carries its strict array and its maps', () => {
    const { bytes } = rtmpClientVectors.find(({ client }) => client === 'OBS')!;
    const connect = amfProperties(commandsOf(messagesOf([bytes]))[0]!.args[0])!;
    expect(connect['fourCcList']).toEqual(['av01', 'hvc1']);
    expect(amfProperties(connect['videoFourCcInfoMap'])).toMatchObject({ '*': 2, avc1: 3 });
    expect(connect).toMatchObject({ type: 'nonprivate', capsEx: 12, videoFunction: 1 });
  });
});
