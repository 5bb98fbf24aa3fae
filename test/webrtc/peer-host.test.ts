import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Logger, silentLogger } from '../../src/domain/logger.ts';
import { decodeXorAddress } from '../../src/protocol/stun/stun-address.ts';
import { findAttribute, hasValidIntegrity, STUN_ATTRIBUTE, STUN_TYPE } from '../../src/protocol/stun/stun-message.ts';
import { createDtlsCertificate, digestDer } from '../../src/webrtc/dtls-certificate.ts';
import { encodeDtlsRecord } from '../../src/webrtc/dtls-records.ts';
import type { PeerHost } from '../../src/webrtc/peer.ts';
import { freePort } from '../support/free-port.ts';
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

async function tcpClient(host: PeerHost, splitBytes?: number): Promise<PeerClient> {
  const client = await PeerClient.tcp('127.0.0.1', host.ports.tcpPort, splitBytes);
  cleanups.push(() => client.close());
  return client;
}

/** Nominates the client's path and finishes DTLS on it. */
async function connect(client: PeerClient, { peer, connected }: ObservedPeer): Promise<void> {
  await client.bind(peer.local, { nominate: true });
  await client.handshake();
  await connected;
}

async function connectedPeer(host: PeerHost): Promise<{ observed: ObservedPeer; client: PeerClient }> {
  const observed = await ObservedPeer.create(host);
  const client = await udpClient(host);
  await connect(client, observed);
  return { observed, client };
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

  it('takes the first profile of its own list that the client offers', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    await client.bind(observed.peer.local, { nominate: true });
    await client.handshake({ srtpProfiles: [1] });
    const keys = await observed.connected;
    expect(keys.profile).toBe('AES_CM_128_HMAC_SHA1_80');
    expect(keys.inbound.salt).toEqual(client.dtls!.extractSessionKeys(16, 14).localSalt);
  });

  it('is not connected before a path is nominated', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    await client.bind(observed.peer.local);
    await client.handshake();
    expect(observed.connectedCount).toBe(0);
    await client.bind(observed.peer.local, { nominate: true });
    await observed.connected;
  });

  it('moves to the socket that is nominated later', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const [first, second] = [await udpClient(host), await udpClient(host)];
    await connect(first, observed);
    await second.bind(observed.peer.local);
    observed.peer.send(rtp('to the first'));
    expect(await first.nextMedia()).toEqual(rtp('to the first'));
    await second.bind(observed.peer.local, { nominate: true });
    observed.peer.send(rtp('to the second'));
    expect(await second.nextMedia()).toEqual(rtp('to the second'));
    const arrived = observed.nextPacket();
    second.send(rtp('from the second'));
    expect(await arrived).toEqual(rtp('from the second'));
    expect(observed.connectedCount).toBe(1);
  });

  it('connects over IPv6, and shows an IPv4 client of the same socket its IPv4 address', async () => {
    const host = await start({ bindAddress: '::', advertisedAddresses: ['::1'] });
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host, 6);
    const answer = await client.bind(observed.peer.local, { nominate: true });
    const mapped = findAttribute(answer, STUN_ATTRIBUTE.xorMappedAddress)!.value;
    expect(decodeXorAddress(mapped, answer.transactionId).address).toBe('0:0:0:0:0:0:0:1');
    await client.handshake();
    await observed.connected;
    observed.peer.send(rtp('six'));
    expect(await client.nextMedia()).toEqual(rtp('six'));

    const four = await udpClient(host);
    const other = await ObservedPeer.create(host);
    const fourAnswer = await four.bind(other.peer.local, { nominate: true });
    const fourMapped = findAttribute(fourAnswer, STUN_ATTRIBUTE.xorMappedAddress)!.value;
    expect(decodeXorAddress(fourMapped, fourAnswer.transactionId).address).toBe('127.0.0.1');
    await four.handshake();
    await other.connected;
  });

  it('gives an address that comes back with other credentials to the new peer', async () => {
    const host = await start();
    const [one, two] = [await ObservedPeer.create(host), await ObservedPeer.create(host)];
    const client = await udpClient(host);
    await client.bind(one.peer.local, { nominate: true });
    await client.bind(two.peer.local, { nominate: true });
    expect(host.counters.udpPaths).toBe(1);
    one.peer.close();
    await client.handshake();
    await two.connected;
    expect(one.connectedCount).toBe(0);
  });

  it('keeps no more than eight addresses of a peer, and the nominated one among them', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const nominated = await udpClient(host);
    await nominated.bind(observed.peer.local, { nominate: true });
    for (let index = 0; index < 10; index++) await (await udpClient(host)).bind(observed.peer.local);
    expect(host.counters.udpPaths).toBe(8);
    await nominated.handshake();
    await observed.connected;
  });
});

