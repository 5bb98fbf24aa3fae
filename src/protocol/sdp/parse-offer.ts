import { ProtocolError } from '../../domain/errors.ts';
import type { Direction, Offer, OfferSection } from './offer.ts';
import { readPayloads } from './payloads.ts';
import type { Fingerprint, RemoteTransport } from './transport.ts';

export interface OfferLimits {
  readonly maxChars: number;
  readonly maxLines: number;
  readonly maxSections: number;
}

/** Browsers send 6–9 KB and about 250 lines (reference/wcs-protocol.md §2.4). */
const DEFAULT_LIMITS: OfferLimits = { maxChars: 100_000, maxLines: 3000, maxSections: 16 };

const MAX_SSRCS_PER_SECTION = 64;
const MAX_FINGERPRINTS = 8;

interface Attribute {
  readonly name: string;
  readonly value: string;
}

/** A description cut at its m-lines; `attributes` are the `a=` lines in their order. */
interface RawSection {
  readonly mediaLine: string;
  readonly attributes: readonly Attribute[];
}

/**
 * Reads an offer (RFC 8866) the way browsers and the WCS SDK really write it: CRLF or LF, with or without `a=mid`, bundled or
 * not, with the holes that codec stripping leaves (reference/wcs-protocol.md §2.5). Unknown lines are skipped.
 *
 * Throws ProtocolError: SDP_TOO_LARGE (characters, lines or sections over the limit), SDP_VERSION (no `v=0` in front),
 * SDP_MEDIA_LINE (an m-line that cannot be answered), SDP_MID (a mid that is no token, or comes twice).
 */
export function parseOffer(sdp: string, limits: OfferLimits = DEFAULT_LIMITS): Offer {
  const raw = cutIntoSections(sdp, limits);
  const sections = raw.media.map((section) => readSection(section, raw.session));
  const mids = new Set<string>();
  for (const { mid } of sections) {
    if (mid === undefined) continue;
    if (mids.has(mid)) throw new ProtocolError('SDP_MID', 'the same mid comes twice');
    mids.add(mid);
  }
  return { sections, bundle: bundleGroup(raw.session).filter((mid) => mids.has(mid)) };
}

function cutIntoSections(sdp: string, limits: OfferLimits): { session: RawSection; media: RawSection[] } {
  if (sdp.length > limits.maxChars) throw new ProtocolError('SDP_TOO_LARGE', `${sdp.length} characters`);
  const lines = sdp.split(/\r\n|\n|\r/, limits.maxLines + 1);
  if (lines.length > limits.maxLines) throw new ProtocolError('SDP_TOO_LARGE', `more than ${limits.maxLines} lines`);
  if (lines[0]?.trim() !== 'v=0') throw new ProtocolError('SDP_VERSION', 'the description does not begin with v=0');

  let attributes: Attribute[] = [];
  const session: RawSection = { mediaLine: '', attributes };
  const media: RawSection[] = [];
  for (const line of lines) {
    if (line.startsWith('m=')) {
      if (media.length === limits.maxSections) throw new ProtocolError('SDP_TOO_LARGE', 'too many sections');
      attributes = [];
      media.push({ mediaLine: line.slice(2).trim(), attributes });
    } else if (line.startsWith('a=')) {
      const text = line.slice(2).trim();
      const colon = text.indexOf(':');
      attributes.push(
        colon === -1 ? { name: text, value: '' } : { name: text.slice(0, colon), value: text.slice(colon + 1).trim() },
      );
    }
  }
  return { session, media };
}

/** `<media> <port>[/<count>] <protocol> <formats>`, printable ASCII because most of it goes back in the answer. */
const MEDIA_LINE = /^([!-~]{1,32}) (\d{1,5})(?:\/\d{1,5})? ([!-~]{1,64}) ([ -~]+)$/;

