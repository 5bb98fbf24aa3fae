import { describe, it, expect } from 'vitest';
import { AesCmKeystream } from '../../../src/webrtc/srtp/aes-cm-keystream.ts';
import { AesGcmTransform } from '../../../src/webrtc/srtp/aes-gcm-transform.ts';
import { deriveSessionKeys } from '../../../src/webrtc/srtp/key-derivation.ts';
import { createSrtpReceiver } from '../../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../../src/webrtc/srtp/sender.ts';
import { createTransform } from '../../../src/webrtc/srtp/transform.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

const CM_MASTER = { key: hex('e1f97a0d3e018be0d64fa32c06de4139'), salt: hex('0ec675ad498afeebb6960b3aabe6') };
const GCM_MASTER = { key: hex('000102030405060708090a0b0c0d0e0f'), salt: hex('a0a1a2a3a4a5a6a7a8a9aaab') };

describe('RFC 3711 appendix B', () => {
  it('gives the key stream of B.2', () => {
    const keystream = new AesCmKeystream(hex('2b7e151628aed2a6abf7158809cf4f3c'), hex('f0f1f2f3f4f5f6f7f8f9fafbfcfd'));
    const words = new Uint32Array(12);
    keystream.apply(words, 0, 48, 0, 0);
    expect(Buffer.from(words.buffer)).toEqual(
      hex('e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab 41e95b3bb0a2e8dd477901e4fca894c0'),
    );
  });

  it('derives the session keys of B.3', () => {
    const keys = deriveSessionKeys('AES_CM_128_HMAC_SHA1_80', CM_MASTER, 'rtp');
    expect(keys.key).toEqual(hex('c61e7a93744f39ee10734afe3ff7a087'));
    expect(keys.salt).toEqual(hex('30cbbc08863d8c85d49db34a9ae1'));
    expect(keys.auth).toEqual(hex('cebe321f6ff7716b6fd4ab49af256a156d38baa4'));
  });
});

describe('RFC 7714 with session keys', () => {
  const keys = { key: GCM_MASTER.key, auth: Buffer.alloc(0), salt: hex('517569642070726f2071756f') };
  const transform = new AesGcmTransform(keys, keys);

  it('protects and opens the RTP packet of §16.1', () => {
    const plain = hex(
      `8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e697320646976697361
       20696e207061727465732074726573`,
    );
    const sealed = hex(
      `8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
       899d7f27beb16a9152cf765ee4390cce`,
    );
    expect(transform.sealRtp(plain, 12, 0xf17b)).toEqual(sealed);
    expect(transform.openRtp(sealed, 12, 0xf17b)).toEqual(plain);
  });

  it('protects and opens the RTCP packet of §17.1', () => {
    const plain = hex(
      `81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61
       deadbeefdeadbeefdeadbeefdeadbeefdeadbeef`,
    );
    const sealed = hex(
      `81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b
       c84aa45896cf4d2fc5abf87245d9eade 800005d4`,
    );
    expect(transform.sealRtcp(plain, 0x5d4)).toEqual(sealed);
    expect(transform.openRtcp(sealed, 0x5d4)).toEqual(plain);
  });
});

describe('the packets that libsrtp tests itself with', () => {
  const rtp = hex('800f1234decafbadcafebabe abababababababababababababababab');
  const rtcp = hex('81c8000bcafebabe abababababababababababababababab');

  it('has the same AES_CM_128_HMAC_SHA1_80 packets', () => {
    const sealedRtp = hex('800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb');
    const sealedRtcp = hex('81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798');
    expect(createSrtpSender('AES_CM_128_HMAC_SHA1_80', CM_MASTER).protectRtp(rtp, 0x1234)).toEqual(sealedRtp);
    expect(createTransform('AES_CM_128_HMAC_SHA1_80', CM_MASTER).sealRtcp(rtcp, 1)).toEqual(sealedRtcp);
    const receiver = createSrtpReceiver('AES_CM_128_HMAC_SHA1_80', CM_MASTER);
    expect(Buffer.from(receiver.unprotectRtp(sealedRtp)!)).toEqual(rtp);
    expect(receiver.unprotectRtcp(sealedRtcp)).toEqual(rtcp);
  });

  it('has the same AEAD_AES_128_GCM packet', () => {
    const sealed = hex('800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392');
    expect(createSrtpSender('AEAD_AES_128_GCM', GCM_MASTER).protectRtp(rtp, 0x1234)).toEqual(sealed);
    expect(createSrtpReceiver('AEAD_AES_128_GCM', GCM_MASTER).unprotectRtp(sealed)).toEqual(rtp);
  });
});

it('refuses a master key or salt of a wrong length', () => {
  expect(() => createSrtpSender('AEAD_AES_128_GCM', CM_MASTER)).toThrow(
    expect.objectContaining({ code: 'SRTP_MASTER_LENGTH' }),
  );
  expect(() => createSrtpReceiver('AES_CM_128_HMAC_SHA1_80', { key: Buffer.alloc(15), salt: CM_MASTER.salt })).toThrow(
    expect.objectContaining({ code: 'SRTP_MASTER_LENGTH' }),
  );
});
