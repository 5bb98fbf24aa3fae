import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { createLossyNetwork, whyNoNamespaces, type LossyNetwork } from '../support/netns.ts';
import { startNginxRtmp } from '../support/nginx-rtmp.ts';
import { oneOf } from '../support/one-of.ts';
import { packetsOf, record } from '../support/recording.ts';
import { SdkPage, type RtcStat, type SdkStream } from '../support/sdk-page.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const run = promisify(execFile);
const refusal = await whyNoNamespaces();

const WATCHED_MS = 20_000;
const WINDOW_MS = 2000;
const MAX_FREEZE_MS = 2000;
const MIN_SHOWN_PART = 0.8;
/** A busy machine freezes a picture of its own, so that the network may be judged in another stretch. */
const MAX_STRETCHES = 3;
const CAMERA_FPS = 20;
vi.setConfig({ testTimeout: 120_000 + (MAX_STRETCHES - 1) * WATCHED_MS });

interface Codec {
  readonly mimeType: string;
  readonly stripCodecs: string;
}
/** Larger than the SDK's own choice, so that keyframes take many packets. */
const VIDEO = { width: 640, height: 480, minBitrate: 800 };
const H264: Codec = { mimeType: 'video/H264', stripCodecs: 'VP8' };
const VP8: Codec = { mimeType: 'video/VP8', stripCodecs: 'H264' };

/** A stream from one page to another, both behind the lossy network. */
interface Route {
  readonly codec: Codec;
  readonly name: string;
  readonly publisher: SdkStream;
  readonly viewer: SdkStream;
  close(): Promise<void>;
}

describe.skipIf(refusal !== undefined)(`a lossy network${refusal === undefined ? '' : ` (${refusal})`}`, () => {
  let network: LossyNetwork;
  let app: TestApp;
  let browser: TestBrowser;
  let wsUrl: string;
  const built: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    network = await createLossyNetwork();
    built.push(() => network.close());
    app = await startTestApp({ ip: network.hostAddress });
    built.push(() => app.close('test ended'));
    wsUrl = `ws://${network.hostAddress}:${app.ports['ws.port']}`;
    const executablePath = await network.launcher('/usr/bin/chromium');
    browser = await startBrowser({ executablePath, pageHost: network.hostAddress });
    built.push(() => browser.close());
  });
  afterAll(async () => {
    for (const close of built.toReversed()) await close();
  });
  beforeEach(() => network.setLoss(0));

  async function open(codec: Codec): Promise<Route> {
    const name = `${codec.mimeType.slice(6)}-${performance.now()}`;
    const { stripCodecs } = codec;
    const from = await SdkPage.open(browser, wsUrl);
    const publisher = await from.publish({ name, stripCodecs, constraints: { audio: true, video: VIDEO } });
    const to = await SdkPage.open(browser, wsUrl);
    const viewer = await to.play({ name, stripCodecs });
    await viewer.untilFrames(1);
    return {
      codec,
      name,
      publisher,
      viewer,
      close: async () => void (await Promise.all([from.page.close(), to.page.close()])),
    };
  }

  /** Watches the viewer and asserts that its picture went on, with repairs on both ways; gives its codec. */
  async function expectPicture(route: Route): Promise<unknown> {
    const stretch = await oneOf(MAX_STRETCHES, () => watch(route), isSmooth);
    const mimeType = await mimeTypeOf(route.viewer);
    const outbound = await route.publisher.stat('outbound-rtp', 'video');
    const figures = {
      codec: mimeType,
      ...stretch,
      viewer: pick(await route.viewer.stat('inbound-rtp', 'video'), [
        'framesDecoded',
        'packetsReceived',
        'packetsLost',
        'nackCount',
        'pliCount',
        'keyFramesDecoded',
      ]),
      publisher: pick(outbound, ['packetsSent', 'retransmittedPacketsSent', 'nackCount', 'pliCount', 'targetBitrate']),
    };
    console.info(JSON.stringify(figures));

    expect(Math.min(...figures.framesPerWindow)).toBeGreaterThan(0);
    expect(figures.shown).toBeGreaterThan(MIN_SHOWN_PART * figures.captured);
    expect(figures.freezeMs).toBeLessThan(MAX_FREEZE_MS);
    expect(figures.publisher['retransmittedPacketsSent']).toBeGreaterThan(0);
    expect(figures.viewer['nackCount']).toBeGreaterThan(0);
    return mimeType;
  }

  /** The network did lose packets on both ways, so the rest says something. */
  async function expectLosses(): Promise<void> {
    const { toHost, toClients } = await network.lostPackets();
    console.info(JSON.stringify({ lostToServer: toHost, lostToClients: toClients }));
    expect(Math.min(toHost, toClients)).toBeGreaterThan(20);
  }

  async function watchUnderLoss(fraction: number, routes: readonly Route[]): Promise<unknown[]> {
    await network.setLoss(fraction);
    const mimeTypes = await Promise.all(routes.map(expectPicture));
    await expectLosses();
    await network.setLoss(0);
    // Nothing stays behind: without losses every picture comes.
    await Promise.all(
      routes.map(async ({ viewer }) => {
        const before = count(await viewer.stat('inbound-rtp', 'video'), 'framesDecoded');
        await viewer.untilFrames(before + CAMERA_FPS);
      }),
    );
    return mimeTypes;
  }

  it('goes on both ways with H.264 and VP8 at 5 % loss', async () => {
    const routes = await openAll([H264, VP8]);
    expect(await watchUnderLoss(0.05, routes)).toEqual([H264.mimeType, VP8.mimeType]);
  });

  it('goes on both ways at 2 % loss, and so does the push of it to an RTMP server', async () => {
    const nginx = await startNginxRtmp();
    onTestFinished(() => nginx.stop());
    const routes = await openAll([H264, VP8]);
    const url = nginx.url('live');
    const answer = await app.rest('/rest-api/push/startup', { streamName: routes[0]!.name, rtmpUrl: url });
    expect(answer).toMatchObject({ status: 200 });
    await vi.waitFor(() => expect(nginx.calls.some(({ call }) => call === 'publish')).toBe(true), { timeout: 15_000 });
    const path = join(app.directory, 'lossy.flv');
    const recording = record(`${url}/rtmp_${routes[0]!.name}`, WATCHED_MS / 1000, path);
    recording.catch(() => {});
    expect(await watchUnderLoss(0.02, routes)).toEqual([H264.mimeType, VP8.mimeType]);
    await recording;

    const packets = await packetsOf(path);
    for (const kind of ['video', 'audio'] as const) {
      const times = packets.filter((packet) => packet.kind === kind).map(({ dtsSeconds }) => dtsSeconds);
      const gaps = times.slice(1).map((time, index) => time - times[index]!);
      const figures = { kind, packets: times.length, longestGapMs: Math.round(1000 * Math.max(...gaps)) };
      console.info(JSON.stringify(figures));
      expect(times.at(-1)! - times[0]!).toBeGreaterThan(WATCHED_MS / 1000 - 3);
      expect(figures.longestGapMs).toBeLessThan(1000);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    }
    const videoPackets = packets.filter(({ kind }) => kind === 'video').length;
    expect(await decode(path)).toEqual({ frames: videoPackets, complaints: '' });
  });

  it('goes on both ways at 2 % loss and a round trip of 100 ms', async () => {
    await network.delayNewFlows(app.ports['media']!, 50);
    const routes = await openAll([H264, VP8]);
    const candidatePair = await routes[0]!.publisher.stat('candidate-pair');
    expect(count(candidatePair, 'currentRoundTripTime')).toBeGreaterThanOrEqual(0.1);
    expect(await watchUnderLoss(0.02, routes)).toEqual([H264.mimeType, VP8.mimeType]);
  });

  async function openAll(codecs: readonly Codec[]): Promise<Route[]> {
    const routes = await Promise.all(codecs.map(open));
    onTestFinished(async () => {
      for (const route of routes) await route.close();
    });
    return routes;
  }
});

