import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { FlvTagReader } from '../../src/protocol/flv/tag-reader.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../src/protocol/rtmp/raw-message.ts';

const run = promisify(execFile);
const MAX_BYTES = 256 << 20;
const TYPE_IDS = { audio: MESSAGE_TYPE.audio, video: MESSAGE_TYPE.video, script: MESSAGE_TYPE.dataAmf0 } as const;

/** What ffmpeg, given these arguments up to the output, would send an RTMP server: the same tags as its messages. */
export async function recordRtmpMessages(args: readonly string[]): Promise<RawMessage[]> {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-nostdin', ...args, '-f', 'flv', 'pipe:1'], {
    encoding: 'buffer',
    maxBuffer: MAX_BYTES,
  });
  const tags = new FlvTagReader({ maxTagBytes: 16 << 20 }).push(stdout);
  return tags.map(({ type, timestampMs, data }) => ({
    typeId: TYPE_IDS[type],
    timestampMs,
    streamId: 1,
    payload: data,
  }));
}
