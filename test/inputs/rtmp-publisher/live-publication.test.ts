import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Hub } from '../../../src/hub/hub.ts';
import { type Logger, silentLogger } from '../../../src/domain/logger.ts';
import { amfObject } from '../../../src/protocol/amf0/values.ts';
import { AAC_FRAME_SAMPLES } from '../../../src/protocol/aac/silence.ts';
import { MESSAGE_TYPE } from '../../../src/protocol/rtmp/raw-message.ts';
import type { TimedAudio } from '../../../src/transcode/audio-input.ts';
import type { FlvAudioOptions, FlvAudioTranscoders } from '../../../src/transcode/flv-audio.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { protocolErrorCode } from '../../support/protocol-error-code.ts';
import {
  aacConfig,
  aacFrame,
  avcConfig,
  avcFrame,
  deltaFrame,
  I_SLICE,
  IDR,
  keyframe,
  metadata,
  P_SLICE,
  PPS,
  SPS_1080,
  SPS_360,
} from './flv-bodies.ts';
import { PublicationRig, type RigOptions } from './publication-rig.ts';

const BOTH = metadata({ videocodecid: 7, audiocodecid: 10 });
const START_CODE = Buffer.from([0, 0, 0, 1]);

function annexB(...nals: readonly Buffer[]): Buffer {
  return Buffer.concat(nals.flatMap((nal) => [START_CODE, nal]));
}

function open(options: Partial<RigOptions<ManualClock>> = {}): PublicationRig<ManualClock> {
  return new PublicationRig({ clock: new ManualClock(), ...options });
}

/** A publication that is live with H.264 and AAC; the reader has its first keyframe. */
function openLive(options: Partial<RigOptions<ManualClock>> = {}, sound = aacConfig()): PublicationRig<ManualClock> {
  const rig = open(options);
  rig.write(MESSAGE_TYPE.dataAmf0, 0, BOTH);
  rig.video(0, avcConfig());
  rig.audio(0, sound);
  rig.video(0, keyframe());
  return rig;
}

/** `K0/0 v40/120 a21`: kind, DTS/PTS of pictures and PTS of sound in milliseconds after the first message. */
function shape({ units }: PublicationRig<ManualClock>): string {
  const ms = (us: number): number => Math.round((us - 1_000_000) / 1000);
  return units
    .map((unit) =>
      unit.kind === 'audio'
        ? `a${ms(unit.ptsUs)}`
        : `${unit.isKeyframe ? 'K' : 'v'}${ms(unit.dtsUs)}/${ms(unit.ptsUs)}`,
    )
    .join(' ');
}