/** What became of a stretch of a picture. */
interface Stretch {
  /** Pictures decoded in each window; windows overlap by half. */
  readonly framesPerWindow: readonly number[];
  readonly freezeMs: number;
  /** Pictures of the camera, which a busy machine makes fewer. */
  readonly captured: number;
  readonly sent: number;
  readonly shown: number;
}

/** Looks at both ends of a route twice in each window, for as long as it is watched. */
async function watch({ publisher, viewer }: Route): Promise<Stretch> {
  const samples: Record<'camera' | 'outbound' | 'inbound', RtcStat>[] = [];
  const beginMs = performance.now();
  for (let at = 0; at <= WATCHED_MS; at += WINDOW_MS / 2) {
    await delay(Math.max(0, beginMs + at - performance.now()));
    const [camera, outbound, inbound] = await Promise.all([
      publisher.stat('media-source', 'video'),
      publisher.stat('outbound-rtp', 'video'),
      viewer.stat('inbound-rtp', 'video'),
    ]);
    samples.push({ camera, outbound, inbound });
  }
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const grown = (end: keyof typeof first, field: string) => count(last[end], field) - count(first[end], field);
  const decoded = samples.map(({ inbound }) => count(inbound, 'framesDecoded'));
  return {
    framesPerWindow: decoded.slice(2).map((frames, index) => frames - decoded[index]!),
    freezeMs: Math.round(1000 * grown('inbound', 'totalFreezesDuration')),
    captured: grown('camera', 'frames'),
    sent: grown('outbound', 'framesSent'),
    shown: grown('inbound', 'framesDecoded'),
  };
}

function isSmooth({ framesPerWindow, freezeMs, captured, shown }: Stretch): boolean {
  return Math.min(...framesPerWindow) > 0 && freezeMs < MAX_FREEZE_MS && shown > MIN_SHOWN_PART * captured;
}

function count(stat: RtcStat, field: string): number {
  return Number(stat[field] ?? 0);
}

function pick(stat: RtcStat, fields: readonly string[]): Record<string, number> {
  return Object.fromEntries(fields.map((field) => [field, count(stat, field)]));
}

async function mimeTypeOf(stream: SdkStream): Promise<unknown> {
  const stats = await stream.stats();
  const video = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return stats.find(({ id }) => id === video?.['codecId'])?.['mimeType'];
}

/** How many pictures come out of a decoder, and what it says of damaged ones. */
async function decode(path: string): Promise<{ readonly frames: number; readonly complaints: string }> {
  const output = [
    '-select_streams',
    'v:0',
    '-count_frames',
    '-show_entries',
    'stream=nb_read_frames',
    '-of',
    'csv=p=0',
  ];
  const { stdout, stderr } = await run('ffprobe', ['-v', 'error', ...output, path], { timeout: 60_000 });
  return { frames: Number(stdout), complaints: stderr };
}
