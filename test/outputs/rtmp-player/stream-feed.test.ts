import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/domain/logger.ts';
import { UnitBroadcast } from '../../../src/hub/unit-broadcast.ts';
import { StreamFeed } from '../../../src/outputs/rtmp-player/stream-feed.ts';
import { StreamViewer } from '../../../src/outputs/rtmp-player/stream-viewer.ts';
import { USUAL_VIEWER_BOUNDS, type ViewerBounds } from '../../../src/outputs/rtmp-player/viewer-limits.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { FakeViewer, type SeenMessage } from './fake-viewer.ts';
import { AAC, FRAME_MS, picture, sound } from './media-source.ts';

/** So that a few pictures are many. */
const TIGHT_BOUNDS: ViewerBounds = { soft: { bytes: 8_000, seconds: 0 }, hard: { bytes: 200_000, seconds: 0 } };

/** A feed of units that are written by hand. */
class FeedRig {
  readonly clock = new ManualClock();
  keyframeRequests = 0;
  readonly source = new UnitBroadcast({
    tracks: { video: { codec: 'h264', width: 640, height: 360 }, audio: AAC },
    logger: silentLogger,
    requestKeyframe: () => void (this.keyframeRequests += 1),
  });
  readonly totals = { bytes: 0, droppedVideoMessages: 0, endedTooSlow: 0 };
  readonly #feed: StreamFeed;
  readonly #sendVideoFirst: boolean;

  constructor({ sendVideoFirst = false, isSilent = false, bounds = USUAL_VIEWER_BOUNDS } = {}) {
    this.#sendVideoFirst = sendVideoFirst;
    this.#feed = new StreamFeed({
      lease: { source: this.source, release: () => {} },
      isLive: () => false,
      isSilent,
      bounds,
      clock: this.clock,
      logger: silentLogger,
    });
  }

  watch(): { viewer: FakeViewer; playback: StreamViewer; ends: string[] } {
    const viewer = new FakeViewer();
    const ends: string[] = [];
    const playback = new StreamViewer({
      name: 'show',
      viewer,
      suppressSound: false,
      lease: { value: this.#feed, release: () => {} },
      sendVideoFirst: this.#sendVideoFirst,
      clock: this.clock,
      totals: this.totals,
      onStarted: () => {},
      onFormat: () => {},
      onClosed: () => {},
      onEnd: (reason) => void ends.push(reason),
    });
    playback.start();
    return { viewer, playback, ends };
  }
}

