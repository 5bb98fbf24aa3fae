export interface SoundFilePipeline {
  /** Absolute and already checked to be inside the media directory. */
  readonly path: string;
  readonly bitrateBps: number;
  /** Anything longer is cut. */
  readonly maxDurationSeconds: number;
}

/** A WAV file → AAC-LC, 48 kHz stereo, as FLV on stdout, as fast as it goes. `file:` keeps a name from being an option or a URL. */
export function soundFileArguments(pipeline: SoundFilePipeline): readonly string[] {
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning', '-protocol_whitelist', 'file,pipe'],
    ['-f', 'wav', '-t', String(pipeline.maxDurationSeconds), '-i', `file:${pipeline.path}`],
    ['-map', '0:a:0', '-c:a', 'aac', '-b:a', String(pipeline.bitrateBps), '-ar', '48000', '-ac', '2'],
    ['-f', 'flv', '-flvflags', 'no_duration_filesize+no_metadata', 'pipe:1'],
  ].flat();
}
