import { AppError } from '../../domain/errors.ts';
import {
  choosePlayAudio,
  choosePlayVideo,
  choosePublishAudio,
  choosePublishVideo,
  profileOf,
  type Choice,
} from './choose-codec.ts';
import type { Direction, Offer, OfferPayload, OfferSection } from './offer.ts';
import type {
  AnswerPlan,
  AnswerSection,
  Feedback,
  PlayOptions,
  PlayPlan,
  PlaySource,
  PublishOptions,
  PublishPlan,
  PublishTrack,
  RtpAudioCodec,
  RtpCodec,
  RtpVideoCodec,
  TrackPlan,
} from './plan.ts';
import type { RemoteTransport } from './transport.ts';

export const TRANSPORT_CC_URI = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';

/**
 * Decides what a publisher sends: one audio and one video section at most, the first usable of each kind. Everything else is
 * answered with port 0 (reference/wcs-protocol.md §2.4).
 *
 * Throws AppError: BAD_SDP (an offer without audio and video sections), NO_COMMON_CODECS (nothing of it can be taken, MSE and
 * WSPlayer offers without ICE included).
 */
export function negotiatePublish(offer: Offer, options: PublishOptions): PublishPlan {
  const agreed = agree(offer, ['sendonly', 'sendrecv'], {
    video: choosePublishVideo,
    audio: choosePublishAudio,
  });
  const publishTrack = <Codec extends RtpCodec>({ section, choice, transportIndex }: Agreed<Codec>) => {
    const extensionId = section.extensions.get(TRANSPORT_CC_URI);
    const offered = feedbackOf(section, choice.payload);
    const transportCc = extensionId !== undefined && offered.transportCc;
    const track: PublishTrack<Codec> = {
      ...trackOf(choice, transportIndex, { ...offered, transportCc, googRemb: offered.googRemb && !transportCc }),
      ssrc: section.fid?.ssrc ?? section.ssrcs[0],
      rtxSsrc: choice.payload.rtxPt === undefined ? undefined : section.fid?.rtxSsrc,
      transportCcExtensionId: transportCc ? extensionId : undefined,
    };
    return track;
  };
  return {
    transports: agreed.transports,
    video: agreed.video && publishTrack(agreed.video),
    audio: agreed.audio && publishTrack(agreed.audio),
    answer: answerPlan(offer, agreed, options, options.maxBitrateKbps),
  };
}

/**
 * Decides what a player gets: the source's tracks in the source's codecs, as far as the offer has a section for them.
 * Throws as `negotiatePublish`.
 */
export function negotiatePlay(offer: Offer, source: PlaySource, options: PlayOptions): PlayPlan {
  const { video, audio } = source;
  const agreed = agree(offer, ['recvonly', 'sendrecv'], {
    video: (section) => video && choosePlayVideo(section, video),
    audio: (section) => audio && choosePlayAudio(section, audio),
  });
  const playTrack = <Codec extends RtpCodec>({ section, choice, transportIndex }: Agreed<Codec>): TrackPlan<Codec> =>
    trackOf(choice, transportIndex, { ...feedbackOf(section, choice.payload), transportCc: false });
  return {
    transports: agreed.transports,
    video: agreed.video && playTrack(agreed.video),
    audio: agreed.audio && playTrack(agreed.audio),
    answer: answerPlan(offer, agreed, options, 0),
  };
}

interface Agreed<Codec extends RtpCodec> {
  readonly section: OfferSection;
  readonly choice: Choice<Codec>;
  readonly transportIndex: number;
}

interface Agreement {
  readonly transports: readonly RemoteTransport[];
  readonly video: Agreed<RtpVideoCodec> | undefined;
  readonly audio: Agreed<RtpAudioCodec> | undefined;
}

interface Choosers {
  readonly video: (section: OfferSection) => Choice<RtpVideoCodec> | undefined;
  readonly audio: (section: OfferSection) => Choice<RtpAudioCodec> | undefined;
}

function agree(offer: Offer, directions: readonly Direction[], choose: Choosers): Agreement {
  if (!offer.sections.some((section) => section.kind !== 'other')) {
    throw new AppError('BAD_SDP', 'the offer has neither an audio nor a video section');
  }
  const transports: RemoteTransport[] = [];
  let bundleIndex: number | undefined;
  let video: Agreed<RtpVideoCodec> | undefined;
  let audio: Agreed<RtpAudioCodec> | undefined;

  const transportIndexOf = (section: OfferSection): number | undefined => {
    const inBundle = isInBundle(offer, section);
    if (inBundle && bundleIndex !== undefined) return bundleIndex;
    const transport = section.transport ?? (inBundle ? bundleTransport(offer) : undefined);
    if (!transport) return undefined;
    const index = transports.push(transport) - 1;
    if (inBundle) bundleIndex = index;
    return index;
  };

  for (const section of offer.sections) {
    if (!isUsable(offer, section, directions)) continue;
    if (section.kind === 'video' && !video) {
      const choice = choose.video(section);
      const transportIndex = choice && transportIndexOf(section);
      if (choice && transportIndex !== undefined) video = { section, choice, transportIndex };
    } else if (section.kind === 'audio' && !audio) {
      const choice = choose.audio(section);
      const transportIndex = choice && transportIndexOf(section);
      if (choice && transportIndex !== undefined) audio = { section, choice, transportIndex };
    }
  }
  if (!video && !audio) throw new AppError('NO_COMMON_CODECS', 'nothing in the offer can be taken');
  return { transports, video, audio };
}