describe('what an RTMP encoder publishes', () => {
  it('is live as soon as all that was announced is known', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, BOTH);
    rig.video(0, avcConfig());
    rig.video(0, keyframe());
    expect(rig.events).toEqual([]);
    rig.audio(0, aacConfig(44_100, 1));
    expect(rig.events).toEqual(['live h264 aac']);
    expect(rig.formats).toEqual(['640x360']);
    expect(rig.streams[0]!.tracks.audio).toEqual({ codec: 'aac', sampleRateHz: 44_100, channels: 1 });
    expect(rig.streams[0]!.tracks.video).toMatchObject({ codec: 'h264', width: 640, height: 360 });
    expect(shape(rig)).toBe('K0/0');
  });

  it('waits two seconds for a track that may come, and gives what came meanwhile from the keyframe on', () => {
    const rig = open();
    rig.video(0, avcConfig());
    rig.video(0, deltaFrame());
    rig.video(40, keyframe());
    rig.video(80, deltaFrame());
    rig.clock.advance(1_999);
    expect(rig.streams).toEqual([]);
    rig.clock.advance(1);
    expect(rig.events).toEqual(['live h264 -']);
    expect(rig.videos.map(({ isKeyframe }) => isKeyframe)).toEqual([true, false]);
  });

  it('of pictures alone has silent AAC up to each of them', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ videocodecid: 7 }));
    rig.video(0, avcConfig());
    rig.video(0, keyframe());
    for (let ms = 40; ms <= 1_000; ms += 40) rig.video(ms, deltaFrame());
    expect(rig.events).toEqual(['live h264 -']);
    expect(rig.streams[0]!.tracks.audio).toEqual({ codec: 'aac', sampleRateHz: 48_000, channels: 2 });
    expect(rig.sounds.map(({ ptsUs }) => ptsUs)).toEqual(
      Array.from({ length: 47 }, (_, index) => 1_000_000 + Math.round((index * AAC_FRAME_SAMPLES * 1e6) / 48_000)),
    );
  });

  it('of sound alone is live at once when nothing else was announced', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ audiocodecid: 'mp4a', videocodecid: 0 }));
    rig.audio(0, aacConfig());
    rig.audio(0, aacFrame());
    expect(rig.events).toEqual(['live - aac']);
    expect(rig.streams[0]!.tracks.video).toBeUndefined();
    expect(shape(rig)).toBe('a0');
  });

  it('is Annex-B with its parameter sets in front of every keyframe, without delimiters, and a copy', () => {
    const rig = openLive();
    const body = avcFrame([Buffer.from('0930', 'hex'), IDR, IDR], { isKey: true });
    rig.video(40, body);
    body.fill(0);
    rig.video(80, avcFrame([P_SLICE]));
    expect(rig.videos.map(({ data }) => data)).toEqual([
      annexB(SPS_360, PPS, IDR),
      annexB(SPS_360, PPS, IDR, IDR),
      annexB(P_SLICE),
    ]);
  });

  it('may have NAL units behind lengths of two bytes', () => {
    const rig = open();
    const config = avcConfig();
    config[5 + 4] = 0xfd;
    rig.video(0, config);
    rig.audio(0, aacConfig());
    rig.video(0, Buffer.concat([Buffer.from('17010000000004', 'hex'), IDR]));
    expect(rig.videos.map(({ data }) => data)).toEqual([annexB(SPS_360, PPS, IDR)]);
  });

  it('gives parameter sets that come between keyframes to the picture that they come with', () => {
    const rig = openLive();
    const anotherPps = Buffer.from('685e3c80', 'hex');
    rig.video(40, avcFrame([anotherPps, P_SLICE]));
    rig.video(80, avcFrame([anotherPps, P_SLICE]));
    expect(rig.videos.slice(1).map(({ data }) => data)).toEqual([
      annexB(SPS_360, PPS, anotherPps, P_SLICE),
      annexB(P_SLICE),
    ]);
  });

  it('leaves out pictures from a keyframe whose parameter sets never came to the next one', () => {
    const rig = openLive();
    // First macroblock 0, slice type 7, parameter set 1.
    const idrOfAnotherPps = Buffer.from('65884000', 'hex');
    rig.video(40, avcFrame([idrOfAnotherPps], { isKey: true }));
    rig.video(80, deltaFrame());
    rig.video(120, keyframe());
    rig.video(160, deltaFrame());
    expect(shape(rig)).toBe('K0/0 K120/120 v160/160');
  });

  it('keeps B-frames: pictures are decoded in the order of sending and shown at their own times', () => {
    const rig = openLive();
    rig.video(40, deltaFrame(160));
    rig.video(80, deltaFrame(40));
    rig.video(120, deltaFrame());
    rig.video(160, deltaFrame(80));
    expect(shape(rig)).toBe('K0/0 v40/200 v80/120 v120/120 v160/240');
  });

  it('is decoded earlier, not shown later, where composition times are negative', () => {
    const rig = openLive();
    rig.video(40, deltaFrame(-80));
    for (let ms = 200; ms < 400; ms += 40) rig.video(ms, deltaFrame(-80));
    expect(shape(rig).split(' ').slice(2)).toEqual(['v120/120', 'v160/160', 'v200/200', 'v240/240', 'v280/280']);
    rig.video(400, deltaFrame(8_000_000));
    expect(shape(rig)).toMatch(/ v320\/400$/);
  });

  it('takes parameter sets in-band where the configuration is empty', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, BOTH);
    rig.audio(0, aacConfig());
    rig.video(0, Buffer.from('1700000000', 'hex'));
    rig.video(0, avcFrame([SPS_1080, PPS, IDR], { isKey: true }));
    expect(rig.formats).toEqual(['1920x1080']);
    expect(rig.videos[0]!.data).toEqual(annexB(SPS_1080, PPS, IDR));
  });

  it('changes its size with a new configuration, and says so with the keyframe', () => {
    const rig = openLive();
    rig.video(40, avcConfig(SPS_1080));
    rig.video(40, deltaFrame());
    expect(rig.formats).toEqual(['640x360']);
    rig.video(80, keyframe());
    expect(rig.formats).toEqual(['640x360', '1920x1080']);
    expect(rig.videos.at(-1)).toMatchObject({ width: 1920, height: 1080, data: annexB(SPS_1080, PPS, IDR) });
    expect(rig.streams).toHaveLength(1);
    expect(rig.streams[0]!.tracks.video).toMatchObject({ width: 1920, height: 1080 });
  });

  it('may begin anew with an I-picture that is no IDR where the encoder marks it, and not where it lies', () => {
    const rig = openLive();
    rig.video(40, avcFrame([I_SLICE], { isKey: true }));
    rig.video(80, avcFrame([P_SLICE], { isKey: true }));
    expect(rig.videos.map(({ isKeyframe }) => isKeyframe)).toEqual([true, true, false]);
  });

  it.each([
    ['AAC of 8 kHz', aacConfig(8_000, 1), 128],
    ['AAC of 22.05 kHz', aacConfig(22_050, 2), 46.44],
    ['AAC of 44.1 kHz', aacConfig(44_100, 2), 23.22],
    ['AAC of 96 kHz', aacConfig(96_000, 2), 10.667],
    ['HE-AAC of 44.1 kHz, whose core has 22.05', Buffer.from('af002b920800', 'hex'), 46.44],
    ['AAC of 5.1', aacConfig(48_000, 6), 21.333],
  ])('has the sound of %s without holes', (_, config, frameMs) => {
    const rig = openLive({}, config);
    rig.video(15, keyframe());
    for (let index = 0; index < 50; index++) rig.audio(10 + Math.floor(index * frameMs), aacFrame(index));
    const sounds = rig.sounds.filter(({ data }) => data.length === 20);
    expect(sounds.map(({ data }) => data[0])).toEqual(Array.from({ length: 50 }, (__, index) => index));
    for (const [index, { ptsUs, durationUs }] of sounds.entries()) {
      expect(Math.abs(ptsUs - 1_010_000 - index * frameMs * 1000)).toBeLessThan(1_500);
      expect(sounds[index + 1]?.ptsUs ?? ptsUs + durationUs).toBe(ptsUs + durationUs);
    }
  });

  it('places sound whose timestamps stand still one after the other', () => {
    const rig = openLive();
    for (let index = 0; index < 10; index++) rig.audio(0, aacFrame(index));
    expect(rig.sounds.map(({ data }) => data[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it.each([
    [7, 'pcma'],
    [8, 'pcmu'],
  ] as const)('of sound format %i is %s', (soundFormat, codec) => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ audiocodecid: soundFormat }));
    for (let ms = 0; ms < 200; ms += 20) {
      rig.audio(ms, Buffer.concat([Buffer.from([(soundFormat << 4) | 2]), Buffer.alloc(160, 0x55)]));
    }
    expect(rig.streams[0]!.tracks.audio).toEqual({ codec, sampleRateHz: 8000, channels: 1 });
    expect(shape(rig)).toBe('a0 a20 a40 a60 a80 a100 a120 a140 a160 a180');
  });

  it('is cut into pieces of 20 ms where an encoder puts more into a message, as ffmpeg does', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ audiocodecid: 7 }));
    for (let index = 0; index < 4; index++) {
      rig.audio(256 * index, Buffer.concat([Buffer.from([0x72]), Buffer.alloc(2048, index)]));
    }
    const { sounds } = rig;
    expect(Buffer.concat(sounds.map(({ data }) => data)).length).toBe(4 * 2048);
    for (const [index, { ptsUs, durationUs, data }] of sounds.entries()) {
      expect(durationUs).toBe(data.length * 125);
      expect(durationUs).toBeLessThanOrEqual(20_000);
      expect(sounds[index + 1]?.ptsUs ?? ptsUs + durationUs).toBe(ptsUs + durationUs);
    }
    const hour = Buffer.concat([Buffer.from([0x72]), Buffer.alloc(8000 * 3600)]);
    expect(protocolErrorCode(() => rig.audio(1024, hour))).toBe('G711_LENGTH');
  });

  it('begins that other stream with the pictures since the last keyframe, which the encoder does not send again', () => {
    const rig = openLive({}, aacConfig(48_000, 1));
    for (const ms of [40, 80]) rig.video(ms, avcFrame([P_SLICE]));
    rig.units.length = 0;
    rig.audio(100, aacConfig(44_100, 2));
    rig.audio(100, aacFrame());
    rig.video(120, avcFrame([P_SLICE]));
    expect(rig.streams).toHaveLength(2);
    expect(rig.videos.map(({ ptsUs }) => ptsUs)).toEqual([1_000_000, 1_040_000, 1_080_000, 1_120_000]);
    expect(rig.videos.map(({ isKeyframe }) => isKeyframe)).toEqual([true, false, false, false]);
  });

  it('is another stream of the same name, on the same timeline, when its sound changes, and the name is never free', () => {
    const rig = openLive({}, aacConfig(48_000, 1));
    const down: string[] = [];
    rig.hub.onDown(({ name }) => down.push(name));
    rig.audio(500, aacConfig(44_100, 2));
    rig.audio(500, aacFrame());
    expect(rig.streams).toHaveLength(2);
    expect(rig.ended).toEqual(['the tracks of the stream have changed']);
    expect(rig.hub.find('s')).toBe(rig.streams[1]);
    expect(rig.streams[1]!.tracks.audio).toMatchObject({ sampleRateHz: 44_100 });
    rig.video(520, keyframe());
    expect(rig.videos.at(-1)!.ptsUs).toBe(1_520_000);
    rig.audio(523, Buffer.concat([Buffer.from([0x72]), Buffer.alloc(160, 0x55)]));
    expect(rig.streams).toHaveLength(3);
    expect(rig.events).toEqual(['live h264 aac']);
    expect(down).toEqual([]);
    rig.publication.close('over');
    expect(down).toEqual(['s']);
  });

  it('stays the same stream when sound appears that is like the silence it had', () => {
    const rig = open();
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ videocodecid: 7 }));
    rig.video(0, avcConfig());
    rig.video(0, keyframe());
    expect(rig.streams[0]!.hasPublishedAudio).toBe(false);
    rig.audio(20, aacConfig());
    rig.audio(20, aacFrame());
    rig.video(40, deltaFrame());
    rig.audio(41, aacFrame());
    expect(rig.streams).toHaveLength(1);
    expect(rig.streams[0]!.hasPublishedAudio).toBe(true);
    expect(rig.sounds.map(({ data }) => data.length)).toEqual([6, 20, 20]);
  });

  it('takes an aggregate apart and looks for no other within it', () => {
    const rig = openLive();
    const tag = (typeId: number, ms: number, body: Buffer): Buffer => {
      const head = Buffer.alloc(11);
      head[0] = typeId;
      head.writeUIntBE(body.length, 1, 3);
      head.writeUIntBE(ms, 4, 3);
      return Buffer.concat([head, body, Buffer.alloc(4)]);
    };
    const inner = tag(MESSAGE_TYPE.video, 5_000, deltaFrame());
    const aggregate = Buffer.concat([
      tag(MESSAGE_TYPE.video, 1_000, deltaFrame()),
      tag(MESSAGE_TYPE.audio, 1_010, aacFrame()),
      tag(MESSAGE_TYPE.aggregate, 1_020, inner),
      tag(MESSAGE_TYPE.video, 1_040, deltaFrame()),
    ]);
    rig.write(MESSAGE_TYPE.aggregate, 40, aggregate);
    expect(shape(rig)).toBe('K0/0 v40/40 a7 a29 a50 v80/80');
  });

  it('names a codec that is not supported once, and is live with the rest at once', () => {
    const warnings: object[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields), child: () => logger };
    const rig = open({ logger });
    rig.audio(0, aacConfig());
    for (let ms = 0; ms < 200; ms += 40) rig.video(ms, Buffer.from([0x14, 1, 2, 3]));
    expect(warnings).toEqual([{ codec: 'VP6' }]);
    expect(rig.events).toEqual(['live - aac']);
  });

  it.each([
    ['nothing came', 'idle', []],
    ['only what is not supported came', 'no_media', [Buffer.from([0x14, 1, 2, 3])]],
  ])('ends after 15 s in which %s: %s', (_, reason, bodies) => {
    const rig = open();
    for (const body of bodies) rig.video(0, body);
    rig.clock.advance(14_999);
    expect(rig.events).toEqual([]);
    rig.clock.advance(1);
    expect(rig.events).toEqual([reason]);
    rig.clock.advance(60_000);
    expect(rig.events).toEqual([reason]);
  });

  it('ends 15 s after the last frame, and once closed says nothing and leaves no timer', () => {
    const rig = openLive();
    rig.clock.advance(10_000);
    rig.video(10_000, deltaFrame());
    rig.clock.advance(14_999);
    expect(rig.events).toEqual(['live h264 aac']);
    rig.clock.advance(1);
    expect(rig.events).toEqual(['live h264 aac', 'idle']);
    rig.publication.close('idle');
    rig.publication.close('again');
    rig.video(20_000, keyframe());
    expect(rig.ended).toEqual(['idle']);
    expect(rig.hub.list()).toEqual([]);

    const second = open();
    second.video(0, avcConfig());
    second.publication.close('gone');
    second.clock.advance(60_000);
    expect(second.events).toEqual([]);
    expect(second.clock.pendingTimers).toBe(0);
  });
});

