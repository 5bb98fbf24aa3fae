import { describe, expect, it } from 'vitest';
import { SILENT_AAC_STEREO } from '../../../src/protocol/aac/silence.ts';
import { decodeAmf0 } from '../../../src/protocol/amf0/decode.ts';
import { AmfEcmaArray } from '../../../src/protocol/amf0/values.ts';
import { joinAnnexB } from '../../../src/protocol/h264/nal.ts';
import type { SeenMessage } from './fake-viewer.ts';
import { AAC, FRAME_MS, picture, PlayersRig, type Watcher } from './media-source.ts';

const labels = (messages: readonly SeenMessage[]): string[] => messages.map(({ label }) => label);
const pictures = ({ viewer }: Watcher): string[] => labels(viewer.ofKinds('K', 'v'));
const sounds = ({ viewer }: Watcher): string[] => labels(viewer.ofKinds('a'));
/** The labels of pictures from one time up to another. */
function picturesBetween(fromMs: number, toMs: number): string[] {
  const times: string[] = [];
  for (let ms = fromMs; ms < toMs; ms += FRAME_MS) times.push(String(ms));
  return times;
}

describe('an RTMP player', () => {
  it('has no stream to play where none of that name is live', () => {
    const rig = new PlayersRig();
    rig.unpublish();
    expect(() => rig.watch()).toThrow('no such stream');
    expect(rig.players.totals.viewers).toBe(0);
  });

  it('gets nothing before it is started', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch({ isStarted: false });
    await rig.play(200);
    expect(watcher.viewer.writes).toEqual([]);
    watcher.playback.start();
    expect(watcher.viewer.shape()).toMatch(/^meta0 avc0 aac0 K0 a0 /);
  });

  it('begins with metadata at time 0, both configurations, and the pictures since the last keyframe', async () => {
    const rig = new PlayersRig();
    rig.watch();
    await rig.play(1_500);
    const late = rig.watch();
    expect(late.viewer.shape()).toMatch(/^meta0 avc1000 aac1000 K1000 a/);
    expect(late.viewer.writes).toHaveLength(1);
    expect(late.starts).toBe(1);
    expect(late.formats).toEqual(['640x360']);
    const metadata = decodeAmf0(late.viewer.seen[0]!.payload)[1];
    expect(metadata).toBeInstanceOf(AmfEcmaArray);
    expect((metadata as AmfEcmaArray).properties).toMatchObject({
      videocodecid: 7,
      audiocodecid: 10,
      width: 640,
      height: 360,
      audiosamplerate: 48_000,
      stereo: true,
    });
  });

  it('that joins at any moment misses no message and gets none twice', async () => {
    const rig = new PlayersRig();
    const first = rig.watch();
    await rig.play(1_000);
    const joined: Watcher[] = [];
    for (let n = 0; n < 60; n++) {
      joined.push(rig.watch());
      await rig.play(20);
    }
    await rig.play(500);
    for (const watcher of joined) {
      expect(pictures(first).join(' ').endsWith(pictures(watcher).join(' '))).toBe(true);
      expect(sounds(first).join(' ').endsWith(sounds(watcher).join(' '))).toBe(true);
    }
    const begins = new Set(joined.map((watcher) => watcher.viewer.seen.find(({ kind }) => kind === 'K')!.label));
    expect([...begins]).toEqual(['0', '1000', '2000']);
    expect(pictures(first)).toEqual(picturesBetween(0, Number(pictures(first).at(-1)) + FRAME_MS));
  });

  it('shares every buffer with the others, one write for 40 ms each', async () => {
    const rig = new PlayersRig();
    const [one, other] = [rig.watch(), rig.watch()];
    await rig.play(400);
    const before = one.viewer.writes.length;
    await rig.play(2_000);
    const live = one.viewer.writes.slice(before);
    // Keyframes cut two batches short.
    expect(live.length).toBeGreaterThan(30);
    expect(live.length).toBeLessThanOrEqual(2_000 / 40 + 2);
    for (const [n, write] of live.entries()) {
      expect(write).toHaveLength(1);
      expect(other.viewer.writes[before + n]![0]).toBe(write[0]);
    }
  });

  it('gets a keyframe only at the beginning of a batch', async () => {
    const rig = new PlayersRig();
    const { viewer } = rig.watch();
    await rig.play(3_000);
    let at = 3;
    let keyframes = 0;
    for (const [n, write] of viewer.writes.entries()) {
      const startsWithKeyframe = write.at(-1)![7] === 9 && viewer.seen[at]!.kind === 'K';
      let messages = 0;
      for (let bytes = 0; bytes < write.at(-1)!.length; messages++) {
        bytes += 12 + viewer.seen[at + messages]!.payload.length;
      }
      const kinds = viewer.seen.slice(at + 1, at + messages).map(({ kind }) => kind);
      expect(kinds, `write ${n}`).not.toContain('K');
      keyframes += startsWithKeyframe ? 1 : 0;
      at += messages;
    }
    expect(keyframes).toBe(3);
  });

  it('gets composition times of streams with B-frames', async () => {
    const rig = new PlayersRig();
    const { viewer } = rig.watch();
    rig.stream.writeUnit(picture(100, { isKeyframe: true, compositionMs: 80 }));
    rig.stream.writeUnit(picture(140, { compositionMs: 160 }));
    rig.stream.writeUnit(picture(180));
    await rig.pass(0);
    await rig.pass(40);
    expect(viewer.ofKinds('K', 'v').map(({ timestampMs, compositionMs }) => [timestampMs, compositionMs])).toEqual([
      [0, 80],
      [40, 160],
      [80, 0],
    ]);
  });

  it('gets a new configuration before the keyframe that needs it, and hears of the new size', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(1_000);
    rig.picture = { height: 720 };
    await rig.play(1_000);
    const headers = watcher.viewer.ofKinds('avc', 'K').map(({ kind, timestampMs }) => kind + timestampMs);
    expect(headers).toEqual(['avc0', 'K0', 'avc1000', 'K1000']);
    expect(watcher.formats).toEqual(['640x360', '1280x720']);
    // In-band too: some players look nowhere else.
    const keyframe = watcher.viewer.ofKinds('K')[1]!.payload;
    expect(keyframe[9]! & 31).toBe(7);
  });

  it('ends when its stream does, after the last pictures, and plays a new one of that name', async () => {
    const rig = new PlayersRig();
    const first = rig.watch();
    await rig.play(980);
    rig.unpublish();
    expect(pictures(first)).toEqual(picturesBetween(0, 980));
    expect(first.ends).toEqual(['source_ended']);
    rig.publish();
    rig.mediaMs = 5_000;
    const second = rig.watch();
    await rig.play(200);
    expect(second.viewer.shape()).toMatch(/^meta0 avc0 aac0 K0/);
    expect(first.ends).toEqual(['source_ended']);
    expect(rig.players.totals.viewers).toBe(1);
  });

  it('is told that its stream failed where a transcoder has given up while the publisher goes on', async () => {
    const opus = { codec: 'opus', sampleRateHz: 48_000, channels: 2 } as const;
    const rig = new PlayersRig({ tracks: { video: { codec: 'h264', width: 0, height: 0 }, audio: opus } });
    rig.hasSound = false;
    const watcher = rig.watch();
    await rig.play(1_000);
    rig.failTranscoder();
    expect(watcher.ends).toEqual(['source_failed']);
  });

  it('does not hear of the end after it was closed', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(200);
    watcher.playback.close();
    watcher.playback.close();
    const writes = watcher.viewer.writes.length;
    await rig.play(200);
    rig.unpublish();
    expect(watcher.ends).toEqual([]);
    expect(watcher.viewer.writes).toHaveLength(writes);
    expect(rig.players.totals.viewers).toBe(0);
  });

  it('leaves its stream read for ten seconds, and no timer after that', async () => {
    const rig = new PlayersRig();
    const timers = rig.clock.pendingTimers;
    const watcher = rig.watch();
    await rig.play(200);
    watcher.playback.close();
    await rig.pass(9_900);
    expect(rig.wanted).toEqual([true]);
    await rig.pass(200);
    await rig.pass(2_100);
    expect(rig.wanted).toEqual([true, false]);
    expect(rig.clock.pendingTimers).toBe(timers);
  });

  it('does without pictures that cannot be understood, up to the next keyframe', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(1_000);
    const data = joinAnnexB([Buffer.from([0x67, 0x42]), Buffer.from([0x68, 0xce]), Buffer.from([0x65, 0x11])]);
    rig.stream.writeUnit({ ...picture(1_000, { isKeyframe: true }), data });
    rig.mediaMs = 1_040;
    await rig.play(1_200);
    expect(pictures(watcher)).toEqual([...picturesBetween(0, 1_000), ...picturesBetween(2_000, 2_240)]);
    expect(watcher.ends).toEqual([]);
  });

  it('is given its turn among thousands without holding up the rest of the program', async () => {
    const rig = new PlayersRig();
    const watchers = Array.from({ length: 1_200 }, () => rig.watch());
    rig.stream.writeUnit(picture(0, { isKeyframe: true }));
    await rig.pass(0);
    rig.clock.advance(40);
    const givenAtOnce = watchers.filter(({ viewer }) => viewer.writes.length > 0).length;
    expect(givenAtOnce).toBe(500);
    const between = rig.watch();
    rig.stream.writeUnit(picture(40));
    rig.clock.advance(150);
    // Both batches are still on their way to the others.
    const late = rig.watch();
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => void setImmediate(resolve));
    for (const watcher of [...watchers, between, late]) expect(pictures(watcher)).toEqual(['0', '40']);
  });
});