/** We have one port for each transport, so a section must allow RTP and RTCP on it (RFC 5761), over DTLS-SRTP (RFC 5764). */
function isUsable(offer: Offer, section: OfferSection, directions: readonly Direction[]): boolean {
  const isOpen = section.port !== 0 || (section.bundleOnly && isInBundle(offer, section));
  return isOpen && section.rtcpMux && /RTP\/SAVPF?$/.test(section.protocol) && directions.includes(section.direction);
}

function isInBundle(offer: Offer, section: OfferSection): boolean {
  return section.mid !== undefined && offer.bundle.includes(section.mid);
}

/** A bundle-only section has no transport of its own; it uses the one of the group's first section that has (RFC 9143 §7.2). */
function bundleTransport(offer: Offer): RemoteTransport | undefined {
  for (const mid of offer.bundle) {
    const transport = offer.sections.find((section) => section.mid === mid)?.transport;
    if (transport) return transport;
  }
  return undefined;
}

function trackOf<Codec extends RtpCodec>(
  { codec, payload }: Choice<Codec>,
  transportIndex: number,
  feedback: Feedback,
): TrackPlan<Codec> {
  return {
    codec,
    payloadType: payload.pt,
    clockRateHz: payload.clockRateHz,
    channels: payload.channels,
    rtxPayloadType: payload.rtxPt,
    h264ProfileLevelId: codec === 'h264' ? profileOf(payload) : undefined,
    feedback,
    transportIndex,
  };
}

/**
 * What the browser offers and we do: for audio only transport-cc. A video payload without any feedback line among others that
 * have some lost its lines to codec stripping (reference/wcs-protocol.md §2.5): the browser still does what the others say.
 */
function feedbackOf(section: OfferSection, payload: OfferPayload): Feedback {
  const isVideo = section.kind === 'video';
  const isStripped = isVideo && payload.rtcpFb.size === 0;
  const offers = (name: string): boolean =>
    isStripped ? section.payloads.some((one) => one.rtcpFb.has(name)) : payload.rtcpFb.has(name);
  return {
    nack: isVideo && offers('nack'),
    nackPli: isVideo && offers('nack pli'),
    ccmFir: isVideo && offers('ccm fir'),
    googRemb: isVideo && offers('goog-remb'),
    transportCc: offers('transport-cc'),
  };
}

function answerPlan(offer: Offer, agreed: Agreement, options: PlayOptions, maxBitrateKbps: number): AnswerPlan {
  return {
    mediaSessionId: options.mediaSessionId,
    createdMs: options.createdMs,
    maxBitrateKbps,
    bundle: offer.bundle.length > 0,
    sections: offer.sections.map((section): AnswerSection => {
      const { mid, protocol } = section;
      const track = section === agreed.video?.section ? agreed.video : agreed.audio;
      if (section !== track?.section || section.kind === 'other') {
        return { accepted: false, media: section.media, mid, protocol, formats: section.formats };
      }
      return {
        accepted: true,
        kind: section.kind,
        mid,
        protocol,
        transportIndex: track.transportIndex,
        inBundle: isInBundle(offer, section),
        rtcpReducedSize: section.rtcpReducedSize,
        fmtp: answerFmtp(track.choice),
      };
    }),
  };
}

function answerFmtp({ codec, payload }: Choice<RtpCodec>): string {
  if (codec === 'h264') {
    const mode = payload.fmtp.get('packetization-mode') === '1' ? 1 : 0;
    const profile = profileOf(payload);
    return `level-asymmetry-allowed=1;packetization-mode=${mode}${profile ? `;profile-level-id=${profile}` : ''}`;
  }
  return codec === 'opus' ? opusFmtp(payload) : '';
}

/** Stereo is kept in both directions whenever either side of it was offered (RFC 7587 §7.1). */
function opusFmtp({ fmtp }: OfferPayload): string {
  const isStereo = fmtp.get('stereo') === '1' || fmtp.get('sprop-stereo') === '1';
  const minPtimeMs = Number(fmtp.get('minptime'));
  return [
    ...(Number.isInteger(minPtimeMs) && minPtimeMs > 0 ? [`minptime=${minPtimeMs}`] : []),
    ...(fmtp.get('useinbandfec') === '1' ? ['useinbandfec=1'] : []),
    ...(isStereo ? ['stereo=1', 'sprop-stereo=1'] : []),
  ].join(';');
}
