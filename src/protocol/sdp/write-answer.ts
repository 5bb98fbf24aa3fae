import { TRANSPORT_CC_URI } from './negotiate.ts';
import type {
  AnswerPlan,
  AnswerSection,
  Feedback,
  PlayPlan,
  PlaySsrcs,
  PublishPlan,
  RtpCodec,
  TrackPlan,
} from './plan.ts';
import type { Candidate, LocalTransport } from './transport.ts';

/** The answer to a publisher. `locals` has one entry for each of the plan's transports, in their order. CRLF lines. */
export function writePublishAnswer(plan: PublishPlan, locals: readonly LocalTransport[]): string {
  return writeAnswer(plan, locals, 'recvonly', (kind) => {
    const extensionId = plan[kind]?.transportCcExtensionId;
    return extensionId === undefined ? [] : [`a=extmap:${extensionId} ${TRANSPORT_CC_URI}`];
  });
}

/** The answer to a player. One stream id for both tracks: the SDK shows only the first stream of a track event. */
export function writePlayAnswer(plan: PlayPlan, locals: readonly LocalTransport[], ssrcs: PlaySsrcs): string {
  return writeAnswer(plan, locals, 'sendonly', (kind) => sourceLines(kind, plan.answer.mediaSessionId, ssrcs));
}

/** The canonical name of a player's track, also for its RTCP source description (RFC 7022). */
export function canonicalName(kind: 'audio' | 'video', mediaSessionId: string): string {
  return `rtp/${kind}/${mediaSessionId}`;
}

const ENCODING_NAMES: Record<RtpCodec, string> = {
  h264: 'H264',
  vp8: 'VP8',
  opus: 'opus',
  pcma: 'PCMA',
  pcmu: 'PCMU',
};

interface Plan {
  readonly video?: TrackPlan | undefined;
  readonly audio?: TrackPlan | undefined;
  readonly answer: AnswerPlan;
}

type AcceptedSection = Extract<AnswerSection, { accepted: true }>;

function writeAnswer(
  plan: Plan,
  locals: readonly LocalTransport[],
  direction: 'recvonly' | 'sendonly',
  extraLines: (kind: 'audio' | 'video') => string[],
): string {
  const { answer } = plan;
  const described = new Set<number>();
  const sections = answer.sections.flatMap((section) => {
    const track = section.accepted ? plan[section.kind] : undefined;
    const local = section.accepted ? locals[section.transportIndex] : undefined;
    if (!section.accepted || !track || !local) return rejectedLines(section);
    const withCandidates = !described.has(section.transportIndex);
    described.add(section.transportIndex);
    return [
      ...headLines(section, track, local, answer.maxBitrateKbps),
      ...transportLines(local, withCandidates),
      ...(section.mid === undefined ? [] : [`a=mid:${section.mid}`]),
      `a=${direction}`,
      'a=rtcp-mux',
      ...(section.rtcpReducedSize ? ['a=rtcp-rsize'] : []),
      ...codecLines(section, track),
      ...extraLines(section.kind),
    ];
  });
  const grouped = answer.sections.flatMap((one) => (one.accepted && one.inBundle && one.mid ? [one.mid] : []));
  const lines = [
    'v=0',
    `o=Transponder 0 ${answer.createdMs} ${address(locals[0]?.candidates[0])}`,
    's=Transponder/1.0',
    't=0 0',
    ...(answer.bundle && grouped.length > 0 ? [`a=group:BUNDLE ${grouped.join(' ')}`] : []),
    'a=ice-lite',
    ...sections,
  ];
  return `${lines.join('\r\n')}\r\n`;
}

/** RFC 3264 §6: a refused section keeps its place, and its mid, with port 0. */
function rejectedLines(section: AnswerSection): string[] {
  const media = section.accepted ? section.kind : section.media;
  const formats = section.accepted ? '0' : section.formats;
  return [
    `m=${media} 0 ${section.protocol} ${formats}`,
    'c=IN IP4 0.0.0.0',
    ...(section.mid === undefined ? [] : [`a=mid:${section.mid}`]),
    'a=inactive',
  ];
}

