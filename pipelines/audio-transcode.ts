export interface AudioTranscodePipeline {
  /** Opus comes as Ogg, AAC as Matroska; G.711 as bare samples, 8 kHz mono; what an FLV file may carry as that. */
  readonly from: 'opus' | 'aac' | 'pcma' | 'pcmu' | 'flv';
  readonly to: 'aac' | 'opus';
  /** Silence at 48 kHz in front of the first input sample, less than a frame: puts frames on a grid that already exists. */
  readonly leadSamples: number;
  readonly bitrateBps: number;
}

const INPUT: Record<AudioTranscodePipeline['from'], readonly string[]> = {
  opus: ['-f', 'ogg'],
  aac: ['-f', 'matroska'],
  pcma: ['-f', 'alaw', '-ar', '8000', '-ac', '1'],
  pcmu: ['-f', 'mulaw', '-ar', '8000', '-ac', '1'],
  flv: ['-f', 'flv'],
};

const ENCODER: Record<AudioTranscodePipeline['to'], readonly string[]> = {
  aac: ['-c:a', 'aac'],
  opus: ['-c:a', 'libopus', '-application', 'audio', '-frame_duration', '20'],
};

const OUTPUT: Record<AudioTranscodePipeline['to'], readonly string[]> = {
  aac: ['-f', 'flv', '-flvflags', 'no_duration_filesize+no_metadata'],
  opus: ['-f', 'ogg', '-page_duration', '20000'],
};

/** Audio on stdin → AAC-LC as FLV or Opus in frames of 20 ms as Ogg on stdout, 48 kHz stereo (reference/ffmpeg.md §6, §9 F). */
export function audioTranscodeArguments(pipeline: AudioTranscodePipeline): readonly string[] {
  const { from, to, leadSamples } = pipeline;
  const lead = leadSamples > 0 ? `,adelay=delays=${leadSamples}S:all=1` : '';
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning'],
    ['-probesize', '32', '-analyzeduration', '0', '-threads', '1'],
    INPUT[from],
    ['-i', 'pipe:0', '-map', '0:a', '-filter_threads', '1'],
    ['-af', `aresample=48000:async=1:min_hard_comp=0.01:first_pts=0${lead}`],
    ENCODER[to],
    ['-b:a', String(pipeline.bitrateBps), '-ar', '48000', '-ac', '2'],
    ['-flush_packets', '1'],
    OUTPUT[to],
    ['pipe:1'],
  ].flat();
}