describe('a feed', () => {
  it('of pictures whose next keyframe is far keeps a player waiting that wants pictures first', () => {
    const rig = new FeedRig({ sendVideoFirst: true });
    const early = rig.watch();
    rig.source.write(picture(0, { isKeyframe: true }));
    for (let ms = 40; ms < 30_000; ms += 40) {
      rig.source.write(picture(ms));
      rig.clock.advance(40);
    }
    const late = rig.watch();
    for (let ms = 30_000; ms < 45_000; ms += 40) {
      rig.source.write(picture(ms, { isKeyframe: ms === 44_000 }));
      rig.clock.advance(40);
    }
    expect([early.ends, late.ends]).toEqual([[], []]);
    expect(late.viewer.ofKinds('K')).toHaveLength(1);
  });

  it.each([
    ['2^24 ms', 2 ** 24],
    ['2^31 ms', 2 ** 31],
    ['2^32 ms', 2 ** 32],
  ])('gives increasing times past %s', (_name, edgeMs) => {
    const rig = new FeedRig();
    const early = rig.watch();
    rig.source.write(picture(0, { isKeyframe: true }));
    rig.clock.advance(40);
    const fromMs = edgeMs - 100;
    for (let n = 0; n < 6; n++) {
      rig.source.write(picture(fromMs + n * 40, { isKeyframe: n === 0, bytes: n === 4 ? 70_000 : 100 }));
      rig.clock.advance(20);
    }
    rig.clock.advance(40);
    const late = rig.watch();
    const expected = Array.from({ length: 6 }, (_, n) => (fromMs + n * 40) % 2 ** 32);
    for (const { viewer } of [early, late]) {
      const frames = viewer.ofKinds('K', 'v').slice(-6);
      expect(frames.map(({ timestampMs }) => timestampMs)).toEqual(expected);
    }
    expect(late.viewer.ofKinds('avc')[0]!.timestampMs).toBe(expected[0]);
  });

  it('begins its times near 0, wherever the stream is', () => {
    const rig = new FeedRig();
    const { viewer } = rig.watch();
    rig.source.write(picture(123_456_780, { isKeyframe: true }));
    rig.source.write(picture(123_456_820));
    rig.clock.advance(40);
    expect(viewer.shape()).toBe('meta0 avc0 K0 v40');
  });

  it('gives crowds fewer and larger writes', () => {
    const writesOf = (viewers: number): number => {
      const rig = new FeedRig();
      const [first] = Array.from({ length: viewers }, () => rig.watch());
      rig.source.write(picture(0, { isKeyframe: true }));
      rig.clock.advance(0);
      const before = first!.viewer.writes.length;
      for (let ms = 40; ms <= 600; ms += 40) {
        rig.source.write(picture(ms));
        rig.clock.advance(40);
      }
      return first!.viewer.writes.length - before;
    };
    expect(writesOf(49)).toBe(15);
    expect(writesOf(50)).toBe(3);
  });

  it('goes on with the same configuration where a keyframe brings none', () => {
    const rig = new FeedRig();
    const { viewer } = rig.watch();
    rig.source.write(picture(0, { isKeyframe: true }));
    rig.source.write({ ...picture(40), isKeyframe: true });
    rig.clock.advance(40);
    expect(viewer.shape()).toBe('meta0 avc0 K0 K40');
  });

  it('asks for a keyframe once when a slow viewer can take one again', () => {
    const rig = new FeedRig();
    const { viewer } = rig.watch();
    let ms = 0;
    const play = (durationMs: number): void => {
      for (const endMs = ms + durationMs; ms < endMs; ms += FRAME_MS) {
        rig.source.write(picture(ms, { isKeyframe: ms === 0, bytes: 10_000 }));
        rig.clock.advance(FRAME_MS);
      }
    };
    play(1_000);
    viewer.bytesPerSecond = 0;
    play(5_000);
    const before = rig.keyframeRequests;
    play(400);
    expect(rig.keyframeRequests).toBe(before);
    viewer.takenBytes = viewer.givenBytes;
    play(400);
    expect(rig.keyframeRequests).toBe(before + 1);
  });

  it('lets silence go on while the picture stands still, and does not fill a jump of hours', () => {
    const rig = new FeedRig({ isSilent: true });
    const { viewer } = rig.watch();
    rig.source.write(picture(0, { isKeyframe: true }));
    for (let n = 0; n <= 50; n++) rig.source.write(sound(n));
    rig.source.write(picture(7_200_000));
    rig.clock.advance(40);
    const times = viewer.ofKinds('a').map(({ timestampMs }) => timestampMs);
    expect(times.slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, n) => Math.floor((n * 1024) / 48)));
    expect(times.slice(51)).toEqual([7_200_000]);
  });
});

/** What may happen to a stream and one of its viewers. */
type Step =
  | { readonly do: 'frame'; readonly isKeyframe: boolean; readonly bytes: number }
  | { readonly do: 'sound' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'size'; readonly height: number }
  | { readonly do: 'join' }
  | { readonly do: 'rate'; readonly who: number; readonly bytesPerSecond: number }
  | { readonly do: 'take'; readonly who: number }
  | { readonly do: 'pause' | 'resume' | 'close'; readonly who: number }
  | { readonly do: 'mute'; readonly who: number; readonly audio: boolean; readonly video: boolean };

const who = fc.nat(5);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        do: fc.constant('frame' as const),
        isKeyframe: fc.nat(6).map((n) => n === 0),
        // Few are larger than a chunk: one of those raises the limits.
        bytes: fc.oneof(
          { weight: 40, arbitrary: fc.integer({ min: 30, max: 3_000 }) },
          { weight: 1, arbitrary: fc.constant(70_000) },
        ),
      }),
    },
    { weight: 12, arbitrary: fc.record({ do: fc.constant('sound' as const) }) },
    { weight: 10, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 90 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('size' as const), height: fc.constantFrom(360, 720) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('rate' as const),
        who,
        bytesPerSecond: fc.constantFrom(0, 0, 5_000, 20_000, Infinity),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('take' as const), who }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('pause', 'resume', 'resume'), who }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), who }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('mute' as const), who, audio: fc.boolean(), video: fc.boolean() }),
    },
  ),
  { minLength: 100, maxLength: 400 },
);

interface History {
  /** Labels of all pictures in order, keyframes marked, and the configuration in force. */
  readonly pictures: { readonly label: string; readonly isKeyframe: boolean; readonly height: number }[];
}