describe('sound of an RTMP encoder that only a transcoder knows', () => {
  /** MPEG-1 layer III, 128 kbit/s, 44.1 kHz. */
  const MP3 = Buffer.concat([Buffer.from('2ffffb9064', 'hex'), Buffer.alloc(413)]);

  class Transcoders implements FlvAudioTranscoders {
    readonly opened: FlvAudioOptions[] = [];
    readonly fed: TimedAudio[] = [];
    closed = 0;

    flvAudio(options: FlvAudioOptions): ReturnType<FlvAudioTranscoders['flvAudio']> {
      this.opened.push(options);
      return {
        track: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
        feed: (unit) => void this.fed.push(unit),
        close: () => void (this.closed += 1),
      };
    }
  }

  it('is fed on the timeline of the stream, and what comes out is its sound', () => {
    const legacyAudio = new Transcoders();
    const rig = open({ legacyAudio });
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ audiocodecid: 2 }));
    for (const ms of [0, 26, 52]) rig.audio(ms, MP3);
    expect(legacyAudio.fed.map(({ ptsUs, durationUs }) => [ptsUs, durationUs])).toEqual([
      [1_000_000, 26_122],
      [1_026_000, 26_122],
      [1_052_000, 26_122],
    ]);
    expect(legacyAudio.fed[0]!.data).toEqual(MP3);
    legacyAudio.opened[0]!.onUnit({
      kind: 'audio',
      codec: 'aac',
      ptsUs: 1_000_000,
      durationUs: 21_333,
      data: Buffer.alloc(9),
    });
    expect(rig.events).toEqual(['live - aac']);
    expect(rig.sounds.map(({ data }) => data.length)).toEqual([9]);
    rig.publication.close('over');
    expect(legacyAudio.closed).toBe(1);
  });

  it('keeps its stream also when the transcoder gives nothing any more', () => {
    const rig = open({ legacyAudio: new Transcoders() });
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ audiocodecid: 2 }));
    for (let ms = 0; ms < 20_000; ms += 26) {
      rig.audio(ms, MP3);
      rig.clock.advance(26);
    }
    expect(rig.events).toEqual(['live - aac']);
    rig.clock.advance(15_000);
    expect(rig.events).toEqual(['live - aac', 'idle']);
  });

  it.each([
    ['AAC of 44.1 kHz', [aacConfig(44_100, 2), aacFrame()]],
    ['mono AAC', [aacConfig(48_000, 1), aacFrame()]],
    ['G.711', [Buffer.concat([Buffer.from([0x72]), Buffer.alloc(160)])]],
    ['MP3', [MP3]],
  ])('is any sound that comes later than the stream, which stays the same: %s', (_, bodies) => {
    const legacyAudio = new Transcoders();
    const rig = open({ legacyAudio });
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ videocodecid: 7 }));
    rig.video(0, avcConfig());
    rig.video(0, keyframe());
    for (const body of bodies) rig.audio(500, body);
    rig.video(520, deltaFrame());
    expect([rig.streams.length, rig.ended, legacyAudio.fed.length]).toEqual([1, [], 1]);
    expect(rig.streams[0]!.hasPublishedAudio).toBe(true);
    rig.audio(700, aacConfig());
    rig.audio(700, aacFrame());
    expect([rig.streams.length, legacyAudio.closed]).toEqual([1, 1]);
  });

  it('that changes all the time costs no more than a few transcoders, and then its encoder the connection', () => {
    const legacyAudio = new Transcoders();
    const rig = open({ legacyAudio });
    const speex = Buffer.concat([Buffer.from([0xb6]), Buffer.alloc(45, 0x1d)]);
    const change = (n: number) => rig.audio(26 * n, n % 2 === 0 ? MP3 : speex);
    let codes = Array.from({ length: 100 }, (_, n) => protocolErrorCode(() => change(n)));
    expect(codes.indexOf('RTMP_SOUND_CHANGES')).toBe(11);
    expect(legacyAudio.opened).toHaveLength(11);
    rig.clock.advance(10_000);
    codes = Array.from({ length: 3 }, (_, n) => protocolErrorCode(() => change(200 + n)));
    expect(codes).toEqual(['none', 'none', 'RTMP_SOUND_CHANGES']);
  });

  it('gets another transcoder when its codec changes, and none when nothing can be read of it', () => {
    const legacyAudio = new Transcoders();
    const rig = open({ legacyAudio });
    rig.audio(0, Buffer.from([0x2f, 1, 2, 3, 4, 5]));
    expect(legacyAudio.opened).toEqual([]);
    rig.audio(0, MP3);
    // Speex: one wideband frame of submodes 6 and 3.
    const speex = Buffer.alloc(71);
    speex.set([0xb6, 0x30]);
    speex[1 + 45] = 0b0000_1011;
    rig.audio(26, speex);
    expect(legacyAudio.opened).toHaveLength(2);
    expect(legacyAudio.closed).toBe(1);
    // AAC Main, of which the hub knows nothing.
    rig.audio(46, Buffer.from('af000990', 'hex'));
    rig.audio(46, aacFrame());
    expect(legacyAudio.opened[2]!.header).toEqual(Buffer.from('af000990', 'hex'));
    expect(legacyAudio.closed).toBe(2);
    rig.audio(67, aacConfig());
    rig.audio(67, aacFrame());
    expect(legacyAudio.closed).toBe(3);
  });
});

