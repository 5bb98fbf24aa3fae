/** What stands in front of a message's payload (RTMP 1.0 §6.1.1). */
export interface MessageHeader {
  readonly typeId: number;
  /** Milliseconds, modulo 2^32. */
  readonly timestampMs: number;
  /** Message stream: 0 for the connection, 1… for what `createStream` returned. */
  readonly streamId: number;
}

/** One RTMP message as the chunk layer carries it. */
export interface RawMessage extends MessageHeader {
  /** From the reader it may share memory with the bytes pushed: copy before keeping it beyond the write that follows. */
  readonly payload: Buffer;
}

/** Message types (RTMP 1.0 §5.4, §6.2, §7.1). */
export const MESSAGE_TYPE = {
  setChunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowAckSize: 5,
  peerBandwidth: 6,
  audio: 8,
  video: 9,
  dataAmf3: 15,
  commandAmf3: 17,
  dataAmf0: 18,
  commandAmf0: 20,
  aggregate: 22,
} as const;