function headLines(
  section: AcceptedSection,
  track: TrackPlan,
  local: LocalTransport,
  maxBitrateKbps: number,
): string[] {
  const candidate = local.candidates.find((one) => one.protocol === 'udp');
  const formats = [track.payloadType, ...(track.rtxPayloadType === undefined ? [] : [track.rtxPayloadType])];
  const limited = section.kind === 'video' && maxBitrateKbps > 0;
  return [
    `m=${section.kind} ${candidate?.port ?? 9} ${section.protocol} ${formats.join(' ')}`,
    `c=${address(candidate)}`,
    ...(limited ? [`b=AS:${maxBitrateKbps}`, `b=TIAS:${maxBitrateKbps * 1000}`] : []),
  ];
}

function address(candidate: Candidate | undefined): string {
  if (!candidate) return 'IN IP4 0.0.0.0';
  return `IN ${candidate.address.includes(':') ? 'IP6' : 'IP4'} ${candidate.address}`;
}

/** RFC 8839 §5.1, RFC 6544 §4.5 (passive TCP), RFC 8842 §5. There is no trickle: all candidates are here. */
function transportLines(local: LocalTransport, withCandidates: boolean): string[] {
  const candidates = local.candidates.map(
    (one) =>
      `a=candidate:${one.foundation} 1 ${one.protocol} ${one.priority} ${one.address} ${one.port} typ host` +
      (one.protocol === 'tcp' ? ' tcptype passive' : ''),
  );
  return [
    `a=ice-ufrag:${local.iceUfrag}`,
    `a=ice-pwd:${local.icePwd}`,
    `a=fingerprint:${local.fingerprint.algorithm} ${local.fingerprint.value}`,
    `a=setup:${local.setup}`,
    ...(withCandidates ? [...candidates, 'a=end-of-candidates'] : []),
  ];
}

/** `fmtp` comes right after its `rtpmap`: the SDK edits the line that follows (reference/wcs-protocol.md §2.5). */
function codecLines(section: AcceptedSection, track: TrackPlan): string[] {
  const { payloadType, rtxPayloadType, clockRateHz } = track;
  const channels = track.channels > 1 ? `/${track.channels}` : '';
  return [
    `a=rtpmap:${payloadType} ${ENCODING_NAMES[track.codec]}/${clockRateHz}${channels}`,
    ...(section.fmtp === '' ? [] : [`a=fmtp:${payloadType} ${section.fmtp}`]),
    ...feedbackNames(track.feedback).map((name) => `a=rtcp-fb:${payloadType} ${name}`),
    ...(rtxPayloadType === undefined
      ? []
      : [`a=rtpmap:${rtxPayloadType} rtx/${clockRateHz}`, `a=fmtp:${rtxPayloadType} apt=${payloadType}`]),
    ...(section.kind === 'audio' ? ['a=ptime:20'] : []),
  ];
}

function feedbackNames(feedback: Feedback): string[] {
  return [
    ...(feedback.googRemb ? ['goog-remb'] : []),
    ...(feedback.transportCc ? ['transport-cc'] : []),
    ...(feedback.ccmFir ? ['ccm fir'] : []),
    ...(feedback.nack ? ['nack'] : []),
    ...(feedback.nackPli ? ['nack pli'] : []),
  ];
}

/** Chromium takes the first `a=ssrc` line of a section as the media's SSRC, so the retransmissions' comes second. */
function sourceLines(kind: 'audio' | 'video', mediaSessionId: string, ssrcs: PlaySsrcs): string[] {
  const ssrc = ssrcs[kind]?.ssrc;
  if (ssrc === undefined) return [];
  const rtxSsrc = kind === 'video' ? ssrcs.video?.rtxSsrc : undefined;
  const msid = `${mediaSessionId} ${kind}-${mediaSessionId}`;
  const lines = [`a=msid:${msid}`];
  for (const one of rtxSsrc === undefined ? [ssrc] : [ssrc, rtxSsrc]) {
    lines.push(`a=ssrc:${one} cname:${canonicalName(kind, mediaSessionId)}`, `a=ssrc:${one} msid:${msid}`);
  }
  if (rtxSsrc !== undefined) lines.push(`a=ssrc-group:FID ${ssrc} ${rtxSsrc}`);
  return lines;
}
