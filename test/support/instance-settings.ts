import { join } from 'node:path';

/** Settings by which an instance is in nobody's way: free ports, and all its files below `directory`. */
export function instanceSettings(directory: string): Readonly<Record<string, string>> {
  return {
    'ws.port': '0',
    'wss.port': '0',
    'http.port': '0',
    'https.port': '0',
    'rtmp.port': '0',
    media_port_from: '0',
    data_dir: join(directory, 'data'),
    media_dir: join(directory, 'media'),
    records_dir: join(directory, 'records'),
  };
}