describe('the sound of an RTMP player', () => {
  it('can be silence, on the clock of the stream and whatever its codec', async () => {
    const rig = new PlayersRig({
      tracks: { video: { codec: 'h264', width: 0, height: 0 }, audio: { ...AAC, codec: 'opus' } },
    });
    const { viewer } = rig.watch({ suppressSound: true });
    await rig.play(2_000);
    const silent = viewer.ofKinds('a');
    expect(silent.length).toBeGreaterThan(88);
    for (const [n, { timestampMs, payload }] of silent.entries()) {
      expect(timestampMs).toBe(Math.floor((n * 1024) / 48));
      expect(payload.subarray(2)).toEqual(SILENT_AAC_STEREO);
    }
    expect(viewer.ofKinds('aac')[0]!.payload.toString('hex')).toBe('af001190');
  });

  it("is the stream's own for others at the same time", async () => {
    const rig = new PlayersRig();
    const silent = rig.watch({ suppressSound: true });
    const loud = rig.watch();
    await rig.play(500);
    expect(new Set(sounds(loud)).size).toBe(sounds(loud).length);
    expect(new Set(sounds(silent)).size).toBe(1);
  });

  it('waits with its configuration for the first keyframe where video goes first', async () => {
    const rig = new PlayersRig({ sendVideoFirst: true });
    rig.hasPictures = false;
    const watcher = rig.watch();
    await rig.play(3_000);
    expect(watcher.viewer.writes).toEqual([]);
    rig.hasPictures = true;
    await rig.play(200);
    expect(watcher.viewer.shape()).toMatch(/^meta0 avc\d+ K\d+ (v\d+ )?aac\d+ a/);
    const late = rig.watch();
    expect(late.viewer.shape()).toMatch(/^meta0 avc\d+ K\d+ (v\d+ )?aac\d+ a/);
  });

  it('may come first where video need not', async () => {
    const rig = new PlayersRig();
    rig.hasPictures = false;
    const { viewer } = rig.watch();
    await rig.play(3_000);
    expect(viewer.shape()).toMatch(/^meta0 aac\d+ a/);
  });

  it('that waits for pictures that never come ends the player after ten seconds', async () => {
    const rig = new PlayersRig({ sendVideoFirst: true });
    rig.hasPictures = false;
    const watcher = rig.watch();
    await rig.play(9_000);
    expect(watcher.ends).toEqual([]);
    await rig.play(2_000);
    expect(watcher.ends).toEqual(['no_video']);
  });
});

