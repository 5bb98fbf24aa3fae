export interface SoundFilePipeline {
  /** Absolute and already checked to be inside the media directory. */
  readonly path: string;
  readonly bitrateBps: number;
  readonly sampleRateHz: number;
  readonly channels: number;
  /** Anything longer is cut. */
  readonly maxDurationSeconds: number;
}

/** A WAV file → AAC-LC as FLV on stdout, as fast as it goes. `file:` keeps a name from being an option or a URL. */
export function soundFileArguments(pipeline: SoundFilePipeline): readonly string[] {
  const { path, bitrateBps, sampleRateHz, channels, maxDurationSeconds } = pipeline;
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning', '-protocol_whitelist', 'file,pipe'],
    ['-f', 'wav', '-t', String(maxDurationSeconds), '-i', `file:${path}`],
    ['-map', '0:a:0', '-c:a', 'aac', '-b:a', String(bitrateBps)],
    ['-ar', String(sampleRateHz), '-ac', String(channels)],
    ['-f', 'flv', '-flvflags', 'no_duration_filesize+no_metadata', 'pipe:1'],
  ].flat();
}
