/**
 * The media worker of the product in a process of its own, without signalling. The parent sends `Command` messages and gets
 * one `Answer` for each; argv[2] is the address that viewers are told. The socket is bound as it is by default.
 */
import { randomInt } from 'node:crypto';
import { systemClock } from '../../../src/domain/clock.ts';
import { silentLogger } from '../../../src/domain/logger.ts';
import { LocalMediaWorker } from '../../../src/webrtc/local-media-worker.ts';
import { createPeerHost } from '../../../src/webrtc/peer-host.ts';

export interface Command {
  readonly id: number;
  readonly type: 'publish' | 'play' | 'sendsDropped';
  readonly sessionId: string;
  readonly offerSdp: string;
}

export interface Answer {
  readonly id: number;
  readonly answerSdp: string;
  /** UDP packets for which the kernel had no room. */
  readonly sendsDropped: number;
  readonly error?: string;
}

const STREAM_ID = 'publisher';

const address = process.argv[2]!;
const host = await createPeerHost({
  advertisedAddresses: [address],
  portFrom: 0,
  portTo: 0,
  clock: systemClock,
  logger: silentLogger,
});
const worker = new LocalMediaWorker({
  host,
  clock: systemClock,
  logger: silentLogger,
  randomBelow: (bound) => randomInt(bound),
});

async function answerTo({ type, sessionId, offerSdp }: Command): Promise<string> {
  if (type === 'sendsDropped') return '';
  const { answerSdp } =
    type === 'publish'
      ? await worker.publish({ sessionId: STREAM_ID, offerSdp, transport: 'UDP', maxBitrateKbps: 0 })
      : await worker.play({ sessionId, streamId: STREAM_ID, offerSdp, transport: 'UDP' });
  return answerSdp;
}

process.on('message', (command: Command) => {
  const { id } = command;
  const { sendsDropped } = host.counters;
  void answerTo(command).then(
    (answerSdp) => process.send!({ id, answerSdp, sendsDropped } satisfies Answer),
    (error) => process.send!({ id, answerSdp: '', sendsDropped, error: String(error) } satisfies Answer),
  );
});
// Not `process.exit` in a handler of a signal: a profile is written when the loop has run empty.
process.once('disconnect', () => void worker.dispose());
