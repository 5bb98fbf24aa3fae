import { once } from 'node:events';
import { vi } from 'vitest';
import { WebSocket } from 'ws';
import { isRtcp } from '../../src/protocol/rtp/packet.ts';
import { parseRtcp } from '../../src/protocol/rtp/rtcp-parse.ts';
import type { RtcpPacket } from '../../src/protocol/rtp/rtcp-types.ts';
import type { Fingerprint } from '../../src/protocol/sdp/transport.ts';
import { createSrtpReceiver } from '../../src/webrtc/srtp/receiver.ts';
import { createSrtpSender } from '../../src/webrtc/srtp/sender.ts';
import type { SrtpProfile, SrtpReceiver, SrtpSender } from '../../src/webrtc/srtp/srtp.ts';
import { PeerClient } from '../webrtc/peer-client.ts';
import type { TestApp } from './test-app.ts';
import { untilClosed } from './until-closed.ts';

export const RAW_STREAM = { payloadType: 96, rtxPayloadType: 97, ssrc: 0x1111_1111, rtxSsrc: 0x2222_2222 } as const;

const DEADLINE_MS = 20_000;
const PROFILES: Readonly<Record<number, { profile: SrtpProfile; saltBytes: number }>> = {
  1: { profile: 'AES_CM_128_HMAC_SHA1_80', saltBytes: 14 },
  7: { profile: 'AEAD_AES_128_GCM', saltBytes: 12 },
};

export interface RawStreamOptions {
  readonly action: 'publishStream' | 'playStream';
  readonly name: string;
  readonly hasRtx?: boolean;
  /** Of the offer. Default is that of the client's certificate. */
  readonly fingerprint?: Fingerprint;
}

/** One VP8 stream of a client that is no browser: every message and packet is the test's. The test closes it. */
export class RawStream {
  /** Plain packets in the order of their arrival. */
  readonly rtp: Buffer[] = [];
  readonly rtcp: RtcpPacket[] = [];
  /** Statuses with their info, oldest first. */
  readonly statuses: { readonly status: string; readonly info: string }[] = [];
  readonly peer: PeerClient;
  readonly local: { readonly iceUfrag: string; readonly icePwd: string };
  readonly #socket: WebSocket;
  #sender: SrtpSender | undefined;
  #receiver: SrtpReceiver | undefined;