describe('pausing and muting', () => {
  it('goes on with the cached pictures when nothing of them has been seen, else with the next keyframe', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(500);
    watcher.playback.pause();
    await rig.play(100);
    watcher.playback.resume();
    await rig.play(600);
    expect(pictures(watcher)).toEqual([...picturesBetween(0, 480), ...picturesBetween(1_000, 1_200)]);
    watcher.playback.pause();
    await rig.play(1_300);
    const before = watcher.viewer.seen.length;
    watcher.playback.resume();
    expect(watcher.viewer.shape(before)).toMatch(/^K2000 /);
  });

  it('leaves out what is muted, and gives pictures again from a keyframe', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(400);
    watcher.playback.mute({ video: true });
    const [seenPictures, seenSounds] = [pictures(watcher).length, sounds(watcher).length];
    await rig.play(400);
    expect(pictures(watcher)).toHaveLength(seenPictures);
    expect(sounds(watcher).length).toBeGreaterThan(seenSounds);
    watcher.playback.mute({ audio: true, video: false });
    const heard = sounds(watcher).length;
    await rig.play(600);
    expect(watcher.viewer.ofKinds('K', 'v')[seenPictures]).toMatchObject({ kind: 'K', label: '1000' });
    expect(sounds(watcher)).toHaveLength(heard);
    watcher.playback.mute({ audio: false });
    await rig.play(200);
    expect(sounds(watcher).length).toBeGreaterThan(heard);
  });
});

