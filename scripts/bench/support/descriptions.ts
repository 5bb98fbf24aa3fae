import { clientFingerprint, type RemoteEnd, type RtcClient } from './rtc-client.ts';

export interface DescribedTrack {
  readonly kind: 'audio' | 'video';
  readonly mid: string;
  readonly payloadType: number;
  /** As in `a=rtpmap`: name, clock rate and channels. */
  readonly codec: string;
  readonly fmtp?: string | undefined;
  readonly ssrc?: number | undefined;
}

export interface Description {
  readonly client: RtcClient;
  readonly direction: 'sendonly' | 'recvonly';
  readonly setup: 'actpass' | 'active';
  readonly tracks: readonly DescribedTrack[];
  /** Where the client can be reached; not needed by an ICE-lite server. */
  readonly address?: string;
}

/** An offer or answer with everything that a server asks of one and nothing else. */
export function describeClient({ client, direction, setup, tracks, address }: Description): string {
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${tracks.map(({ mid }) => mid).join(' ')}`,
  ];
  for (const { kind, mid, payloadType, codec, fmtp, ssrc } of tracks) {
    lines.push(
      `m=${kind} 9 UDP/TLS/RTP/SAVPF ${payloadType}`,
      'c=IN IP4 0.0.0.0',
      `a=ice-ufrag:${client.iceUfrag}`,
      `a=ice-pwd:${client.icePwd}`,
      `a=fingerprint:${clientFingerprint}`,
      `a=setup:${setup}`,
      `a=mid:${mid}`,
      `a=${direction}`,
      'a=rtcp-mux',
      `a=rtpmap:${payloadType} ${codec}`,
    );
    if (fmtp) lines.push(`a=fmtp:${payloadType} ${fmtp}`);
    if (kind === 'video') lines.push(...['nack', 'nack pli', 'ccm fir'].map((fb) => `a=rtcp-fb:${payloadType} ${fb}`));
    if (ssrc !== undefined) lines.push(`a=ssrc:${ssrc} cname:bench`);
    if (address) lines.push(`a=candidate:1 1 udp 2130706431 ${address} ${client.port} typ host`, 'a=end-of-candidates');
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** Reads the first transport with a UDP candidate on `address` from a server's description. */
export function remoteEndOf(sdp: string, address: string): RemoteEnd {
  const iceUfrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
  const icePwd = /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1];
  const candidates = [...sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host/gim)];
  const candidate = candidates.find(([, host]) => host === address);
  if (!iceUfrag || !icePwd || !candidate)
    throw new Error(`no candidate on ${address} in the description of the server`);
  return { iceUfrag, icePwd, address, port: Number(candidate[2]) };
}

/** The first SSRC of each section. */
export function ssrcsOf(sdp: string): number[] {
  return sdp
    .split(/^m=/m)
    .slice(1)
    .map((section) => Number(/^a=ssrc:(\d+)/m.exec(section)?.[1] ?? 0))
    .filter((ssrc) => ssrc > 0);
}