describe('data of an RTMP encoder', () => {
  it('tells the frame rate, also where it lists the keyframes of a file', () => {
    const rig = open();
    const times = Array.from({ length: 600 }, (_, n) => 2 * n);
    const keyframes = amfObject({ times, filepositions: times });
    rig.write(MESSAGE_TYPE.dataAmf0, 0, metadata({ videocodecid: 7, framerate: 25, keyframes }));
    rig.video(0, avcConfig());
    rig.video(0, keyframe());
    expect(rig.streams[0]!.tracks.video).toMatchObject({ frameRateFps: 25 });
  });

  it.each([
    ['text in AMF3', MESSAGE_TYPE.dataAmf3, '0002000a6f6e5465787444617461110a0b01'],
    ['XML', MESSAGE_TYPE.dataAmf0, '02000a6f6e584d50446174610f00000002783e'],
    ['a reference', MESSAGE_TYPE.dataAmf0, '02000a6f6e437565506f696e74070000'],
    ['nothing that is AMF', MESSAGE_TYPE.dataAmf0, 'ffffffff'],
    ['a string that is cut', MESSAGE_TYPE.dataAmf0, '02ffff6f6e'],
  ])('that nobody here can read is ignored: %s', (_, typeId, hex) => {
    const rig = openLive();
    rig.write(typeId, 20, Buffer.from(hex, 'hex'));
    rig.video(40, deltaFrame());
    expect(rig.videos).toHaveLength(2);
  });
});

