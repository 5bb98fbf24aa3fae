/** One keyframe in Matroska on stdin → one PNG on stdout. Nothing of it is chosen by a user. */
export function snapshotArguments(): readonly string[] {
  return [
    ['-hide_banner', '-nostats', '-nostdin', '-loglevel', 'level+warning', '-threads', '1'],
    ['-f', 'matroska', '-i', 'pipe:0', '-map', '0:v:0', '-frames:v', '1'],
    ['-c:v', 'png', '-f', 'image2pipe', 'pipe:1'],
  ].flat();
}
