import { ProtocolError } from '../../domain/errors.ts';
import { OPUS_HEAD_STEREO } from '../ogg/opus-head.ts';
import {
  ebmlElement,
  ebmlFloat,
  MAX_SIZE4,
  UNKNOWN_SIZE,
  unsignedBytes,
  unsignedLength,
  writeSize4,
  writeUnsigned,
} from './ebml.ts';

/** `number` is the track number in the file, 1 to 126, unique. Sizes are pixels; readers take them as a first guess only. */
export type MatroskaTrack =
  | {
      readonly kind: 'video';
      readonly number: number;
      readonly codec: 'h264' | 'vp8';
      readonly width: number;
      readonly height: number;
    }
  | { readonly kind: 'audio'; readonly number: number; readonly codec: 'opus' }
  | {
      readonly kind: 'audio';
      readonly number: number;
      readonly codec: 'aac';
      readonly sampleRateHz: number;
      readonly channels: number;
      readonly audioSpecificConfig: Buffer;
    };

export interface MatroskaWriterOptions {
  readonly tracks: readonly MatroskaTrack[];
  /** The time that becomes zero in the file. Blocks of earlier times are written at zero. */
  readonly baseUs: number;
}

const CLUSTER_MAX_MS = 2000;
const MAX_TRACK_NUMBER = 126;

const ID = {
  ebml: 0x1a45dfa3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  segment: 0x18538067,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackUid: 0x73c5,
  trackType: 0x83,
  flagLacing: 0x9c,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  audio: 0xe1,
  samplingFrequency: 0xb5,
  channels: 0x9f,
  cluster: 0x1f43b675,
  clusterTimestamp: 0xe7,
  simpleBlock: 0xa3,
} as const;

const CLUSTER_START = Buffer.concat([unsignedBytes(ID.cluster), UNKNOWN_SIZE]);

interface TrackTime {
  lastUs: number;
  lastMs: number;
}

/**
 * Writes Matroska (RFC 9559) for a reader on the other end of a pipe: segment and clusters of unknown size, one SimpleBlock
 * per unit, complete as soon as it is returned. H.264 goes in as Annex-B with parameter sets in front of every IDR and without
 * CodecPrivate, so that a change of resolution needs no new header (reference/ffmpeg.md §1). Does no I/O.
 */
export class MatroskaWriter {
  readonly #baseUs: number;
  readonly #tracks = new Map<number, TrackTime>();
  readonly #header: Buffer;
  #clusterMs = -1;

  constructor(options: MatroskaWriterOptions) {
    this.#baseUs = options.baseUs;
    for (const { number } of options.tracks) {
      if (!Number.isInteger(number) || number < 1 || number > MAX_TRACK_NUMBER || this.#tracks.has(number)) {
        throw new ProtocolError('MATROSKA_TRACK_NUMBER', `track number ${number} is out of range or used twice`);
      }
      this.#tracks.set(number, { lastUs: Number.NEGATIVE_INFINITY, lastMs: -1 });
    }
    this.#header = fileHeader(options.tracks);
  }

  /** EBML header, the start of the segment, and the tracks. Write it first and once. */
  get header(): Buffer {
    return this.#header;
  }

