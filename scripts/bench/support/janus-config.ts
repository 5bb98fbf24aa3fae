import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface JanusConfig {
  readonly address: string;
  readonly webSocketPort: number;
  readonly audioPort: number;
  readonly videoPort: number;
  /** undefined = as shipped: a thread for each viewer. */
  readonly eventLoops: number | undefined;
}

export const MOUNTPOINT_ID = 1;

/**
 * Writes a configuration with one RTP mountpoint into a directory of its own, which the caller removes. Everything that
 * costs CPU per packet is as Debian ships it; modules that are not needed are off.
 */
export async function writeJanusConfig(config: JanusConfig, pluginsDirectory: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-janus-'));
  const modules = dirname(pluginsDirectory);
  const others = async (kind: string, wanted: string): Promise<string> => {
    const files = await readdir(join(modules, kind));
    return files.filter((file) => file.endsWith('.so') && file !== wanted).join(',');
  };
  const files = {
    'janus.jcfg': `general: {
  configs_folder = "${directory}"
  plugins_folder = "${pluginsDirectory}"
  transports_folder = "${join(modules, 'transports')}"
  events_folder = "${join(modules, 'events')}"
  loggers_folder = "${join(modules, 'loggers')}"
  debug_level = 3
  ${config.eventLoops === undefined ? '' : `event_loops = ${config.eventLoops}`}
}
nat: { ice_enforce_list = "${config.address}" }
plugins: { disable = "${await others('plugins', 'libjanus_streaming.so')}" }
transports: { disable = "${await others('transports', 'libjanus_websockets.so')}" }
`,
    'janus.transport.websockets.jcfg': `general: {
  json = "compact"
  ws = true
  ws_port = ${config.webSocketPort}
  ws_ip = "127.0.0.1"
}
`,
    'janus.plugin.streaming.jcfg': `bench: {
  type = "rtp"
  id = ${MOUNTPOINT_ID}
  audio = true
  audioport = ${config.audioPort}
  audiopt = 111
  audiocodec = "opus"
  video = true
  videoport = ${config.videoPort}
  videopt = 96
  videocodec = "vp8"
}
`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}
