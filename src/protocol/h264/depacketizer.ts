import { ProtocolError } from '../../domain/errors.ts';
import { FrameBytes } from '../rtp/frame-bytes.ts';
import { rtpMarker, rtpPayloadEnd, rtpPayloadOffset, rtpTimestamp } from '../rtp/packet.ts';
import { MAX_FRAME_BYTES } from '../rtp/video-frame.ts';
import type { RtpVideoFrame } from '../rtp/video-frame.ts';
import {
  NAL_FU_A,
  NAL_IDR,
  NAL_PPS,
  NAL_SLICE,
  NAL_SPS,
  NAL_STAP_A,
  START_CODE,
  isDispensableNal,
  requireFewNals,
} from './nal.ts';
import { ParameterSets, parseSpropParameterSets } from './parameter-sets.ts';
import type { SequenceParameterSet } from './sps.ts';

const NONE = -1;

export interface H264DepacketizerOptions {
  readonly onFrame: (frame: RtpVideoFrame) => void;
  /** The `sprop-parameter-sets` of the offer, where there is one. */
  readonly spropParameterSets?: string | undefined;
  readonly maxAccessUnitBytes?: number | undefined;
}

/**
 * Makes access units of RTP packets in order (RFC 6184, packetization modes 0 and 1): Annex-B with four-byte start codes,
 * and all parameter sets known, once, in front of every IDR. Parameter sets may come in packets of their own, with the
 * timestamp of the IDR or an earlier one. An access unit ends at the marker or where the timestamp changes.
 *
 * Begins with a keyframe; after `lost()`, or a packet that is malformed, it gives nothing until the next one.
 */
export class H264Depacketizer {
  readonly #onFrame: (frame: RtpVideoFrame) => void;
  readonly #sets = new ParameterSets();
  /** The access unit so far, without parameter sets. */
  readonly #unit: FrameBytes;
  #timestamp = NONE;
  #arrivalUs = 0;
  /** Type of the first slice of the unit, and where in the unit its NAL unit is. */
  #sliceType = NONE;
  #sliceStart = 0;
  /** Type of the NAL unit whose fragments are coming, and where in the unit it began. */
  #fragmentType = NONE;
  #fragmentStart = 0;
  /** The next frame needs the sets in front of it, because one has changed. */
  #haveSetsChanged = false;
  #isWaiting = true;
  #activeSps: SequenceParameterSet | undefined;

  constructor(options: H264DepacketizerOptions) {
    this.#onFrame = options.onFrame;
    this.#unit = new FrameBytes(options.maxAccessUnitBytes ?? MAX_FRAME_BYTES, 'H264_ACCESS_UNIT_SIZE');
    // A set that cannot be read is no loss: it may still come in-band.
    for (const nal of parseSpropParameterSets(options.spropParameterSets ?? '')) this.#rememberSet(nal);
  }

  /** True while only a keyframe can make it give frames (again): the owner asks the sender for one. */
  get isWaitingForKeyframe(): boolean {
    return this.#isWaiting;
  }

  /**
   * Takes the next packet in order. `onFrame` is called during the call. Throws nothing but `H264_ACCESS_UNIT_SIZE` and
   * `H264_NAL_COUNT`, after which the depacketiser can go on from the next keyframe.
   */
  push(packet: Buffer, arrivalUs: number): void {
    const start = rtpPayloadOffset(packet);
    const end = rtpPayloadEnd(packet);
    if (start === end && end >= 0) return;
    if (end < 0) {
      this.lost();
      return;
    }
    const timestamp = rtpTimestamp(packet);
    if (timestamp !== this.#timestamp) {
      this.#finishUnit();
      this.#timestamp = timestamp;
      this.#arrivalUs = arrivalUs;
    }
    try {
      if (!this.#takePayload(packet, start, end)) this.lost();
    } catch (error) {
      this.lost();
      throw error;
    }
    if (rtpMarker(packet)) this.#finishUnit();
  }

  /** Packets are missing before the next one. */
  lost(): void {
    this.#isWaiting = true;
    this.#resetUnit();
  }

  #takePayload(packet: Buffer, start: number, end: number): boolean {
    const type = packet[start]! & 0x1f;
    if (type === NAL_FU_A) return this.#takeFragment(packet, start, end);
    // Only a fragment can follow a fragment that was not the last one.
    if (this.#fragmentType !== NONE) return false;
    if (type === NAL_STAP_A) return this.#takeAggregate(packet, start + 1, end);
    return this.#takeNal(packet, start, end);
  }

  /** STAP-A (RFC 6184 §5.7.1). */
  #takeAggregate(packet: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      const nalAt = at + 2;
      if (nalAt >= end) return false;
      const next = nalAt + packet.readUInt16BE(at);
      if (next === nalAt || next > end || !this.#takeNal(packet, nalAt, next)) return false;
      at = next;
    }
    return true;
  }