describe('garbage of an RTMP encoder', () => {
  const seeds = [
    avcConfig(),
    keyframe(),
    deltaFrame(80),
    aacConfig(),
    aacFrame(),
    BOTH,
    Buffer.from('2ffffb9064', 'hex'),
    Buffer.from('b6369d1b', 'hex'),
  ];
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(...seeds),
    fc
      .tuple(fc.constantFrom(...seeds), fc.nat(200), fc.nat(255))
      .map(([seed, at, value]) => Buffer.from(seed.map((byte, index) => (index === at % seed.length ? value : byte)))),
    fc.tuple(fc.constantFrom(...seeds), fc.nat(200)).map(([seed, length]) => seed.subarray(0, length % seed.length)),
  );
  const message = fc.tuple(fc.constantFrom(...Object.values(MESSAGE_TYPE)), fc.nat(2 ** 32 - 1), body);

  it('throws nothing but ProtocolError, and the stream of another goes on', () => {
    const legacyAudio: FlvAudioTranscoders = {
      flvAudio: () => ({
        track: { codec: 'aac', sampleRateHz: 48_000, channels: 2 },
        feed: () => {},
        close: () => {},
      }),
    };
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const hub = new Hub(silentLogger);
        const other = openLive({ hub, name: 'other' });
        const rig = open({ hub, clock: other.clock, legacyAudio });
        for (const [typeId, timestampMs, payload] of messages) {
          expect(protocolErrorCode(() => rig.write(typeId, timestampMs, payload))).toMatch(/^[A-Z0-9_]+$|^none$/);
          rig.clock.advance(100);
        }
        other.video(40, keyframe());
        expect(other.ended).toEqual([]);
        expect(other.videos).toHaveLength(2);
        rig.publication.close('over');
        expect(hub.list()).toEqual([other.streams[0]]);
      }),
      { numRuns: 300 },
    );
  });
});
