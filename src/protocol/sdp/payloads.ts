import type { OfferPayload } from './offer.ts';

const MAX_PAYLOADS = 128;

interface Mapping {
  readonly codec: string;
  readonly clockRateHz: number;
  readonly channels: number;
}

/** Payload types that need no `rtpmap` (RFC 3551 §6); only those we can take. */
const STATIC_MAPPINGS: ReadonlyMap<number, Mapping> = new Map([
  [0, { codec: 'pcmu', clockRateHz: 8000, channels: 1 }],
  [8, { codec: 'pcma', clockRateHz: 8000, channels: 1 }],
]);

/**
 * The payload types of an m-line with what `rtpmap`, `fmtp` and `rtcp-fb` values say about them (RFC 8866 §6.6, §6.15,
 * RFC 4585 §4.2). Only what the m-line lists counts, and RTX (RFC 4588 §8.1) is folded into the payload it repairs: stripped
 * codecs leave both loose mappings and RTX entries that point nowhere (reference/wcs-protocol.md §2.5).
 */
export function readPayloads(
  formats: string,
  rtpmaps: readonly string[],
  fmtps: readonly string[],
  feedbacks: readonly string[],
): OfferPayload[] {
  const mappings = readMappings(rtpmaps);
  const parameters = readParameters(fmtps);
  const { byPayload, wildcard } = readFeedback(feedbacks);
  const listed = [...new Set(formats.split(' ').filter(isPayloadType).map(Number))].slice(0, MAX_PAYLOADS);

  const rtxByPayload = new Map<number, number>();
  for (const pt of listed) {
    const apt = parameters.get(pt)?.get('apt') ?? '';
    if (mappings.get(pt)?.codec !== 'rtx' || !isPayloadType(apt) || rtxByPayload.has(Number(apt))) continue;
    rtxByPayload.set(Number(apt), pt);
  }

  const payloads: OfferPayload[] = [];
  for (const pt of listed) {
    const mapping = mappings.get(pt) ?? STATIC_MAPPINGS.get(pt);
    if (!mapping || mapping.codec === 'rtx') continue;
    payloads.push({
      pt,
      ...mapping,
      fmtp: parameters.get(pt) ?? new Map<string, string>(),
      rtcpFb: new Set([...(byPayload.get(pt) ?? []), ...wildcard]),
      rtxPt: rtxByPayload.get(pt),
    });
  }
  return payloads;
}

/** Seven bits; written plainly, so that `+1` or `1e1` is no payload type. */
function isPayloadType(text: string): boolean {
  return /^\d{1,3}$/.test(text) && Number(text) <= 127;
}

/** `<pt> <encoding>/<clock rate>[/<channels>]`. */
function readMappings(values: readonly string[]): Map<number, Mapping> {
  const mappings = new Map<number, Mapping>();
  for (const value of values) {
    const parts = /^(\d{1,3}) +([\w.+-]{1,64})\/(\d{1,9})(?:\/(\d{1,3}))?$/.exec(value);
    if (!parts?.[1] || !parts[2] || !isPayloadType(parts[1])) continue;
    mappings.set(Number(parts[1]), {
      codec: parts[2].toLowerCase(),
      clockRateHz: Number(parts[3]),
      channels: parts[4] === undefined ? 1 : Number(parts[4]),
    });
  }
  return mappings;
}

/** `<pt> <key>=<value>;<key>=<value>`; a second line for the same payload type adds to the first, as in Chromium. */
function readParameters(values: readonly string[]): Map<number, Map<string, string>> {
  const parameters = new Map<number, Map<string, string>>();
  for (const value of values) {
    const blank = value.indexOf(' ');
    const pt = value.slice(0, blank);
    if (blank === -1 || !isPayloadType(pt)) continue;
    const own = parameters.get(Number(pt)) ?? new Map<string, string>();
    parameters.set(Number(pt), own);
    for (const part of value.slice(blank + 1).split(';')) {
      const equals = part.indexOf('=');
      const key = (equals === -1 ? part : part.slice(0, equals)).trim().toLowerCase();
      if (key !== '') own.set(key, equals === -1 ? '' : part.slice(equals + 1).trim());
    }
  }
  return parameters;
}

function readFeedback(values: readonly string[]): { byPayload: Map<number, Set<string>>; wildcard: Set<string> } {
  const byPayload = new Map<number, Set<string>>();
  const wildcard = new Set<string>();
  for (const value of values) {
    const [pt = '', ...words] = value.toLowerCase().split(/ +/);
    const feedback = words.join(' ');
    if (pt === '*') wildcard.add(feedback);
    if (!isPayloadType(pt)) continue;
    const own = byPayload.get(Number(pt)) ?? new Set<string>();
    byPayload.set(Number(pt), own.add(feedback));
  }
  return { byPayload, wildcard };
}