describe('a slow RTMP player', () => {
  /** About 2.5 Mbit/s. */
  const PICTURE = { bytes: 12_500 };
  const STREAM_BYTES_PER_SECOND = 25 * PICTURE.bytes;

  it('loses whole groups of pictures and no sound, stays within five seconds, and costs the others nothing', async () => {
    const rig = new PlayersRig();
    rig.picture = PICTURE;
    const [slow, fast] = [rig.watch(), rig.watch()];
    await rig.play(1_000);
    slow.viewer.bytesPerSecond = 0.7 * STREAM_BYTES_PER_SECOND;
    let longestLagMs = 0;
    for (let n = 0; n < 45; n++) {
      await rig.play(1_000);
      const lagMs = (slow.viewer.backlogBytes / slow.viewer.bytesPerSecond) * 1000;
      longestLagMs = Math.max(longestLagMs, lagMs);
    }
    await rig.play(40);
    expect(longestLagMs).toBeLessThan(5_000);
    expect(longestLagMs).toBeGreaterThan(1_000);
    expect(pictures(fast)).toEqual(picturesBetween(0, 46_000 + 40).slice(0, pictures(fast).length));
    expect(pictures(fast).length).toBeGreaterThanOrEqual(46 * 25);
    expect(sounds(slow)).toEqual(sounds(fast));
    const shown = slow.viewer.ofKinds('K', 'v');
    const resumptions = shown.filter((message, n) => n > 0 && +message.label - +shown[n - 1]!.label !== FRAME_MS);
    expect(resumptions.length).toBeGreaterThan(3);
    expect(resumptions.map(({ kind }) => kind)).toEqual(resumptions.map(() => 'K'));
    expect(rig.players.totals.droppedVideoMessages).toBeGreaterThan(100);
    expect(slow.ends).toEqual([]);
  });

  it('loses its sound too when half of the limit more is waiting', async () => {
    const rig = new PlayersRig();
    rig.picture = PICTURE;
    const slow = rig.watch();
    await rig.play(1_000);
    slow.viewer.bytesPerSecond = 1;
    slow.viewer.takenBytes -= 1_200_000;
    const heard = sounds(slow).length;
    await rig.play(500);
    expect(slow.viewer.backlogBytes).toBeGreaterThanOrEqual(1_200_000);
    expect(slow.viewer.backlogBytes).toBeLessThan(1_250_000);
    expect(sounds(slow).length - heard).toBeLessThanOrEqual(3);
  });

  it('is ended above the hard limit, and later with large buffers', async () => {
    for (const [largeBuffers, ends] of [
      [false, ['too_slow']],
      [true, []],
    ] as const) {
      const rig = new PlayersRig({ largeBuffers });
      rig.picture = PICTURE;
      const slow = rig.watch();
      await rig.play(1_000);
      slow.viewer.bytesPerSecond = 1;
      slow.viewer.takenBytes -= 6_000_000;
      await rig.play(100);
      expect(slow.ends).toEqual(ends);
      expect(rig.players.totals.endedTooSlow).toBe(ends.length);
    }
  });

  it('is ended when it has taken nothing for ten seconds, but not while it takes a little', async () => {
    const rig = new PlayersRig();
    rig.picture = PICTURE;
    const [stalled, moving] = [rig.watch(), rig.watch()];
    await rig.play(1_000);
    stalled.viewer.bytesPerSecond = 0;
    moving.viewer.bytesPerSecond = 5_000;
    await rig.play(9_000);
    expect(stalled.ends).toEqual([]);
    await rig.play(3_000);
    expect(stalled.ends).toEqual(['too_slow']);
    await rig.play(10_000);
    expect(moving.ends).toEqual([]);
  });

  it('is not ended for standing still while it is paused and has taken everything', async () => {
    const rig = new PlayersRig();
    const watcher = rig.watch();
    await rig.play(1_000);
    watcher.playback.pause();
    await rig.play(15_000);
    expect(watcher.ends).toEqual([]);
  });

  it('gets keyframes that are larger than the limit whole', async () => {
    const rig = new PlayersRig();
    const { viewer, ends } = rig.watch();
    viewer.bytesPerSecond = 4_000_000;
    for (let n = 0; n < 5; n++) {
      rig.stream.writeUnit(picture(rig.mediaMs, { isKeyframe: true, bytes: 2_000_000 }));
      await rig.pass(40);
      rig.mediaMs += 40;
      await rig.play(960);
    }
    const keyframes = viewer.ofKinds('K');
    expect(keyframes).toHaveLength(5);
    for (const { payload } of keyframes) expect(payload.length).toBeGreaterThan(2_000_000);
    expect(viewer.ofKinds('K', 'v')).toHaveLength(5 * 25);
    expect(ends).toEqual([]);
  });
});