  /** Resolves with the server's answer. */
  static async open(app: TestApp, options: RawStreamOptions): Promise<RawStream> {
    const { action, name, hasRtx = true } = options;
    const fingerprint = options.fingerprint ?? (await PeerClient.certificate).fingerprint;
    const { iceUfrag, icePwd } = await PeerClient.remote();
    const direction = action === 'publishStream' ? 'sendonly' : 'recvonly';
    const sdp = offer({ direction, hasRtx, iceUfrag, icePwd, fingerprint });
    const socket = new WebSocket(app.wsUrl);
    const answered = Promise.withResolvers<string>();
    const statuses: { status: string; info: string }[] = [];
    const send = (message: string, argument: object): void =>
      socket.send(JSON.stringify({ message, data: [argument] }));
    socket.on('error', (error) => answered.reject(error));
    socket.on('message', (frame) => {
      const { message, data } = JSON.parse(String(frame)) as { message: string; data: unknown[] };
      if (message === 'getUserData') send(action, { mediaSessionId: `${name}-${action}`, name, sdp });
      if (message === 'setRemoteSDP') answered.resolve(String(data[1]));
      if (message !== 'notifyStreamStatusEvent') return;
      const { status, info = '' } = data[0] as { status: string; info?: string };
      statuses.push({ status, info });
      if (status === 'FAILED') answered.reject(new Error(info));
    });
    await once(socket, 'open');
    send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: 'test' });
    try {
      const answer = await answered.promise;
      const local = { iceUfrag: lineOf(answer, 'ice-ufrag'), icePwd: lineOf(answer, 'ice-pwd') };
      return new RawStream(socket, await PeerClient.udp(4, '127.0.0.1', app.ports['media']!), local, statuses);
    } catch (error) {
      socket.terminate();
      throw error;
    }
  }

  private constructor(
    socket: WebSocket,
    peer: PeerClient,
    local: RawStream['local'],
    statuses: { status: string; info: string }[],
  ) {
    this.#socket = socket;
    this.peer = peer;
    this.local = local;
    this.statuses = statuses;
  }

  /** ICE and DTLS. `patch` may spoil the DTLS client; then this does not resolve. */
  async connect(patch?: NonNullable<Parameters<PeerClient['handshake']>[0]>['patch']): Promise<void> {
    await this.peer.bind(this.local, { nominate: true });
    await this.peer.handshake(patch ? { patch } : {});
    const dtls = this.peer.dtls!;
    const { profile, saltBytes } = PROFILES[dtls.srtp.srtpProfile!]!;
    const keys = dtls.extractSessionKeys(16, saltBytes);
    this.#sender = createSrtpSender(profile, { key: keys.localKey, salt: keys.localSalt });
    this.#receiver = createSrtpReceiver(profile, { key: keys.remoteKey, salt: keys.remoteSalt });
    void this.#receive();
  }

  /** The packet as it goes over the wire. `index` is SRTP's 48-bit packet index. */
  protect(packet: Buffer, index: number): Buffer {
    return Buffer.from(this.#sender!.protectRtp(packet, index));
  }

  /** Likewise; SRTCP's index is the next one. */
  protectRtcp(compound: Buffer): Buffer {
    return Buffer.from(this.#sender!.protectRtcp(compound));
  }

  waitForStatus(status: string): Promise<{ readonly status: string; readonly info: string }> {
    return vi.waitFor(
      () => {
        const found = this.statuses.find((seen) => seen.status === status);
        if (!found) throw new Error(`no ${status}, but ${JSON.stringify(this.statuses)}`);
        return found;
      },
      { timeout: DEADLINE_MS, interval: 10 },
    );
  }

  async close(): Promise<void> {
    this.peer.close();
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = untilClosed(this.#socket);
    this.#socket.close();
    await closed;
  }

  async #receive(): Promise<void> {
    for (;;) {
      const packet = await this.peer.nextMedia();
      if (isRtcp(packet)) {
        const plain = this.#receiver!.unprotectRtcp(packet);
        if (plain) this.rtcp.push(...parseRtcp(Buffer.from(plain)));
      } else {
        const plain = this.#receiver!.unprotectRtp(packet);
        if (plain) this.rtp.push(Buffer.from(plain));
      }
    }
  }
}

interface OfferParts {
  readonly direction: 'sendonly' | 'recvonly';
  readonly hasRtx: boolean;
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: Fingerprint;
}

function offer({ direction, hasRtx, iceUfrag, icePwd, fingerprint }: OfferParts): string {
  const { payloadType, rtxPayloadType, ssrc, rtxSsrc } = RAW_STREAM;
  const rtx = [`a=rtpmap:${rtxPayloadType} rtx/90000`, `a=fmtp:${rtxPayloadType} apt=${payloadType}`];
  const sources = [...(hasRtx ? [`a=ssrc-group:FID ${ssrc} ${rtxSsrc}`] : []), `a=ssrc:${ssrc} cname:raw`];
  return [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    `m=video 9 UDP/TLS/RTP/SAVPF ${payloadType}${hasRtx ? ` ${rtxPayloadType}` : ''}`,
    'c=IN IP4 0.0.0.0',
    `a=ice-ufrag:${iceUfrag}`,
    `a=ice-pwd:${icePwd}`,
    `a=fingerprint:${fingerprint.algorithm} ${fingerprint.value}`,
    'a=setup:actpass',
    'a=mid:0',
    `a=${direction}`,
    'a=rtcp-mux',
    `a=rtpmap:${payloadType} VP8/90000`,
    ...['nack', 'nack pli', 'ccm fir'].map((feedback) => `a=rtcp-fb:${payloadType} ${feedback}`),
    ...(hasRtx ? rtx : []),
    ...(direction === 'sendonly' ? sources : []),
    ...(direction === 'sendonly' && hasRtx ? [`a=ssrc:${rtxSsrc} cname:raw`] : []),
    '',
  ].join('\r\n');
}

function lineOf(sdp: string, attribute: string): string {
  return new RegExp(`^a=${attribute}:(\\S+)`, 'm').exec(sdp)![1]!;
}
