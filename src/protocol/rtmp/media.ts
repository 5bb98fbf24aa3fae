/** Our chunk size for what we send: a frame is mostly one chunk (reference/rtmp.md §2.3). */
export const OUT_CHUNK_SIZE = 65_536;
/** What `createStream` answers. A connection carries one stream, published or played, so all share the number. */
export const MEDIA_STREAM_ID = 1;
