export interface AudioTranscodePipeline {
  /** Opus comes as Ogg; G.711 as bare samples, 8 kHz mono. */
  readonly codec: 'opus' | 'pcma' | 'pcmu';
  /** Silence at 48 kHz in front of the first input sample, 0 to 1023: puts frames on a grid that already exists. */
  readonly leadSamples: number;
  readonly bitrateBps: number;
}

const RAW_FORMAT = { pcma: 'alaw', pcmu: 'mulaw' } as const;

/** Audio on stdin → AAC-LC, 48 kHz stereo, as FLV on stdout (reference/ffmpeg.md §9 F). */
export function audioTranscodeArguments(pipeline: AudioTranscodePipeline): readonly string[] {
  const { codec, leadSamples } = pipeline;
  const lead = leadSamples > 0 ? `,adelay=delays=${leadSamples}S:all=1` : '';
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning'],
    ['-probesize', '32', '-analyzeduration', '0', '-threads', '1'],
    codec === 'opus' ? ['-f', 'ogg'] : ['-f', RAW_FORMAT[codec], '-ar', '8000', '-ac', '1'],
    ['-i', 'pipe:0', '-map', '0:a', '-filter_threads', '1'],
    ['-af', `aresample=48000:async=1:min_hard_comp=0.01:first_pts=0${lead}`],
    ['-c:a', 'aac', '-b:a', String(pipeline.bitrateBps), '-ar', '48000', '-ac', '2'],
    ['-flush_packets', '1', '-f', 'flv', '-flvflags', 'no_duration_filesize+no_metadata', 'pipe:1'],
  ].flat();
}
