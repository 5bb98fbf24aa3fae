import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyFfmpegEnd } from '../../src/supervisor/ffmpeg-exit.ts';
import { FfmpegProgressParser } from '../../src/supervisor/ffmpeg-progress.ts';
import { LineTail } from '../../src/supervisor/line-tail.ts';
import { splitAt } from '../support/split-bytes.ts';

const BLOCK = [
  'frame=120',
  'fps=29.97',
  'bitrate= 512.5kbits/s',
  'total_size=262144',
  'out_time_us=4000000',
  'speed=1.01x',
  'progress=continue',
  '',
].join('\n');

describe('the progress of ffmpeg', () => {
  it('is read from its block, N/A being undefined', () => {
    const parser = new FfmpegProgressParser();
    const text = `${BLOCK}total_size=N/A\nbitrate=N/A\nspeed=N/A\nout_time_us=N/A\nprogress=end\n`;
    expect(parser.push(Buffer.from(text))).toEqual([
      { outTimeUs: 4e6, totalSizeBytes: 262_144, fps: 29.97, speed: 1.01, bitrateBps: 512_500, isEnd: false },
      {
        outTimeUs: undefined,
        totalSizeBytes: undefined,
        fps: undefined,
        speed: undefined,
        bitrateBps: undefined,
        isEnd: true,
      },
    ]);
  });

  it('is the same however its bytes are split', () => {
    const whole = Buffer.from(BLOCK.repeat(3));
    const expected = new FfmpegProgressParser().push(whole);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length)), (cuts) => {
        const parser = new FfmpegProgressParser();
        expect(splitAt(whole, cuts).flatMap((part) => parser.push(part))).toEqual(expected);
      }),
    );
  });

  it('never throws for any bytes, and forgets lines that are too long', () => {
    const parser = new FfmpegProgressParser();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => void parser.push(Buffer.from(bytes))));
    parser.push(Buffer.from(`\nprogress=x\n${'total_size=1'.repeat(100)}\n`));
    expect(parser.push(Buffer.from('progress=continue\n'))[0]!.totalSizeBytes).toBeUndefined();
  });
});

describe('the tail of stderr', () => {
  it('keeps head and tail however its bytes are split', () => {
    const text = Buffer.from(
      Array.from({ length: 12 }, (_, index) => `line ${index} ${'y'.repeat(index * 3)}\n`).join(''),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const seen: string[] = [];
        const tail = new LineTail({ headLines: 2, tailLines: 3, maxLineChars: 12, onLine: (line) => seen.push(line) });
        for (const part of splitAt(text, cuts)) tail.push(part);
        expect(seen.length).toBe(12);
        expect(tail.lines()).toEqual([
          'line 0 ',
          'line 1 yyy',
          '… 7 lines omitted …',
          'line 9 yyyyy',
          'line 10 yyyy',
          'line 11 yyyy',
        ]);
      }),
    );
  });
});

describe('the end of an ffmpeg', () => {
  const classify = (lines: readonly string[], exitCode = 1) => classifyFfmpegEnd({ exitCode }, lines, false).exitClass;

  it.each([
    ['Failed to resolve hostname x: Name or service not known', 'dest_dns'],
    ['[tcp @ 0x1] Connection to tcp://127.0.0.1:1 failed: Connection refused', 'dest_refused'],
    ['Connection to tcp://x failed: No route to host', 'dest_unreachable'],
    ['Connection to tcp://x failed: Connection timed out', 'dest_timeout'],
    ['Peer certificate failed verification', 'tls_error'],
    ['Incorrect username/password', 'dest_auth'],
    ['Server error: Already publishing', 'dest_busy'],
    ['Server error: kicked by admin', 'dest_rejected'],
    ['av_interleaved_write_frame(): Broken pipe', 'dest_reset'],
    ['pipe:3: Invalid data found when processing input', 'media_unsupported'],
    ['rtmp://127.0.0.1/x: Input/output error', 'dest_rejected'],
    ['something else', 'crash'],
  ] as const)('with the words "%s" is %s', (line, exitClass) => {
    expect(classify(['[info] started', line])).toBe(exitClass);
  });

  it('is decided by who asked, by the signal, and by a failed start before any words', () => {
    const lines = ['Connection refused'];
    expect(classifyFfmpegEnd({ signal: 'SIGKILL' }, lines, true).exitClass).toBe('asked_stop');
    expect(classifyFfmpegEnd({ signal: 'SIGKILL' }, lines, false).exitClass).toBe('killed');
    expect(classifyFfmpegEnd({ signal: 'SIGSEGV' }, lines, false).exitClass).toBe('crash');
    expect(classifyFfmpegEnd({ exitCode: 127, spawnError: 'x' }, lines, false).exitClass).toBe('spawn_error');
    expect(classify([], 0)).toBe('crash');
  });

  it('does not repeat an address', () => {
    const { detail } = classifyFfmpegEnd({ exitCode: 1 }, ['rtmp://u:p@host/app/key: Input/output error'], false);
    expect(detail).toBe('[address] Input/output error');
  });
});