describe('STUN that is not authenticated', () => {
  it.each([
    ['a wrong password', { password: 'a wrong password of 24 chars' }],
    ['an unknown local fragment', { username: 'nobody:browser1' }],
    ['a wrong remote fragment', { usernameSuffix: ':somebody' }],
    ['no colon in the username', { usernameSuffix: '' }],
  ])('changes nothing and gets no answer: %s', async (_name, spoiled) => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const { local } = observed.peer;
    const attacker = await udpClient(host);
    const username =
      'username' in spoiled
        ? spoiled.username
        : 'usernameSuffix' in spoiled
          ? local.iceUfrag + spoiled.usernameSuffix
          : undefined;
    const password = 'password' in spoiled ? spoiled.password : undefined;
    const bad = attacker.bind(local, {
      nominate: true,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
    // The same socket's genuine request behind it shows that the bad one has been looked at.
    const good = attacker.bind(local);
    expect(await Promise.race([bad.then(() => 'bad'), good.then(() => 'good')])).toBe('good');
    expect(host.counters.stunRejected).toBe(1);
    await attacker.handshake();
    expect(observed.connectedCount).toBe(0);
  });

  it('cannot take a path away from a connected peer', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const [client, attacker] = [await udpClient(host), await udpClient(host)];
    await connect(client, observed);
    const { packet } = attacker.request(observed.peer.local, {
      nominate: true,
      password: 'a wrong password of 24 chars',
    });
    attacker.send(packet);
    attacker.send(rtp('injected'));
    const arrived = observed.nextPacket();
    await client.bind(observed.peer.local);
    client.send(rtp('genuine'));
    expect(await arrived).toEqual(rtp('genuine'));
    observed.peer.send(rtp('still here'));
    expect(await client.nextMedia()).toEqual(rtp('still here'));
  });

  it('is rejected when a bit of it changes, fingerprint included', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    const { packet } = client.request(observed.peer.local, { nominate: true });
    for (const position of [24, packet.length - 20, packet.length - 1]) {
      const spoiled = Buffer.from(packet);
      spoiled[position]! ^= 1;
      client.send(spoiled);
    }
    await client.bind(observed.peer.local);
    expect(host.counters).toMatchObject({ stunRejected: 3, udpPaths: 1 });
  });

  it('silences an address for the rest of the second, but not the sockets that are known', async () => {
    const clock = new ManualClock();
    const host = await start({ limits: { maxStunFailuresPerSecond: 5 } }, clock);
    const observed = await ObservedPeer.create(host);
    const [known, stranger] = [await udpClient(host), await udpClient(host)];
    await known.bind(observed.peer.local);
    for (let index = 0; index < 5; index++) {
      known.send(known.request(observed.peer.local, { password: 'a wrong password of 24 chars' }).packet);
    }
    await known.bind(observed.peer.local);
    stranger.send(stranger.request(observed.peer.local).packet);
    await known.bind(observed.peer.local);
    expect(host.counters).toMatchObject({ stunRejected: 6, udpPaths: 1 });
    clock.advance(1000);
    await stranger.bind(observed.peer.local);
    expect(host.counters.udpPaths).toBe(2);
  });
});

