import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { describeClient, remoteEndOf, ssrcsOf } from './descriptions.ts';
import type { Answer, Command } from './fanout-server.ts';
import type { FanoutTarget } from './fanout-target.ts';
import { RtcClient } from './rtc-client.ts';
import { AUDIO_TRACK, TestStream, VIDEO_TRACK } from './test-stream.ts';

export interface OurServerOptions {
  readonly name: string;
  readonly address: string;
  /** Another checkout of the project whose server is to run instead. */
  readonly checkout?: string | undefined;
  /** Options of node, for a profile of the server. */
  readonly execArgv?: readonly string[];
}

const SERVER_FILE = 'scripts/bench/support/fanout-server.ts';

/** Starts our media worker in a process of its own and publishes the test stream to it over ICE, DTLS and SRTP. */
export async function startOurServer({
  name,
  address,
  checkout,
  execArgv = [],
}: OurServerOptions): Promise<FanoutTarget> {
  const root = checkout ? pathToFileURL(`${checkout}/`) : new URL('../../../', import.meta.url);
  const child = fork(join(fileURLToPath(root), SERVER_FILE), [address], { execArgv: [...execArgv] });
  const exited = once(child, 'exit');
  const waiting = new Map<number, (answer: Answer) => void>();
  child.on('message', (answer: Answer) => waiting.get(answer.id)?.(answer));
  let commands = 0;
  const ask = async (type: Command['type'], sessionId = '', offerSdp = ''): Promise<Answer> => {
    const id = ++commands;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    child.send({ id, type, sessionId, offerSdp } satisfies Command);
    const answer = await Promise.race([answered, exited.then(() => Promise.reject(new Error(`${name} has ended`)))]);
    waiting.delete(id);
    if (answer.error) throw new Error(`${name}: ${answer.error}`);
    return answer;
  };

  const tracks = [AUDIO_TRACK, VIDEO_TRACK];
  const received = tracks.map((track) => ({ ...track, ssrc: undefined }));
  const publisher = await RtcClient.open(address);
  const offer = describeClient({ client: publisher, direction: 'sendonly', setup: 'actpass', tracks });
  const { answerSdp } = await ask('publish', '', offer);
  await publisher.connect(remoteEndOf(answerSdp, address), 'controlling');
  return {
    name,
    pid: child.pid!,
    stream: new TestStream((_kind, packet, index) => publisher.sendRtp(packet, index)),
    async connectViewer() {
      const client = await RtcClient.open(address);
      const playOffer = describeClient({ client, direction: 'recvonly', setup: 'actpass', tracks: received });
      const answer = await ask('play', `viewer-${client.port}`, playOffer);
      await client.connect(remoteEndOf(answer.answerSdp, address), 'controlling');
      return { client, ssrcs: ssrcsOf(answer.answerSdp) };
    },
    sendsDropped: async () => (await ask('sendsDropped')).sendsDropped,
    async close() {
      publisher.close();
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
