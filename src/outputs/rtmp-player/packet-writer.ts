import type { AudioTrack, Tracks, VideoUnit } from '../../domain/media.ts';
import { buildAacLcConfig } from '../../protocol/aac/audio-specific-config.ts';
import { metadataValues } from '../../protocol/flv/metadata.ts';
import { aacFrame, aacSequenceHeader } from '../../protocol/flv/write-audio.ts';
import { avcFrame, avcSequenceHeader } from '../../protocol/flv/write-video.ts';
import { NAL_PPS, NAL_SPS, annexBNals, nalType } from '../../protocol/h264/nal.ts';
import { ChunkWriter } from '../../protocol/rtmp/chunk-writer.ts';
import { MEDIA_STREAM_ID, OUT_CHUNK_SIZE } from '../../protocol/rtmp/media.ts';
import { encodeMessage } from '../../protocol/rtmp/messages.ts';
import { MESSAGE_TYPE } from '../../protocol/rtmp/raw-message.ts';
import type { Packet, PictureFormat } from './batch.ts';
import type { StreamClock } from './stream-clock.ts';

/** Units to chunked RTMP messages, the same bytes for every viewer (reference/rtmp.md §2.3, §2.4). */
export class PacketWriter {
  readonly #chunks = new ChunkWriter();
  readonly #clock: StreamClock;
  #parameterSets: Buffer | undefined;
  #format: PictureFormat | undefined;

  constructor(clock: StreamClock) {
    this.#clock = clock;
    // Viewers have been told this size by their connections.
    this.#chunks.setChunkSize(OUT_CHUNK_SIZE);
  }

  /** Of the last keyframe. */
  get format(): PictureFormat | undefined {
    return this.#format;
  }

  /** Throws ProtocolError where a keyframe's parameter sets are not to be understood. */
  video(unit: VideoUnit): Packet {
    if (unit.isKeyframe) this.#noteFormat(unit);
    const timestampMs = this.#clock.timestampMs('video', unit.dtsUs);
    const compositionTimeMs = this.#clock.compositionTimeMs(unit.ptsUs, timestampMs);
    const body = avcFrame(unit.data, unit.isKeyframe, compositionTimeMs);
    const bytes = this.#media(MESSAGE_TYPE.video, timestampMs, body);
    return { kind: 'video', isKeyframe: unit.isKeyframe, timestampMs, bytes };
  }

  audio(frame: Buffer, ptsUs: number): Packet {
    const timestampMs = this.#clock.timestampMs('audio', ptsUs);
    const bytes = this.#media(MESSAGE_TYPE.audio, timestampMs, aacFrame(frame));
    return { kind: 'audio', isKeyframe: false, timestampMs, bytes };
  }

  /** The AVC sequence header. */
  pictureHeader({ sequenceHeader }: PictureFormat, timestampMs: number): Buffer {
    return this.#media(MESSAGE_TYPE.video, timestampMs, [sequenceHeader]);
  }

  /** Throws ProtocolError for a track that AAC-LC has no configuration for. */
  soundHeader({ sampleRateHz, channels }: AudioTrack, timestampMs: number): Buffer {
    return this.#media(MESSAGE_TYPE.audio, timestampMs, [aacSequenceHeader(buildAacLcConfig(sampleRateHz, channels))]);
  }

  /** `onMetaData`, at time 0 whenever it is sent: ffmpeg makes a subtitle track of any other. */
  metadata({ video, audio }: Tracks): Buffer {
    const values = metadataValues({ video: video && { ...video, ...this.#format }, audio });
    return this.#chunks.encode(encodeMessage({ kind: 'data', values, timestampMs: 0, streamId: MEDIA_STREAM_ID }));
  }

  #noteFormat({ data, width, height }: VideoUnit): void {
    const nals = annexBNals(data);
    const sps = nals.filter((nal) => nalType(nal) === NAL_SPS);
    const pps = nals.filter((nal) => nalType(nal) === NAL_PPS);
    if (sps.length === 0 && this.#format) return;
    const parameterSets = Buffer.concat([...sps, ...pps]);
    if (this.#parameterSets?.equals(parameterSets)) return;
    this.#format = { width, height, sequenceHeader: avcSequenceHeader(sps, pps) };
    this.#parameterSets = parameterSets;
  }

  #media(typeId: number, timestampMs: number, body: readonly Buffer[]): Buffer {
    return this.#chunks.encodeParts({ typeId, timestampMs, streamId: MEDIA_STREAM_ID }, body);
  }
}
