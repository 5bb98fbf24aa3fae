import type { OfferPayload, OfferSection } from './offer.ts';
import type { PlaySource, RtpAudioCodec, RtpVideoCodec } from './plan.ts';

/** A payload type of an offer whose codec we can forward. */
export interface Choice<Codec> {
  readonly codec: Codec;
  readonly payload: OfferPayload;
}

/**
 * What a publisher shall send. H.264 with `packetization-mode=1` first, because it goes to RTMP untranscoded: constrained
 * baseline, baseline, then what else is offered; then VP8; H.264 mode 0 last (browsers that have only that cut frames badly).
 */
export function choosePublishVideo(section: OfferSection): Choice<RtpVideoCodec> | undefined {
  const fragmenting = h264Payloads(section).filter(isFragmenting);
  const payload =
    fragmenting.find((one) => profileOf(one)?.startsWith('42e0')) ??
    fragmenting.find((one) => profileOf(one)?.startsWith('42')) ??
    fragmenting[0];
  if (payload) return { codec: 'h264', payload };
  const vp8 = section.payloads.find((one) => one.codec === 'vp8' && one.clockRateHz === 90_000);
  if (vp8) return { codec: 'vp8', payload: vp8 };
  const singleNal = h264Payloads(section)[0];
  return singleNal && { codec: 'h264', payload: singleNal };
}

/** Opus, else the G.711 law that the browser lists first. */
export function choosePublishAudio(section: OfferSection): Choice<RtpAudioCodec> | undefined {
  const usable = section.payloads.flatMap((payload) => {
    const codec = audioCodecOf(payload);
    return codec ? [{ codec, payload }] : [];
  });
  return usable.find((one) => one.codec === 'opus') ?? usable[0];
}

/**
 * The source's codec or nothing: players get packets as they are. Of H.264 payload types that allow fragments, nearest profile
 * first; a decoder that is offered a lower profile still takes its superset in practice. Who says nothing of fragments
 * (GStreamer) takes them as well, who rules them out does not.
 */
export function choosePlayVideo(
  section: OfferSection,
  source: NonNullable<PlaySource['video']>,
): Choice<RtpVideoCodec> | undefined {
  if (source.codec === 'vp8') {
    const payload = section.payloads.find((one) => one.codec === 'vp8' && one.clockRateHz === 90_000);
    return payload && { codec: 'vp8', payload };
  }
  const fragmenting = h264Payloads(section).filter(isFragmenting);
  const silent = h264Payloads(section).filter(({ fmtp }) => !fmtp.has('packetization-mode'));
  const usable = fragmenting.length > 0 ? fragmenting : silent;
  const profile = source.h264ProfileLevelId?.toLowerCase();
  const nearest = [profile, profile?.slice(0, 4), profile?.slice(0, 2), '42e0', '42'];
  for (const prefix of nearest) {
    const payload = prefix && usable.find((one) => profileOf(one)?.startsWith(prefix));
    if (payload) return { codec: 'h264', payload };
  }
  return usable[0] && { codec: 'h264', payload: usable[0] };
}

export function choosePlayAudio(
  section: OfferSection,
  source: NonNullable<PlaySource['audio']>,
): Choice<RtpAudioCodec> | undefined {
  const payload = section.payloads.find((one) => audioCodecOf(one) === source.codec);
  return payload && { codec: source.codec, payload };
}

/** Lower-case hex, undefined where the payload type has none or a broken one (RFC 6184 §8.1). */
export function profileOf(payload: OfferPayload): string | undefined {
  const profile = payload.fmtp.get('profile-level-id')?.toLowerCase();
  return profile !== undefined && /^[\da-f]{6}$/.test(profile) ? profile : undefined;
}

function h264Payloads(section: OfferSection): OfferPayload[] {
  return section.payloads.filter((one) => one.codec === 'h264' && one.clockRateHz === 90_000);
}

function isFragmenting(payload: OfferPayload): boolean {
  return payload.fmtp.get('packetization-mode') === '1';
}

/** Opus is always announced as 48000/2, whatever it carries (RFC 7587 §7). */
function audioCodecOf(payload: OfferPayload): RtpAudioCodec | undefined {
  if (payload.codec === 'opus' && payload.clockRateHz === 48_000 && payload.channels === 2) return 'opus';
  if (
    (payload.codec === 'pcma' || payload.codec === 'pcmu') &&
    payload.clockRateHz === 8000 &&
    payload.channels === 1
  ) {
    return payload.codec;
  }
  return undefined;
}