function playOut(list: readonly Step[], rig: FeedRig): { seen: SeenMessage[][]; history: History } {
  const history: History = { pictures: [] };
  const viewers: ReturnType<FeedRig['watch']>[] = [];
  let [mediaMs, sounds, height] = [0, 0, 360];
  for (const step of list) {
    const viewer = 'who' in step ? viewers[step.who % Math.max(1, viewers.length)] : undefined;
    switch (step.do) {
      case 'frame': {
        const isKeyframe = step.isKeyframe || history.pictures.length === 0;
        // A picture of another size is a keyframe.
        const isNewSize = history.pictures.at(-1)?.height !== height;
        const unit = picture(mediaMs, { isKeyframe: isKeyframe || isNewSize, bytes: step.bytes, height });
        history.pictures.push({ label: String(mediaMs), isKeyframe: unit.isKeyframe, height });
        rig.source.write(unit);
        mediaMs += FRAME_MS;
        break;
      }
      case 'sound':
        rig.source.write(sound(sounds++));
        break;
      case 'wait':
        rig.clock.advance(step.ms);
        for (const { viewer: each } of viewers) if (each.bytesPerSecond < Infinity) each.passTime(step.ms);
        break;
      case 'size':
        height = step.height;
        break;
      case 'join':
        if (viewers.length < 6) viewers.push(rig.watch());
        break;
      case 'rate':
        if (viewer) viewer.viewer.bytesPerSecond = step.bytesPerSecond;
        break;
      case 'take':
        if (viewer) viewer.viewer.takenBytes = viewer.viewer.givenBytes;
        break;
      case 'mute':
        viewer?.playback.mute(step);
        break;
      default:
        viewer?.playback[step.do]();
    }
  }
  rig.source.end('over');
  return { seen: viewers.map(({ viewer }) => viewer.seen), history };
}

/** What a strict decoder would complain about; the messages themselves are whole, or the reader would have none. */
function faultsOf(seen: readonly SeenMessage[], { pictures }: History, isVideoFirst: boolean): string[] {
  const faults: string[] = [];
  const last = { audio: 0, video: 0 };
  let [at, configured] = [-1, ''];
  let hasSoundConfiguration = false;
  for (const { kind, timestampMs, label, payload } of seen) {
    if (kind === 'meta') continue;
    if (isVideoFirst && at < 0 && (kind === 'a' || kind === 'aac')) faults.push(`${label} comes before a picture`);
    const track = kind === 'a' || kind === 'aac' ? 'audio' : 'video';
    if (timestampMs < last[track]) faults.push(`${kind}${timestampMs} goes back`);
    last[track] = timestampMs;
    if (kind === 'aac') hasSoundConfiguration = true;
    if (kind === 'a' && !hasSoundConfiguration) faults.push(`${label} comes before its configuration`);
    if (kind === 'avc') configured = label;
    if (kind !== 'K' && kind !== 'v') continue;
    const index = pictures.findIndex((each) => each.label === label);
    if (index <= at) faults.push(`${label} comes twice or too late`);
    if (kind === 'v' && index !== at + 1) faults.push(`${label} follows what it does not refer to`);
    const level = configured.slice(6, 8);
    if (level !== (pictures[index]!.height === 360 ? '1f' : '28')) faults.push(`${label} is not what was announced`);
    if (kind === 'K' && !payload.includes(Buffer.from([0x68, 0xce, 0x3c, 0x80]))) faults.push(`${label} lacks its PPS`);
    at = index;
  }
  return faults;
}

describe('whatever happens to a stream and its viewers, each viewer gets what decodes', () => {
  it.each([
    ['with sound', {}],
    ['video first', { sendVideoFirst: true }],
    ['silent', { isSilent: true }],
  ])('%s', (_name, options) => {
    const isVideoFirst = 'sendVideoFirst' in options;
    let dropped = 0;
    let messages = 0;
    fc.assert(
      fc.property(steps, (list) => {
        const rig = new FeedRig({ ...options, bounds: TIGHT_BOUNDS });
        const { seen, history } = playOut(list, rig);
        const mutesVideo = list.some((step) => step.do === 'mute' && step.video);
        for (const each of seen) {
          expect(faultsOf(each, history, isVideoFirst && !mutesVideo)).toEqual([]);
          messages += each.length;
        }
        dropped += rig.totals.droppedVideoMessages;
      }),
      { numRuns: 150 },
    );
    expect(messages).toBeGreaterThan(1_000);
    expect(dropped).toBeGreaterThan(100);
  });
});