describe('STUN that is authenticated', () => {
  it('is told of an attribute that it ought not to have sent, and changes nothing', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    const answer = await client.bind(observed.peer.local, {
      nominate: true,
      extra: [{ type: 0x7f01, value: Buffer.from([1]) }],
    });
    expect(answer.type).toBe(STUN_TYPE.error);
    expect(findAttribute(answer, STUN_ATTRIBUTE.errorCode)!.value.subarray(2, 4)).toEqual(Buffer.from([4, 20]));
    expect(findAttribute(answer, STUN_ATTRIBUTE.unknownAttributes)!.value).toEqual(Buffer.from([0x7f, 1]));
    expect(host.counters.udpPaths).toBe(0);
  });

  it('may claim the controlled role or carry optional attributes that nobody knows', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    const extra = [
      { type: STUN_ATTRIBUTE.iceControlled, value: Buffer.alloc(8) },
      { type: 0xc057, value: Buffer.alloc(4) },
    ];
    expect((await client.bind(observed.peer.local, { extra })).type).toBe(STUN_TYPE.success);
  });
});

describe('DTLS towards a peer', () => {
  async function refused(host: PeerHost, observed: ObservedPeer, patch: Patch): Promise<string> {
    const client = await udpClient(host);
    await client.bind(observed.peer.local, { nominate: true });
    void client.handshake({ patch });
    const reason = await observed.ended;
    expect(observed.connectedCount).toBe(0);
    return reason;
  }
  type Patch = NonNullable<NonNullable<Parameters<PeerClient['handshake']>[0]>['patch']>;

  it('refuses a certificate that the offer does not name', async () => {
    const host = await start();
    const { fingerprint } = await createDtlsCertificate();
    const observed = await ObservedPeer.create(host, { fingerprints: [fingerprint] });
    expect(await refused(host, observed, () => {})).toBe('dtls_fingerprint');
    expect(host.counters).toMatchObject({ peers: 0, udpPaths: 0 });
  });

  it('refuses a CertificateVerify that another key has signed', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const reason = await refused(host, observed, (client) => {
      client.cipher.signatureData = (data, hash) => sign(hash, data, privateKey);
    });
    expect(reason).toBe('dtls_error');
  });

  it('refuses a CertificateVerify over another handshake', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const reason = await refused(host, observed, (client) => {
      const genuine = client.cipher.signatureData.bind(client.cipher);
      client.cipher.signatureData = (data, hash) => genuine(Buffer.concat([data, Buffer.from([0])]), hash);
    });
    expect(reason).toBe('dtls_error');
  });

  it('refuses a wrong Finished', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const reason = await refused(host, observed, (client) => {
      const genuine = client.cipher.verifyData.bind(client.cipher);
      client.cipher.verifyData = (data) => {
        const verifyData = genuine(data);
        verifyData[11]! ^= 1;
        return verifyData;
      };
    });
    expect(reason).toBe('dtls_error');
  });

  it('refuses a client that shows no certificate', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host);
    const reason = await refused(host, observed, (client) => {
      Object.defineProperty(client.dtls, 'requestedCertificateTypes', { get: () => [], set: () => {} });
    });
    expect(reason).toBe('dtls_error');
  });

  it('refuses a client without the extended master secret or without a common SRTP profile', async () => {
    const host = await start();
    for (const extension of [23, 14]) {
      const observed = await ObservedPeer.create(host);
      const reason = await refused(host, observed, (client) => {
        client.extensions = client.extensions.filter(({ type }) => type !== extension);
      });
      expect(reason).toBe('dtls_error');
    }
  });

  it.each(['sha-384', 'sha-512'])('takes a certificate that the offer names by %s', async (algorithm) => {
    const host = await start();
    const { certPem } = await PeerClient.certificate;
    const value = digestDer(new X509Certificate(certPem).raw, algorithm.replace('-', ''));
    const observed = await ObservedPeer.create(host, { fingerprints: [{ algorithm, value: value.toLowerCase() }] });
    const client = await udpClient(host);
    await client.bind(observed.peer.local, { nominate: true });
    await client.handshake();
    expect((await observed.connected).profile).toBe('AEAD_AES_128_GCM');
  });

  it('sends its flight again on its own timer when it got lost', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const observed = await ObservedPeer.create(host);
    const client = await udpClient(host);
    await client.bind(observed.peer.local, { nominate: true });
    const flightLost = Promise.withResolvers<void>();
    const [receive, send] = [client.receive.bind(client), client.send.bind(client)];
    let dtlsDatagrams = 0;
    client.receive = (packet) => {
      if (packet[0]! >= 20 && packet[0]! <= 63) dtlsDatagrams++;
      // The second datagram is the flight with the certificate; until the next one the client says nothing more.
      if (dtlsDatagrams === 2) {
        client.send = () => {};
        flightLost.resolve();
      } else {
        client.send = send;
        receive(packet);
      }
    };
    const connected = client.handshake();
    await flightLost.promise;
    expect(dtlsDatagrams).toBe(2);
    clock.advance(499);
    clock.advance(1);
    await connected;
    await observed.connected;
  });

  it('sends its Finished again for a genuine repetition, and not for a forged one', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const { observed, client } = await connectedPeer(host);
    // What a slow handshake has made either end repeat comes before the answer.
    await client.bind(observed.peer.local);
    clock.advance(1000);
    const finished = Buffer.from(`1400000c000500000000000c${'00'.repeat(12)}`, 'hex');
    const header = { contentType: 22, version: 0xfefd, sequenceNumber: 60 };
    const before = client.dtlsDatagrams.length;
    client.send(encodeDtlsRecord({ ...header, epoch: 0, fragment: finished }));
    client.send(encodeDtlsRecord({ ...header, epoch: 1, fragment: Buffer.alloc(48) }));
    await client.bind(observed.peer.local);
    expect(client.dtlsDatagrams.length).toBe(before);
    client.send(protectedRecord(client, 22, finished, 61));
    client.send(protectedRecord(client, 22, finished, 62));
    await client.bind(observed.peer.local);
    expect(client.dtlsDatagrams.slice(before)).toEqual([client.dtlsDatagrams[before - 1]]);
  });

  it('ends with the close_notify of the browser and tells the browser of its own', async () => {
    const host = await start();
    const { observed, client } = await connectedPeer(host);
    // A forged one in the clear, from the right address, is nobody's.
    client.send(Buffer.from('15fefd000000000000000900020100', 'hex'));
    await client.bind(observed.peer.local);
    expect(observed.endings).toEqual([]);
    client.send(closeNotify(client));
    expect(await observed.ended).toBe('remote_closed');
    expect(host.counters).toMatchObject({ peers: 0, udpPaths: 0 });

    const { observed: next, client: other } = await connectedPeer(host);
    const told = other.dtls!.onClose.asPromise();
    next.peer.close();
    next.peer.close();
    await told;
    expect(next.endings).toEqual(['closed']);
  });

  it('ignores renegotiation and stays connected', async () => {
    const host = await start();
    const { observed, client } = await connectedPeer(host);
    // What a slow handshake has made either end repeat comes before the answer.
    await client.bind(observed.peer.local);
    const datagrams = client.dtlsDatagrams.length;
    const hello = Buffer.from('16fefd000000000000000a000c010000000006000000000000', 'hex');
    client.send(hello);
    client.send(protectedRecord(client, 22, hello.subarray(13), 50));
    const arrived = observed.nextPacket();
    client.send(rtp('still here'));
    await arrived;
    await client.bind(observed.peer.local);
    expect(client.dtlsDatagrams.length).toBe(datagrams);
    expect(observed.endings).toEqual([]);
  });
});

