import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { silentLogger } from '../../../src/domain/logger.ts';
import { writeRtpHeader } from '../../../src/protocol/rtp/packet.ts';
import { LocalMediaWorker } from '../../../src/webrtc/local-media-worker.ts';
import type { MediaEvent, PlayAnswer, PublishAnswer } from '../../../src/webrtc/media-worker.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryPeerHost, type MemoryPeer } from '../memory-peers.ts';

const vector = (name: string) =>
  readFileSync(new URL(`../../vectors/sdp/${name}.sdp`, import.meta.url), 'utf8').replace(/\r?\n/g, '\r\n');

export const PUBLISH_OFFER = vector('publish');
export const PLAY_OFFER = vector('play');

/** What `PUBLISH_OFFER` announces, and what of it is chosen. */
export const AUDIO = { ssrc: 1_485_294_769, payloadType: 111 };
export const VIDEO = { ssrc: 542_728_377, payloadType: 108, rtxSsrc: 4_286_459_530, rtxPayloadType: 109 };
export const TRANSPORT_CC_ID = 3;

/** The offer without the H.264 payload types, which leaves VP8. */
export function withoutH264(offer: string): string {
  const h264 = new Set([...offer.matchAll(/a=rtpmap:(\d+) H264/g)].map(([, pt]) => pt!));
  return offer.replace(/^(m=video \d+ \S+)(.*)$/m, (_line, start: string, formats: string) => {
    const kept = formats
      .trim()
      .split(/\s+/)
      .filter((pt) => !h264.has(pt));
    return `${start} ${kept.join(' ')}`;
  });
}

/** The offer of a browser that does no RTX. */
export function withoutRtx(offer: string): string {
  return offer.replace(/^a=rtpmap:\d+ rtx\/90000\r\n/gm, '');
}

/** The offer with a transport of its own for each section. */
export function withoutBundle(offer: string): string {
  return offer.replace(/^a=group:BUNDLE.*\r\n/m, '');
}

export interface RtpFields {
  readonly payloadType: number;
  readonly ssrc: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly marker?: boolean;
  readonly payload: Buffer;
  readonly paddingBytes?: number;
  readonly transportSequence?: number;
}

/** As a browser sends it: with a header extension and with padding where the test wants them. */
export function rtpPacket(fields: RtpFields): Buffer {
  const { marker = false, payload, paddingBytes = 0, transportSequence } = fields;
  const header = Buffer.alloc(12);
  writeRtpHeader(header, { ...fields, marker });
  const extension = Buffer.alloc(transportSequence === undefined ? 0 : 8);
  if (transportSequence !== undefined) {
    header[0]! |= 0x10;
    extension.writeUInt32BE(0xbede_0001, 0);
    extension[4] = (TRANSPORT_CC_ID << 4) | 1;
    extension.writeUInt16BE(transportSequence & 0xffff, 5);
  }
  const padding = Buffer.alloc(paddingBytes);
  if (paddingBytes > 0) {
    header[0]! |= 0x20;
    padding[paddingBytes - 1] = paddingBytes;
  }
  return Buffer.concat([header, extension, payload, padding]);
}

/** 640×360. */
export const SPS = Buffer.from('6742c01fda0280bfe5c044000003000400000300f03c60ca80', 'hex');
export const PPS = Buffer.from('68ce0fc8', 'hex');
const SLICE_HEADER = [0x88, 0x84];

/** STAP-A with SPS and PPS. */
export const PARAMETER_SETS = Buffer.concat([
  Buffer.from([0x78]),
  ...[SPS, PPS].flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 0xff]), nal]),
]);

export function slice(type: 1 | 5, bytes: number, fill = 0x55): Buffer {
  return Buffer.concat([Buffer.from([0x60 | type, ...SLICE_HEADER]), Buffer.alloc(bytes, fill)]);
}

/** FU-A fragments of an IDR slice. */
export function fragmentedIdr(fragments: number, bytes: number): Buffer[] {
  return Array.from({ length: fragments }, (_, i) => {
    const fuHeader = (i === 0 ? 0x80 : 0) | (i === fragments - 1 ? 0x40 : 0) | 5;
    const body = i === 0 ? [Buffer.from(SLICE_HEADER), Buffer.alloc(bytes - 2, i + 1)] : [Buffer.alloc(bytes, i + 1)];
    return Buffer.concat([Buffer.from([0x7c, fuHeader]), ...body]);
  });
}

export interface Rig {
  readonly clock: ManualClock;
  readonly host: MemoryPeerHost;
  readonly worker: LocalMediaWorker;
  readonly events: MediaEvent[];
  eventsOf<Type extends MediaEvent['type']>(type: Type): Extract<MediaEvent, { type: Type }>[];
  publish(sessionId?: string, offerSdp?: string): Promise<{ answer: PublishAnswer; peer: MemoryPeer }>;
  /** Answered, not connected. */
  offerPlay(
    sessionId: string,
    streamId?: string,
    offerSdp?: string,
  ): Promise<{ answer: PlayAnswer; peer: MemoryPeer; tracks: AnsweredTracks }>;
  play(sessionId: string, streamId?: string, offerSdp?: string): Promise<TestPlayer>;
  /** Lets the fan-out of this turn happen. */
  settle(): Promise<void>;
}

