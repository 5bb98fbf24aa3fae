import { describe, expect, it } from 'vitest';
import { OutgoingTrack } from '../../../src/webrtc/session/outgoing-track.ts';

function track(firstSequence = 100): OutgoingTrack {
  return new OutgoingTrack({ ssrc: 1, payloadType: 96, firstSequence });
}

describe('an outgoing track', () => {
  it('begins with its own first sequence number, wherever the stream is', () => {
    const out = track(100);
    out.start(70_000);
    expect(out.indexFor(70_000)).toBe(100);
    expect(out.indexFor(70_005)).toBe(105);
  });

  it('has room for the three packets before its first one, which may come late, but never below sequence number 0', () => {
    const out = track(100);
    out.start(70_000);
    expect(out.indexFor(69_997)).toBe(97);
    expect(out.indexFor(69_996)).toBe(-1);
    const atZero = track(1);
    atZero.start(70_000);
    expect(atZero.indexFor(69_999)).toBe(0);
    expect(atZero.indexFor(69_998)).toBe(-1);
  });

  it('finds the stream index of a sequence number that is asked for again, across the 16-bit wrap', () => {
    const out = track(0x7fff);
    out.start(1000);
    for (let index = 1000; index < 1000 + 40_000; index++) out.sent(index, 0, 10, false);
    const wrapped = out.indexFor(1000 + 39_990) & 0xffff;
    expect(wrapped).toBeLessThan(0x7fff);
    expect(out.streamIndexOf(wrapped)).toBe(40_990);
    expect(out.streamIndexOf(out.indexFor(39_000) & 0xffff)).toBe(39_000);
  });

  it('leaves no hole in its sequence numbers over a pause and repairs nothing from before it', () => {
    const out = track(10);
    out.start(500);
    for (let index = 500; index < 510; index++) out.sent(index, 0, 10, false);
    out.pause();
    expect(out.live).toBe(false);
    out.start(900);
    expect(out.indexFor(900)).toBe(20);
    out.sent(900, 0, 10, false);
    expect(out.streamIndexOf(20)).toBe(900);
    expect(out.streamIndexOf(19)).toBe(-1);
    expect(out.indexFor(899)).toBe(-1);
  });

  it('quickens a replayed GOP so that it ends at the present time, in order', () => {
    const out = track();
    out.start(0);
    const boundary = 0x100; // The timestamps wrap inside of the GOP.
    out.setReplay(boundary, 30);
    const times = Array.from({ length: 10 }, (_, index) =>
      out.timestampFor(index, (boundary - (9 - index) * 3000) >>> 0),
    );
    expect(times[9]).toBe(boundary);
    for (let index = 1; index < 10; index++) expect((times[index]! - times[index - 1]!) | 0).toBe(100);
    expect(out.timestampFor(10, boundary + 4242)).toBe(boundary + 4242);
    // Half a cycle later such a timestamp lies before the boundary again.
    expect(out.timestampFor(1000, boundary + 2 ** 31 + 1)).toBe(boundary + 2 ** 31 + 1);
    expect(out.timestampFor(8, (boundary - 3000) >>> 0)).toBe(times[8]);
  });

  it('goes back in the stream for a replay, and on to a later packet, without a hole in its sequence numbers', () => {
    const out = track(10);
    out.start(500);
    for (let index = 500; index < 600; index++) out.sent(index, index, 10, false);
    out.pause();
    out.start(550);
    expect(out.indexFor(550)).toBe(110);
    for (let index = 550; index < 560; index++) out.sent(index, index, 10, false);
    expect(out.newestTimestamp).toBe(559);
    out.skipTo(590);
    expect(out.indexFor(590)).toBe(120);
    out.sent(590, 590, 10, false);
    expect([120, 119, 105].map((sequence) => out.streamIndexOf(sequence))).toEqual([590, -1, -1]);
  });
});
