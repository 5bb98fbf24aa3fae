import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeXorAddress } from '../../src/protocol/stun/stun-address.ts';
import { findAttribute, hasValidIntegrity, STUN_ATTRIBUTE, STUN_TYPE } from '../../src/protocol/stun/stun-message.ts';
import type { PeerHost } from '../../src/webrtc/peer.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PeerClient } from './peer-client.ts';
import { ObservedPeer, openHost } from './peer-fixture.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(...options: Parameters<typeof openHost>): Promise<PeerHost> {
  const host = await openHost(...options);
  cleanups.push(() => host.close());
  return host;
}

async function udpClient(host: PeerHost, family: 4 | 6 = 4): Promise<PeerClient> {
  const client = await PeerClient.udp(family, family === 4 ? '127.0.0.1' : '::1', host.ports.udpPort);
  cleanups.push(() => client.close());
  return client;
}

const rtp = (text: string) => Buffer.concat([Buffer.from([0x80]), Buffer.from(text)]);

describe('a peer over UDP', () => {
  it('connects a genuine browser with the same keys on both ends and passes packets both ways', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    const { local } = observed.peer;
    const answer = await client.bind(local, { nominate: true });
    expect(answer.type).toBe(STUN_TYPE.success);
    expect(hasValidIntegrity(answer, local.icePwd)).toBe(true);
    const mapped = findAttribute(answer, STUN_ATTRIBUTE.xorMappedAddress)!.value;
    expect(decodeXorAddress(mapped, answer.transactionId)).toEqual({ address: '127.0.0.1', port: client.localPort });

    await client.handshake();
    const keys = await observed.connected;
    expect(keys.profile).toBe('AEAD_AES_128_GCM');
    const theirs = client.dtls!.extractSessionKeys(16, 12);
    expect(keys.inbound).toEqual({ key: theirs.localKey, salt: theirs.localSalt });
    expect(keys.outbound).toEqual({ key: theirs.remoteKey, salt: theirs.remoteSalt });

    const arrived = observed.nextPacket();
    client.send(rtp('from the browser'));
    expect(await arrived).toEqual(rtp('from the browser'));

    const reused = rtp('first');
    observed.peer.send(reused);
    reused.fill(0x81);
    expect(await client.nextMedia()).toEqual(rtp('first'));
    expect(observed.connectedCount).toBe(1);
  });
});
