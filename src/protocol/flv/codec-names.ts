/** Adobe FLV v10.1 §E.4.3.1; 12 is what encoders sent HEVC as before there was Enhanced RTMP. */
const VIDEO_NAMES = new Map<number | string, string>([
  [2, 'Sorenson H.263'],
  [3, 'Screen video'],
  [4, 'VP6'],
  [5, 'VP6 with alpha'],
  [6, 'Screen video 2'],
  [7, 'H.264'],
  [12, 'HEVC'],
  ['avc1', 'H.264'],
  ['hvc1', 'HEVC'],
  ['vvc1', 'VVC'],
  ['av01', 'AV1'],
  ['vp08', 'VP8'],
  ['vp09', 'VP9'],
]);

/** Adobe FLV v10.1 §E.4.2.1. */
const AUDIO_NAMES = new Map<number | string, string>([
  [0, 'PCM'],
  [1, 'ADPCM'],
  [2, 'MP3'],
  [3, 'PCM'],
  [4, 'Nellymoser 16 kHz'],
  [5, 'Nellymoser 8 kHz'],
  [6, 'Nellymoser'],
  [7, 'G.711 A-law'],
  [8, 'G.711 mu-law'],
  [10, 'AAC'],
  [11, 'Speex'],
  [14, 'MP3'],
  ['mp4a', 'AAC'],
  ['Opus', 'Opus'],
  ['.mp3', 'MP3'],
  ['ac-3', 'AC-3'],
  ['ec-3', 'E-AC-3'],
  ['fLaC', 'FLAC'],
]);

/** The name of a video codec by its number in FLV or its FourCC (Enhanced RTMP v2), as text or as a number. */
export function videoCodecName(id: number | string): string {
  return nameOf(VIDEO_NAMES, id);
}

/** As `videoCodecName`, for sound. */
export function audioCodecName(id: number | string): string {
  return nameOf(AUDIO_NAMES, id);
}

function nameOf(names: ReadonlyMap<number | string, string>, id: number | string): string {
  const key = typeof id === 'number' && id > 0xff ? fourCcText(id) : id;
  return names.get(key) ?? (isPrintable(key) ? `codec ${key}` : 'an unknown codec');
}

function fourCcText(id: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id >>> 0);
  return bytes.toString('latin1');
}

/** Codec names go into logs, and come from outside. */
function isPrintable(id: number | string): boolean {
  return typeof id === 'number' || /^[ -~]{1,4}$/.test(id);
}
