import type { RtmpViewer } from '../../../src/outputs/rtmp-player/rtmp-playback.ts';
import { ChunkReader } from '../../../src/protocol/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../../src/protocol/rtmp/chunk-writer.ts';
import { decodeMessage } from '../../../src/protocol/rtmp/messages.ts';
import { OUT_CHUNK_SIZE } from '../../../src/protocol/rtmp/media.ts';

export interface SeenMessage {
  readonly kind: 'meta' | 'avc' | 'aac' | 'K' | 'v' | 'a';
  readonly timestampMs: number;
  readonly compositionMs: number;
  /** What the unit was made with (`media-source.ts`). */
  readonly label: string;
  readonly payload: Buffer;
}

const LABEL_START = 5 + 4 + 1;

/** A client's end without a socket: takes bytes at once or at a rate, and reads them as a client does. */
export class FakeViewer implements RtmpViewer {
  /** What came, in one entry a write. */
  readonly writes: Buffer[][] = [];
  readonly seen: SeenMessage[] = [];
  /** Infinity: takes all at once. */
  bytesPerSecond = Infinity;
  givenBytes = 0;
  takenBytes = 0;
  expectedBytesPerSecond = 0;
  readonly #reader = new ChunkReader();

  constructor() {
    this.#reader.push(new ChunkWriter().setChunkSize(OUT_CHUNK_SIZE));
  }

  get backlogBytes(): number {
    return this.givenBytes - this.takenBytes;
  }

  get unacknowledgedBytes(): number {
    return this.backlogBytes;
  }

  expectRate(bytesPerSecond: number): void {
    this.expectedBytesPerSecond = bytesPerSecond;
  }

  write(bytes: Buffer): void {
    this.writeAll([bytes]);
  }

  writeAll(buffers: readonly Buffer[]): void {
    this.writes.push([...buffers]);
    for (const bytes of buffers) {
      this.givenBytes += bytes.length;
      for (const { typeId, timestampMs, payload } of this.#reader.push(bytes)) this.#see(typeId, timestampMs, payload);
    }
    if (this.bytesPerSecond === Infinity) this.takenBytes = this.givenBytes;
  }

  passTime(ms: number): void {
    this.takenBytes = Math.min(this.givenBytes, this.takenBytes + Math.round((this.bytesPerSecond * ms) / 1000));
  }

  /** `K0 v40 a21`: kind and time of the messages; `K0+80` is shown 80 ms later. */
  shape(from = 0): string {
    return this.seen
      .slice(from)
      .map(({ kind, timestampMs, compositionMs }) => kind + timestampMs + (compositionMs ? `+${compositionMs}` : ''))
      .join(' ');
  }

  ofKinds(...kinds: SeenMessage['kind'][]): SeenMessage[] {
    return this.seen.filter(({ kind }) => kinds.includes(kind));
  }

  #see(typeId: number, timestampMs: number, payload: Buffer): void {
    const { kind, compositionMs, label } = describe(typeId, payload);
    this.seen.push({ kind, timestampMs, compositionMs, label, payload: Buffer.from(payload) });
  }
}

function describe(typeId: number, payload: Buffer): Pick<SeenMessage, 'kind' | 'compositionMs' | 'label'> {
  const message = decodeMessage({ typeId, timestampMs: 0, streamId: 1, payload });
  if (message.kind === 'data') return { kind: 'meta', compositionMs: 0, label: String(message.values[0]) };
  if (message.kind === 'audio') {
    const kind = payload[1] === 0 ? 'aac' : 'a';
    return { kind, compositionMs: 0, label: payload.subarray(2).toString('latin1') };
  }
  if (message.kind !== 'video') throw new Error(`a message of type ${typeId}`);
  if (payload[1] === 0) return { kind: 'avc', compositionMs: 0, label: payload.subarray(5).toString('hex') };
  const isKeyframe = payload[0]! >> 4 === 1;
  // Behind the parameter sets of a keyframe; every NAL unit has a four-byte length.
  let at = 5;
  while (at + 4 + payload.readUInt32BE(at) < payload.length) at += 4 + payload.readUInt32BE(at);
  const slice = payload.subarray(at + LABEL_START - 5).toString('latin1');
  return { kind: isKeyframe ? 'K' : 'v', compositionMs: payload.readIntBE(2, 3), label: slice.split('.')[0]! };
}