  /**
   * What precedes `size` bytes of one unit; write it and then the unit's data, unchanged (so nothing is copied here).
   * Starts a cluster for a video keyframe and after two seconds. Throws MATROSKA_TRACK_NUMBER and MATROSKA_BLOCK_SIZE.
   */
  blockHead(trackNumber: number, ptsUs: number, isVideoKeyframe: boolean, size: number): Buffer {
    const track = this.#tracks.get(trackNumber);
    if (!track) throw new ProtocolError('MATROSKA_TRACK_NUMBER', `no track ${trackNumber}`);
    if (size + 4 > MAX_SIZE4) throw new ProtocolError('MATROSKA_BLOCK_SIZE', `a block of ${size} bytes is too large`);

    const timeMs = this.#fileTimeMs(track, ptsUs);
    const relativeMs = timeMs - this.#clusterMs;
    const startsCluster =
      this.#clusterMs < 0 || isVideoKeyframe || relativeMs > CLUSTER_MAX_MS || relativeMs < -CLUSTER_MAX_MS;
    const timeLength = startsCluster ? unsignedLength(timeMs) : 0;
    const head = Buffer.allocUnsafe(9 + (startsCluster ? CLUSTER_START.length + 2 + timeLength : 0));
    let offset = 0;
    if (startsCluster) {
      this.#clusterMs = timeMs;
      offset = CLUSTER_START.copy(head);
      head[offset++] = ID.clusterTimestamp;
      head[offset++] = 0x80 | timeLength;
      offset = writeUnsigned(head, offset, timeMs, timeLength);
    }
    head[offset++] = ID.simpleBlock;
    offset = writeSize4(head, offset, 4 + size);
    head[offset++] = 0x80 | trackNumber;
    offset = head.writeInt16BE(timeMs - this.#clusterMs, offset);
    head[offset] = isVideoKeyframe ? 0x80 : 0;
    return head;
  }

  /** Milliseconds from the base. Two units that follow each other within a millisecond must not share one time. */
  #fileTimeMs(track: TrackTime, ptsUs: number): number {
    let timeMs = Math.max(0, Math.round((ptsUs - this.#baseUs) / 1000));
    if (ptsUs > track.lastUs && timeMs <= track.lastMs) timeMs = track.lastMs + 1;
    track.lastUs = ptsUs;
    track.lastMs = timeMs;
    return timeMs;
  }
}

function fileHeader(tracks: readonly MatroskaTrack[]): Buffer {
  return Buffer.concat([
    ebmlElement(
      ID.ebml,
      ebmlElement(ID.docType, 'matroska'),
      ebmlElement(ID.docTypeVersion, 4),
      ebmlElement(ID.docTypeReadVersion, 2),
    ),
    unsignedBytes(ID.segment),
    UNKNOWN_SIZE,
    ebmlElement(
      ID.info,
      ebmlElement(ID.timestampScale, 1_000_000),
      ebmlElement(ID.muxingApp, 'transponder'),
      ebmlElement(ID.writingApp, 'transponder'),
    ),
    ebmlElement(ID.tracks, ...tracks.map(trackEntry)),
  ]);
}

function trackEntry(track: MatroskaTrack): Buffer {
  return ebmlElement(
    ID.trackEntry,
    ebmlElement(ID.trackNumber, track.number),
    ebmlElement(ID.trackUid, track.number),
    ebmlElement(ID.trackType, track.kind === 'video' ? 1 : 2),
    ebmlElement(ID.flagLacing, 0),
    ...codecElements(track),
  );
}

function codecElements(track: MatroskaTrack): Buffer[] {
  switch (track.codec) {
    case 'h264':
    case 'vp8':
      return [
        ebmlElement(ID.codecId, track.codec === 'vp8' ? 'V_VP8' : 'V_MPEG4/ISO/AVC'),
        ebmlElement(ID.video, ebmlElement(ID.pixelWidth, track.width), ebmlElement(ID.pixelHeight, track.height)),
      ];
    case 'opus':
      return [
        ebmlElement(ID.codecId, 'A_OPUS'),
        ebmlElement(ID.codecPrivate, OPUS_HEAD_STEREO),
        audioElement(48_000, 2),
      ];
    case 'aac':
      return [
        ebmlElement(ID.codecId, 'A_AAC'),
        ebmlElement(ID.codecPrivate, track.audioSpecificConfig),
        audioElement(track.sampleRateHz, track.channels),
      ];
  }
}

function audioElement(sampleRateHz: number, channels: number): Buffer {
  return ebmlElement(
    ID.audio,
    ebmlElement(ID.samplingFrequency, ebmlFloat(sampleRateHz)),
    ebmlElement(ID.channels, channels),
  );
}
