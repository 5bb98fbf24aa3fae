import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { MediaStreamTrack, RTCPeerConnection, useH264, useOPUS } from 'werift';
import { WebSocket } from 'ws';
import type { Closable } from '../../src/domain/life-cycle.ts';

/** A server that answers nobody: werift asks a public one where none is given, and this client needs none. */
const NO_STUN_SERVER = 'stun:127.0.0.1:9';
const STUN_GATHER_TIMEOUT_S = 0.01;

export interface WebrtcClient extends Closable {
  /** Take RTP packets with any payload type and SSRC. */
  sendVideo(packet: Buffer): void;
  sendAudio(packet: Buffer): void;
  /** Resolves with the sentence of the server when the stream is over or the connection lost. */
  readonly ended: Promise<string>;
}

export interface PublishOptions {
  /** `ws://host:port` of the signalling port. */
  readonly url: string;
  readonly streamName: string;
  /** Called once media can be sent; the server says PUBLISHING only after it has got some. */
  readonly onConnected: (client: WebrtcClient) => void;
}

/**
 * Publishes like a page with the official SDK does: the raw WebSocket API (seed 003), ICE, DTLS and SRTP. Resolves when the
 * server says PUBLISHING; rejects with its sentence when it says anything else.
 */
export async function publishOverWebrtc({ url, streamName, onConnected }: PublishOptions): Promise<WebrtcClient> {
  const socket = new WebSocket(url);
  const ended = Promise.withResolvers<string>();
  const published = Promise.withResolvers<void>();
  const over = (reason: string): void => {
    ended.resolve(reason);
    published.reject(new Error(reason));
  };
  published.promise.catch(() => {});
  socket.on('error', (error) => over(`the WebSocket failed: ${error.message}`));
  socket.on('close', () => over('the WebSocket was closed'));

  const video = new MediaStreamTrack({ kind: 'video' });
  const audio = new MediaStreamTrack({ kind: 'audio' });
  const peer = new RTCPeerConnection({
    codecs: { video: [useH264()], audio: [useOPUS()] },
    bundlePolicy: 'max-bundle',
    iceServers: [{ urls: NO_STUN_SERVER }],
    iceStunGatherTimeout: STUN_GATHER_TIMEOUT_S,
    iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
  });
  const client: WebrtcClient = {
    sendVideo: (packet) => video.writeRtp(packet),
    sendAudio: (packet) => audio.writeRtp(packet),
    ended: ended.promise,
    async close(reason) {
      over(reason);
      socket.close();
      await peer.close();
    },
  };

  const send = (message: string, argument: object): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ message, data: [argument] }));
  };
  const handle = async (message: string, data: unknown[]): Promise<void> => {
    if (message === 'ping') send('pong', {});
    if (message === 'getUserData') {
      const { sdp } = peer.localDescription!;
      send('publishStream', { ...STREAM_REQUEST, mediaSessionId: randomUUID(), name: streamName, sdp });
    }
    if (message === 'setRemoteSDP') await peer.setRemoteDescription({ type: 'answer', sdp: String(data[1]) });
    if (message === 'notifyStreamStatusEvent') {
      const { status, info } = data[0] as { status: string; info?: string };
      if (status === 'PUBLISHING') published.resolve();
      else if (status !== 'PENDING') over(`the server says ${status}${info ? `: ${info}` : ''}`);
    }
  };
  socket.on('message', (frame) => {
    const { message, data } = JSON.parse(String(frame)) as { message: string; data: unknown[] };
    handle(message, data).catch((error: unknown) => over(`WebRTC failed: ${String(error)}`));
  });
  peer.connectionStateChange.subscribe((state) => {
    if (state === 'connected') onConnected(client);
    if (state === 'failed') over('WebRTC could not connect');
  });

  try {
    peer.addTransceiver(video, { direction: 'sendonly' });
    peer.addTransceiver(audio, { direction: 'sendonly' });
    await peer.setLocalDescription(await peer.createOffer());
    if (socket.readyState === WebSocket.CONNECTING) await Promise.race([once(socket, 'open'), published.promise]);
    send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: 'demo' });
    await published.promise;
    return client;
  } catch (error) {
    await client.close('not published');
    throw error;
  }
}

const STREAM_REQUEST = { published: true, hasVideo: true, hasAudio: true, status: 'PENDING', mediaProvider: 'WebRTC' };
