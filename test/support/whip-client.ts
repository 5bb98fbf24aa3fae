import { AUDIO_TRACK, VIDEO_TRACK } from '../../scripts/bench/support/test-stream.ts';
import { describeClient, remoteEndOf } from '../../scripts/bench/support/descriptions.ts';
import { RtcClient } from '../../scripts/bench/support/rtc-client.ts';

const TRACKS = [AUDIO_TRACK, VIDEO_TRACK];

export interface WhipAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** One request to a WHIP or WHEP endpoint, or to a session of one. */
export async function whipRequest(
  method: 'POST' | 'DELETE' | 'PATCH' | 'OPTIONS',
  url: string | URL,
  { sdp, token }: { readonly sdp?: string; readonly token?: string } = {},
): Promise<WhipAnswer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(sdp !== undefined && { 'content-type': 'application/sdp' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(sdp !== undefined && { body: sdp }),
  });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

/** A connected client with real ICE and DTLS, and its session. */
export interface WhipPeer {
  readonly client: RtcClient;
  readonly session: URL;
  close(): void;
}

/** Publishes to `/whip/…`, or plays from `/whep/…`. Rejects unless the answer is 201. */
export async function connectWhip(url: string, token?: string): Promise<WhipPeer> {
  const isPublisher = new URL(url).pathname.startsWith('/whip/');
  const client = await RtcClient.open('127.0.0.1');
  try {
    const tracks = isPublisher ? TRACKS : TRACKS.map((track) => ({ ...track, ssrc: undefined }));
    const direction = isPublisher ? 'sendonly' : 'recvonly';
    const sdp = describeClient({ client, direction, setup: 'actpass', tracks });
    const { status, headers, body } = await whipRequest('POST', url, { sdp, ...(token !== undefined && { token }) });
    if (status !== 201) throw new Error(`${status}: ${body}`);
    await client.connect(remoteEndOf(body, '127.0.0.1'), 'controlling');
    return { client, session: new URL(headers.get('location')!, url), close: () => client.close() };
  } catch (error) {
    client.close();
    throw error;
  }
}