export interface TestPlayer extends AnsweredTracks {
  readonly peer: MemoryPeer;
  readonly answer: PlayAnswer;
}

export interface AnsweredTracks {
  readonly video: { readonly ssrc: number; readonly payloadType: number };
  readonly videoRtx: { readonly ssrc: number; readonly payloadType: number };
  readonly audio: { readonly ssrc: number; readonly payloadType: number };
}

/** A media worker on a manual clock whose browsers are in memory. */
export function createRig(options: { readonly firstSequence?: number } = {}): Rig {
  const clock = new ManualClock();
  const host = new MemoryPeerHost();
  const { firstSequence } = options;
  const worker = new LocalMediaWorker({
    host,
    clock,
    logger: silentLogger,
    // The only draw below 2^15 + 1 is that of a first sequence number.
    randomBelow: (bound) => (bound <= 0x8000 && firstSequence !== undefined ? firstSequence : randomInt(bound)),
  });
  const events: MediaEvent[] = [];
  worker.onEvent((event) => void events.push(event));
  const rig: Rig = {
    clock,
    host,
    worker,
    events,
    eventsOf: <Type extends MediaEvent['type']>(type: Type) =>
      events.filter((event) => event.type === type) as Extract<MediaEvent, { type: Type }>[],
    async publish(sessionId = 'P', offerSdp = PUBLISH_OFFER) {
      const answer = await worker.publish({ sessionId, offerSdp, transport: 'UDP', maxBitrateKbps: 0 });
      const peer = host.peer(sessionId);
      peer.connect();
      return { answer, peer };
    },
    async offerPlay(sessionId, streamId = 'P', offerSdp = PLAY_OFFER) {
      const answer = await worker.play({ sessionId, streamId, offerSdp, transport: 'UDP' });
      return { answer, peer: host.peer(sessionId), tracks: tracksOf(answer.answerSdp) };
    },
    async play(sessionId, streamId, offerSdp) {
      const { answer, peer, tracks } = await rig.offerPlay(sessionId, streamId, offerSdp);
      peer.connect();
      return { answer, peer, ...tracks };
    },
    settle: () => new Promise((resolve) => void setImmediate(resolve)),
  };
  return rig;
}

/** Payload types and SSRCs that an answer names; 0 for what it does not. */
function tracksOf(sdp: string): AnsweredTracks {
  const sections = sdp.split(/^(?=m=)/m);
  const section = (kind: string) => sections.find((one) => one.startsWith(`m=${kind}`)) ?? '';
  const number = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const video = section('video');
  const audio = section('audio');
  return {
    video: { ssrc: number(video, /a=ssrc:(\d+)/), payloadType: number(video, /^m=video \d+ \S+ (\d+)/) },
    videoRtx: { ssrc: number(video, /a=ssrc-group:FID \d+ (\d+)/), payloadType: number(video, /a=rtpmap:(\d+) rtx/) },
    audio: { ssrc: number(audio, /a=ssrc:(\d+)/), payloadType: number(audio, /^m=audio \d+ \S+ (\d+)/) },
  };
}

/** Sends H.264 and Opus as a browser does, from a given sequence number on, one packet at a time. */
export class TestSender {
  readonly sent: { readonly index: number; readonly packet: Buffer }[] = [];
  readonly #peer: MemoryPeer;
  readonly #ssrc: number;
  readonly #payloadType: number;
  readonly #indexes = new Map<Buffer, number>();
  index: number;

  constructor(peer: MemoryPeer, track: { ssrc: number; payloadType: number }, firstIndex = 1000) {
    this.#peer = peer;
    this.#ssrc = track.ssrc;
    this.#payloadType = track.payloadType;
    this.index = firstIndex;
  }

  /** Makes the next packet without sending it. */
  next(payload: Buffer, timestamp: number, fields: Partial<RtpFields> = {}): Buffer {
    const index = this.index++;
    const packet = rtpPacket({
      payloadType: this.#payloadType,
      ssrc: this.#ssrc,
      sequence: index,
      timestamp,
      payload,
      ...fields,
    });
    this.sent.push({ index, packet });
    this.#indexes.set(packet, index);
    return packet;
  }

  /** Sends what `next` made. */
  deliver(packet: Buffer): void {
    this.#peer.sendRtp(packet, this.#indexes.get(packet)!);
  }

  send(payload: Buffer, timestamp: number, fields: Partial<RtpFields> = {}): Buffer {
    const packet = this.next(payload, timestamp, fields);
    this.deliver(packet);
    return packet;
  }

  /** SPS and PPS, then an IDR in fragments; the last packet has the marker. */
  keyframe(timestamp: number, fragments = 2): Buffer[] {
    return [
      this.send(PARAMETER_SETS, timestamp),
      ...fragmentedIdr(fragments, 900).map((payload, i) =>
        this.send(payload, timestamp, { marker: i === fragments - 1 }),
      ),
    ];
  }

  delta(timestamp: number, fill = 0x33): Buffer {
    return this.send(slice(1, 500, fill), timestamp, { marker: true });
  }
}