describe('a peer that falls silent', () => {
  it('ends with ice_timeout when no path was nominated', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const observed = await ObservedPeer.create(host);
    await (await udpClient(host)).bind(observed.peer.local);
    clock.advance(9999);
    expect(observed.endings).toEqual([]);
    clock.advance(1);
    expect(observed.endings).toEqual(['ice_timeout']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends with dtls_error when DTLS is not finished in time', async () => {
    const clock = new ManualClock();
    const host = await start({ connectTimeoutMs: 3000 }, clock);
    const observed = await ObservedPeer.create(host);
    await (await udpClient(host)).bind(observed.peer.local, { nominate: true });
    clock.advance(3000);
    expect(observed.endings).toEqual(['dtls_error']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends with ice_keep_alive after the last packet or STUN request, not before', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const { observed, client } = await connectedPeer(host);
    clock.advance(20_000);
    const arrived = observed.nextPacket();
    client.send(rtp('alive'));
    await arrived;
    clock.advance(20_000);
    await client.bind(observed.peer.local);
    clock.advance(29_999);
    expect(observed.endings).toEqual([]);
    clock.advance(1);
    expect(observed.endings).toEqual(['ice_keep_alive']);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('ICE-TCP', () => {
  it.each([1, 3, Infinity])('connects and passes packets when the stream is cut every %d bytes', async (splitBytes) => {
    const host = await start();
    const observed = await ObservedPeer.create(host, {}, { transport: 'TCP' });
    const [candidate] = observed.peer.local.candidates;
    expect(candidate).toMatchObject({ protocol: 'tcp', port: host.ports.tcpPort });
    const client = await tcpClient(host, splitBytes);
    await connect(client, observed);
    const arrived = observed.nextPacket();
    client.send(rtp('over TCP'));
    expect(await arrived).toEqual(rtp('over TCP'));
    const reused = rtp('back');
    observed.peer.send(reused);
    reused.fill(0x81);
    expect(await client.nextMedia()).toEqual(rtp('back'));
    observed.peer.close();
    await client.closed;
  });

  it('closes a connection that does not authenticate in time, and one that sends too long a frame', async () => {
    const clock = new ManualClock();
    const host = await start({ connectTimeoutMs: 60_000 }, clock);
    const observed = await ObservedPeer.create(host, {}, { transport: 'TCP' });
    const [idle, genuine, rude] = [await tcpClient(host), await tcpClient(host), await tcpClient(host)];
    await genuine.bind(observed.peer.local);
    rude.send(Buffer.alloc(5000));
    await rude.closed;
    clock.advance(9999);
    await genuine.bind(observed.peer.local);
    expect(host.counters.tcpConnections).toBe(2);
    clock.advance(1);
    await idle.closed;
    await genuine.bind(observed.peer.local);
    expect(host.counters.tcpConnections).toBe(1);
  });

  it('refuses connections above the limit', async () => {
    const host = await start({ limits: { maxTcpConnections: 1 } });
    await tcpClient(host);
    const second = await tcpClient(host);
    await second.closed;
    expect(host.counters.tcpConnections).toBe(1);
  });

  it('refuses an address that holds too many connections without authenticating them', async () => {
    const host = await start({ limits: { maxUnauthenticatedTcpPerAddress: 2 } });
    const observed = await ObservedPeer.create(host, {}, { transport: 'TCP' });
    const [genuine] = [await tcpClient(host), await tcpClient(host)];
    await (
      await tcpClient(host)
    ).closed;
    await genuine.bind(observed.peer.local);
    const late = await tcpClient(host);
    await late.bind(observed.peer.local);
    expect(host.counters.tcpConnections).toBe(3);
  });

  it('does not wait for a peer that reads nothing once the peer is closed', async () => {
    const clock = new ManualClock();
    const host = await start({ connectTimeoutMs: 60_000 }, clock);
    const observed = await ObservedPeer.create(host, {}, { transport: 'TCP' });
    const client = await tcpClient(host);
    await connect(client, observed);
    client.stopReading();
    for (let count = 0; count < 20_000; count++) observed.peer.send(Buffer.alloc(1200, 0x80));
    observed.peer.close();
    expect(host.counters).toMatchObject({ peers: 0, tcpConnections: 1 });
    clock.advance(1000);
    await expect.poll(() => host.counters.tcpConnections).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets a peer whose connection broke come back over UDP', async () => {
    const host = await start();
    const observed = await ObservedPeer.create(host, {}, { transport: 'TCP' });
    const tcp = await tcpClient(host);
    await connect(tcp, observed);
    tcp.close();
    await tcp.closed;
    const udp = await udpClient(host);
    await udp.bind(observed.peer.local, { nominate: true });
    observed.peer.send(rtp('again'));
    expect(await udp.nextMedia()).toEqual(rtp('again'));
  });
});

describe('a host', () => {
  it('logs only some of the errors that packets set off', async () => {
    const error = vi.fn<Logger['error']>();
    const host = await start({ logger: { ...silentLogger, error } });
    let packetCount = 0;
    const onPacket = () => {
      packetCount++;
      throw new Error('broken consumer');
    };
    const observed = await ObservedPeer.create(host, {}, { onPacket });
    const client = await udpClient(host);
    await connect(client, observed);
    for (let count = 0; count < 50; count++) client.send(rtp(`${count}`));
    await expect.poll(() => packetCount).toBe(50);
    expect(error.mock.calls.length).toBeGreaterThan(0);
    expect(error.mock.calls.length).toBeLessThanOrEqual(10);
  });

  it('survives a thousand datagrams of garbage of every kind', async () => {
    const host = await start();
    const { observed, client } = await connectedPeer(host);
    const stranger = await udpClient(host);
    const fresh = await ObservedPeer.create(host);
    await stranger.bind(fresh.peer.local, { nominate: true });
    for (let index = 0; index < 1000; index++) {
      const garbage = randomBytes(1 + (index % 200));
      garbage[0] = [0, 1, 20, 21, 22, 23, 63, 64, 255][index % 9]!;
      // Handshake records that are well framed reach further in.
      if (garbage[0] === 22 && garbage.length > 25) {
        garbage.writeUInt16BE(0xfefd, 1);
        garbage.writeUInt16BE(0, 3);
        garbage.writeUInt16BE(garbage.length - 13, 11);
      }
      (index % 2 === 0 ? client : stranger).send(garbage);
      if (index % 100 === 99) await client.bind(observed.peer.local);
    }
    const arrived = observed.nextPacket();
    client.send(rtp('unharmed'));
    await arrived;
    expect(observed.endings).toEqual([]);
  });

  it('keeps nothing of two hundred peers that came and went', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const client = await udpClient(host);
    const ufrags = new Set<string>();
    for (let index = 0; index < 200; index++) {
      const observed = await ObservedPeer.create(host);
      ufrags.add(observed.peer.local.iceUfrag);
      expect(observed.peer.local.icePwd).toMatch(/^[A-Za-z0-9+/]{24,}$/);
      await client.bind(observed.peer.local, { nominate: true });
      if (index % 2 === 0) client.send(clientHello);
      observed.peer.close();
      expect(observed.endings).toEqual(['closed']);
    }
    expect(ufrags.size).toBe(200);
    expect(host.counters).toMatchObject({ peers: 0, udpPaths: 0, tcpConnections: 0 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('refuses offers that it cannot be sure of', async () => {
    const host = await start();
    const value = 'AA:BB';
    await expect(ObservedPeer.create(host, { setup: 'passive' })).rejects.toMatchObject({ code: 'BAD_SDP' });
    await expect(ObservedPeer.create(host, { fingerprints: [{ algorithm: 'sha-1', value }] })).rejects.toMatchObject({
      code: 'BAD_SDP',
    });
    expect(host.counters.peers).toBe(0);
  });

  it('takes the first free port of its range, the same for UDP and TCP, and says when there is none', async () => {
    const port = await freePort();
    const range = { portFrom: port, portTo: port };
    const first = await start(range);
    await expect(start(range)).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
    await first.close();
    const second = await start(range);
    for (const { ports } of [first, second]) expect(ports).toEqual({ udpPort: port, tcpPort: port });
  });

  it('closes its peers and its ports, once', async () => {
    const clock = new ManualClock();
    const host = await start({}, clock);
    const observed = await ObservedPeer.create(host);
    const tcp = await tcpClient(host);
    await tcp.bind(observed.peer.local, { nominate: true });
    await Promise.all([host.close(), host.close()]);
    await tcp.closed;
    expect(observed.endings).toEqual(['closed']);
    expect(clock.pendingTimers).toBe(0);
    await expect(ObservedPeer.create(host)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

/** A well-framed ClientHello without a body. */
const clientHello = Buffer.from(`16fefd000000000000000000190100000d000000000000000d${'00'.repeat(13)}`, 'hex');

function closeNotify(client: PeerClient): Buffer {
  return protectedRecord(client, 21, Buffer.from([1, 0]), 40);
}

function protectedRecord(client: PeerClient, contentType: number, plain: Buffer, sequenceNumber: number): Buffer {
  const header = { version: 0xfefd, epoch: 1, sequenceNumber };
  const fragment = client.dtls!.cipher.cipher.encrypt(1, plain, { ...header, type: contentType });
  return encodeDtlsRecord({ ...header, contentType, fragment });
}
