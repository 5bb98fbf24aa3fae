import { silentLogger, type Logger } from '../../../src/domain/logger.ts';
import type { AudioUnit, MediaUnit, VideoUnit } from '../../../src/domain/media.ts';
import { Hub } from '../../../src/hub/hub.ts';
import type { LiveStream } from '../../../src/hub/live-stream.ts';
import type { PublishedTracks, RtmpPublication } from '../../../src/inputs/rtmp-publisher/rtmp-publication.ts';
import { RtmpPublishers } from '../../../src/inputs/rtmp-publisher/rtmp-publishers.ts';
import type { FlvAudioTranscoders } from '../../../src/transcode/flv-audio.ts';
import type { Clock } from '../../../src/domain/clock.ts';
import { MESSAGE_TYPE, type RawMessage } from '../../../src/protocol/rtmp/raw-message.ts';

export interface RigOptions<C extends Clock> {
  readonly clock: C;
  readonly hub?: Hub;
  readonly name?: string;
  readonly legacyAudio?: FlvAudioTranscoders;
  readonly logger?: Logger;
}

/** One publication with a reader that notes every unit of every stream that comes up under its name. */
export class PublicationRig<C extends Clock> {
  readonly clock: C;
  readonly hub: Hub;
  readonly units: MediaUnit[] = [];
  readonly streams: LiveStream[] = [];
  readonly ended: string[] = [];
  readonly events: string[] = [];
  readonly formats: string[] = [];
  readonly publication: RtmpPublication;

  constructor({ clock, hub = new Hub(silentLogger), name = 's', legacyAudio, logger }: RigOptions<C>) {
    this.clock = clock;
    this.hub = hub;
    hub.onUp((stream) => {
      if (stream.name === name) this.#read(stream);
    });
    const publishers = new RtmpPublishers({
      hub,
      legacyAudio: legacyAudio ?? NO_LEGACY_AUDIO,
      clock,
      logger: logger ?? silentLogger,
      idleTimeoutMs: 15_000,
    });
    this.publication = publishers.open({
      name,
      mediaSessionId: 'id',
      onLive: (tracks) => this.events.push(`live ${describeTracks(tracks)}`),
      onFormat: (width, height) => this.formats.push(`${width}x${height}`),
      onEnd: (reason) => this.events.push(reason),
    });
  }

  get videos(): VideoUnit[] {
    return this.units.filter((unit) => unit.kind === 'video');
  }

  get sounds(): AudioUnit[] {
    return this.units.filter((unit) => unit.kind === 'audio');
  }

  write(typeId: number, timestampMs: number, payload: Buffer): void {
    this.publication.write({ typeId, timestampMs: timestampMs >>> 0, streamId: 1, payload });
  }

  video(timestampMs: number, payload: Buffer): void {
    this.write(MESSAGE_TYPE.video, timestampMs, payload);
  }

  audio(timestampMs: number, payload: Buffer): void {
    this.write(MESSAGE_TYPE.audio, timestampMs, payload);
  }

  writeAll(messages: readonly RawMessage[]): void {
    for (const message of messages) this.publication.write(message);
  }

  #read(stream: LiveStream): void {
    this.streams.push(stream);
    stream.addReader({
      label: 'test',
      fromCachedGop: true,
      maxQueueBytes: 64 << 20,
      onUnit: (unit) => this.units.push(unit) > 0,
      onEnd: (reason) => this.ended.push(reason),
    });
  }
}

const NO_LEGACY_AUDIO: FlvAudioTranscoders = {
  flvAudio: () => {
    throw new Error('no transcoder is expected');
  },
};

function describeTracks({ video, audio }: PublishedTracks): string {
  return `${video?.codec ?? '-'} ${audio?.codec ?? '-'}`;
}
