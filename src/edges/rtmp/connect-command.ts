import { ProtocolError } from '../../domain/errors.ts';
import { amfObject, amfProperties, amfString } from '../../protocol/amf0/values.ts';
import type { AmfObject, AmfValue } from '../../protocol/amf0/values.ts';
import { parseRtmpApp } from '../../protocol/rtmp/client-url.ts';

/** What a client says of itself when it connects. */
export interface ConnectCommand {
  readonly appName: string;
  /** Of the URL's application part. */
  readonly params: ReadonlyMap<string, string>;
  readonly flashVersion: string;
  /** Of a second object, which Flash clients send; empty where there is none. */
  readonly login: string;
  readonly appKey: string;
  /** It announced some part of Enhanced RTMP. */
  readonly isEnhanced: boolean;
}

const MAX_TEXT_CHARS = 256;
const ENHANCED_PROPERTIES = ['fourCcList', 'videoFourCcInfoMap', 'audioFourCcInfoMap', 'capsEx'];
/** FourCcInfoMask CanDecode (Enhanced RTMP v2, "Enhancing NetConnection connect Command"). */
const CAN_DECODE = 1;

/**
 * Reads the arguments of `connect` behind its transaction id.
 *
 * @throws {ProtocolError} RTMP_CONNECT, and the codes of `parseRtmpApp`
 */
export function readConnect([properties, identity]: readonly AmfValue[]): ConnectCommand {
  const app = amfString(properties, 'app');
  if (app === undefined) throw new ProtocolError('RTMP_CONNECT', 'connect names no application');
  const { appName, params } = parseRtmpApp(app, amfString(properties, 'tcUrl'));
  const given = amfProperties(properties) ?? amfObject();
  return {
    appName,
    params,
    flashVersion: boundedText(properties, 'flashVer'),
    login: boundedText(identity, 'login'),
    appKey: boundedText(identity, 'appKey'),
    isEnhanced: ENHANCED_PROPERTIES.some((key) => given[key] !== undefined),
  };
}

/** The first object of the answer; an encoder that speaks Enhanced RTMP hears which of its codecs are taken. */
export function connectProperties(isEnhanced: boolean): AmfObject {
  const usual = { fmsVer: 'FMS/3,0,1,123', capabilities: 31 };
  if (!isEnhanced) return amfObject(usual);
  return amfObject({
    ...usual,
    fourCcList: ['avc1', 'Opus', 'mp4a'],
    videoFourCcInfoMap: amfObject({ avc1: CAN_DECODE }),
    audioFourCcInfoMap: amfObject({ Opus: CAN_DECODE, mp4a: CAN_DECODE }),
    capsEx: 0,
  });
}

/** Empty for what is no text, too long or not printable: it goes to logs and to the backend. */
function boundedText(value: AmfValue, key: string): string {
  const text = amfString(value, key) ?? '';
  return text.length <= MAX_TEXT_CHARS && /^[^\p{Cc}]*$/u.test(text) ? text : '';
}