  #takeNal(packet: Buffer, start: number, end: number): boolean {
    const type = packet[start]! & 0x1f;
    if (type === 0 || type >= NAL_STAP_A) return false;
    if (type === NAL_SPS || type === NAL_PPS) return this.#rememberSet(packet.subarray(start, end));
    if (isDispensableNal(type)) return true;
    if (isSlice(type) && !this.#wantsSlice(type, packet[start + 1])) return true;
    const nalStart = this.#beginNal();
    this.#unit.append(packet, start, end);
    this.#noteSlice(type, nalStart);
    return true;
  }

  /** FU-A (RFC 6184 §5.8). */
  #takeFragment(packet: Buffer, start: number, end: number): boolean {
    if (end - start < 3) return false;
    const fuHeader = packet[start + 1]!;
    const type = fuHeader & 0x1f;
    if ((fuHeader & 0x80) !== 0) {
      if (this.#fragmentType !== NONE || type === 0 || type >= NAL_STAP_A) return false;
      if (isSlice(type) && !this.#wantsSlice(type, packet[start + 2])) return true;
      this.#fragmentType = type;
      this.#fragmentStart = this.#unit.length;
      const nalStart = this.#beginNal();
      this.#unit.append(Buffer.from([(packet[start]! & 0xe0) | type]), 0, 1);
      this.#unit.append(packet, start + 2, end);
      this.#noteSlice(type, nalStart);
    } else {
      // The rest of something whose beginning was lost or not wanted.
      if (this.#fragmentType === NONE) return this.#isWaiting;
      if (type !== this.#fragmentType) return false;
      this.#unit.append(packet, start + 2, end);
    }
    return (fuHeader & 0x40) === 0 || this.#finishFragments(type);
  }

  #finishFragments(type: number): boolean {
    this.#fragmentType = NONE;
    const isSet = type === NAL_SPS || type === NAL_PPS;
    if (!isSet && !isDispensableNal(type)) return true;
    const nal = this.#unit.view().subarray(this.#fragmentStart + START_CODE.length);
    this.#unit.truncate(this.#fragmentStart);
    return !isSet || this.#rememberSet(nal);
  }

  #rememberSet(nal: Buffer): boolean {
    try {
      if (this.#sets.remember(nal)) this.#haveSetsChanged = true;
      return true;
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
  }

  /**
   * While waiting, only an IDR from its first macroblock on is of use: a first bit of 1 after the NAL header means
   * first_mb_in_slice = 0 (ITU-T H.264 §7.3.3), so an IDR whose beginning is lost is not taken for a whole one.
   */
  #wantsSlice(type: number, firstByte: number | undefined): boolean {
    if (!this.#isWaiting || this.#sliceType === NAL_IDR) return true;
    return type === NAL_IDR && firstByte !== undefined && (firstByte & 0x80) !== 0;
  }

  #beginNal(): number {
    this.#unit.append(START_CODE, 0, START_CODE.length);
    return this.#unit.length;
  }

  #noteSlice(type: number, nalStart: number): void {
    if (!isSlice(type) || this.#sliceType !== NONE) return;
    this.#sliceType = type;
    this.#sliceStart = nalStart;
  }

  #spsOf(slice: Buffer): SequenceParameterSet | undefined {
    try {
      return this.#sets.spsOfSlice(slice);
    } catch (error) {
      if (error instanceof ProtocolError) return undefined;
      throw error;
    }
  }

  #finishUnit(): void {
    const isKeyframe = this.#sliceType === NAL_IDR;
    if (isKeyframe) this.#activeSps = this.#spsOf(this.#unit.view().subarray(this.#sliceStart));
    const sps = this.#activeSps;
    if (this.#fragmentType !== NONE || (isKeyframe && sps === undefined)) {
      this.lost();
    } else if (this.#sliceType !== NONE && sps !== undefined) {
      this.#requireFewNals();
      // Copied, because the unit's memory is used for the next one.
      const unit = this.#unit.view();
      const sets = isKeyframe || this.#haveSetsChanged ? this.#sets.annexB() : undefined;
      const data = sets === undefined ? Buffer.from(unit) : Buffer.concat([sets, unit]);
      this.#haveSetsChanged = false;
      this.#isWaiting = false;
      this.#resetUnit();
      this.#onFrame({
        rtpTimestamp: this.#timestamp,
        arrivalUs: this.#arrivalUs,
        isKeyframe,
        width: sps.width,
        height: sps.height,
        data,
      });
    }
    this.#resetUnit();
  }

  #requireFewNals(): void {
    try {
      requireFewNals(this.#unit.view());
    } catch (error) {
      this.lost();
      throw error;
    }
  }

  #resetUnit(): void {
    this.#unit.truncate(0);
    this.#sliceType = NONE;
    this.#fragmentType = NONE;
  }
}

function isSlice(type: number): boolean {
  return type >= NAL_SLICE && type <= NAL_IDR;
}