function readSection(section: RawSection, session: RawSection): OfferSection {
  const line = MEDIA_LINE.exec(section.mediaLine);
  if (!line) throw new ProtocolError('SDP_MEDIA_LINE', 'an m-line is not <media> <port> <protocol> <formats>');
  const [, media = '', portText = '', protocol = '', formats = ''] = line;
  const port = Number(portText);
  if (port > 65_535) throw new ProtocolError('SDP_MEDIA_LINE', `port ${port}`);
  const first = (name: string): string | undefined => section.attributes.find((one) => one.name === name)?.value;
  const has = (name: string): boolean => section.attributes.some((one) => one.name === name);
  const ssrcs = readSsrcs(section);
  return {
    kind: media === 'audio' || media === 'video' ? media : 'other',
    media,
    mid: readMid(first('mid')),
    port,
    protocol,
    formats,
    direction: readDirection(section) ?? readDirection(session) ?? 'sendrecv',
    payloads: readPayloads(
      formats,
      valuesOf(section, 'rtpmap'),
      valuesOf(section, 'fmtp'),
      valuesOf(section, 'rtcp-fb'),
    ),
    extensions: readExtensions([...valuesOf(session, 'extmap'), ...valuesOf(section, 'extmap')]),
    transport: readTransport(section, session),
    rtcpMux: has('rtcp-mux') || has('rtcp-mux-only'),
    rtcpReducedSize: has('rtcp-rsize'),
    bundleOnly: has('bundle-only'),
    ssrcs,
    fid: readFid(section),
    msid: first('msid')?.split(' ', 1)[0],
  };
}

function valuesOf(section: RawSection, name: string): string[] {
  return section.attributes.filter((one) => one.name === name).map((one) => one.value);
}

/** RFC 5888 §4: a token. Tolerated as absent (old clients), not as something else, because it is given back. */
function readMid(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (!/^[!-~]{1,64}$/.test(text)) throw new ProtocolError('SDP_MID', 'a mid is not a token');
  return text;
}

const DIRECTIONS: readonly string[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] satisfies Direction[];

function isDirection(name: string): name is Direction {
  return DIRECTIONS.includes(name);
}

function readDirection(section: RawSection): Direction | undefined {
  return section.attributes.map((one) => one.name).find(isDirection);
}

/** RFC 8285 §5: `<id>[/<direction>] <uri> [<attributes>]`. */
function readExtensions(values: readonly string[]): Map<string, number> {
  const extensions = new Map<string, number>();
  for (const value of values) {
    const parts = /^(\d{1,5})(?:\/[a-z]+)? (\S+)/.exec(value);
    const id = Number(parts?.[1] ?? 0);
    if (parts?.[2] !== undefined && id >= 1 && id <= 255) extensions.set(parts[2], id);
  }
  return extensions;
}

/** The lengths of RFC 8839 §5.4; RFC 8122 §5 for fingerprints. A section inherits what only the session says. */
function readTransport(section: RawSection, session: RawSection): RemoteTransport | undefined {
  const inherited = (name: string): string[] => {
    const own = valuesOf(section, name);
    return own.length > 0 ? own : valuesOf(session, name);
  };
  const iceUfrag = inherited('ice-ufrag')[0] ?? '';
  const icePwd = inherited('ice-pwd')[0] ?? '';
  const fingerprints = inherited('fingerprint')
    .slice(0, MAX_FINGERPRINTS)
    .map(readFingerprint)
    .filter((one) => one !== undefined);
  if (!/^[!-~]{4,256}$/.test(iceUfrag) || !/^[!-~]{22,256}$/.test(icePwd) || fingerprints.length === 0) {
    return undefined;
  }
  const setup = inherited('setup')[0];
  return { iceUfrag, icePwd, fingerprints, setup: setup === 'active' || setup === 'passive' ? setup : 'actpass' };
}

function readFingerprint(value: string): Fingerprint | undefined {
  const parts = /^([\w-]{1,32}) +((?:[\da-f]{2}:){15,63}[\da-f]{2})$/i.exec(value);
  if (!parts?.[1] || !parts[2]) return undefined;
  return { algorithm: parts[1].toLowerCase(), value: parts[2].toUpperCase() };
}

function readSsrcs(section: RawSection): number[] {
  const ssrcs = new Set<number>();
  for (const value of valuesOf(section, 'ssrc')) {
    const ssrc = readSsrc(value.split(' ', 1)[0]);
    if (ssrc !== undefined && ssrcs.size < MAX_SSRCS_PER_SECTION) ssrcs.add(ssrc);
  }
  return [...ssrcs];
}

function readFid(section: RawSection): OfferSection['fid'] {
  for (const value of valuesOf(section, 'ssrc-group')) {
    const [semantics, media, retransmission] = value.split(' ');
    const ssrc = readSsrc(media);
    const rtxSsrc = readSsrc(retransmission);
    if (semantics === 'FID' && ssrc !== undefined && rtxSsrc !== undefined) return { ssrc, rtxSsrc };
  }
  return undefined;
}

function readSsrc(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const ssrc = Number(text);
  return ssrc <= 0xff_ff_ff_ff ? ssrc : undefined;
}

function bundleGroup(session: RawSection): string[] {
  const group = valuesOf(session, 'group').find((value) => value.startsWith('BUNDLE '));
  return group === undefined ? [] : group.split(' ').slice(1);
}
