import type { MediaUnit } from '../../../src/domain/media.ts';
import { H264Depacketizer } from '../../../src/protocol/h264/depacketizer.ts';
import { rtpSsrc } from '../../../src/protocol/rtp/packet.ts';
import type { RtpVideoFrame } from '../../../src/protocol/rtp/video-frame.ts';
import { createRig, PPS, slice, SPS, type Rig, type TestPlayer } from './worker-rig.ts';

const annexB = (...nals: Buffer[]) => Buffer.concat(nals.flatMap((nal) => [Buffer.from([0, 0, 0, 1]), nal]));

export function picture(ptsUs: number, isKeyframe: boolean, bytes = 3000, fill?: number): MediaUnit {
  const data = isKeyframe ? annexB(SPS, PPS, slice(5, bytes, fill)) : annexB(slice(1, bytes, fill));
  return { kind: 'video', codec: 'h264', ptsUs, dtsUs: ptsUs, isKeyframe, width: 640, height: 360, data };
}

export function sound(ptsUs: number, fill = 1): MediaUnit {
  return { kind: 'audio', codec: 'opus', ptsUs, durationUs: 20_000, data: Buffer.alloc(80, fill) };
}

/** A worker that has the unit stream `U`. */
export function rigWithUnitStream(): Rig {
  const rig = createRig();
  rig.worker.openUnitStream({ streamId: 'U', video: { codec: 'h264' }, audio: { codec: 'opus' } });
  return rig;
}

/** Gives the access units that a browser makes of what it has got since the last call, and its packets. */
export function receiver(player: TestPlayer) {
  let pictures: RtpVideoFrame[] = [];
  const depacketizer = new H264Depacketizer({ onFrame: (frame) => pictures.push(frame) });
  return () => {
    pictures = [];
    const packets = player.peer.takeRtp();
    const video = packets.filter((packet) => rtpSsrc(packet) === player.video.ssrc);
    for (const packet of video) depacketizer.push(packet, 0);
    return { pictures, video, audio: packets.filter((packet) => rtpSsrc(packet) === player.audio.ssrc) };
  };
}
