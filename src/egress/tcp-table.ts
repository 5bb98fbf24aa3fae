import { endianness } from 'node:os';
import type { Socket } from 'node:net';
import { parseAddress } from './address.ts';

/** A row of the table: local and remote address, state, and the first half of `tx_queue:rx_queue`. */
const ROW = /^ *\d+: ([\dA-F]+:[\dA-F]{4} [\dA-F]+:[\dA-F]{4}) [\dA-F]{2} ([\dA-F]{8}):/gm;
const WORD_BYTES = 4;

/**
 * Bytes that the kernel holds for the peer of each connection, sent without an acknowledgement or not sent yet, by the text that
 * `tcpTableKey` gives. `tables` is the text of /proc/net/tcp and tcp6 (proc_net_tcp in the kernel's documentation).
 */
export function parseSendQueues(tables: string): Map<string, number> {
  const queues = new Map<string, number>();
  for (const [, key, bytes] of tables.matchAll(ROW)) queues.set(key!, Number.parseInt(bytes!, 16));
  return queues;
}

/** How the kernel writes both ends of a connected socket; undefined once it is not connected any more. */
export function tcpTableKey(socket: Socket): string | undefined {
  const local = endText(socket.localAddress, socket.localPort);
  const remote = endText(socket.remoteAddress, socket.remotePort);
  return local && remote && `${local} ${remote}`;
}

/** Addresses are printed as words of 32 bits in the byte order of the machine. */
function endText(address: string | undefined, port: number | undefined): string | undefined {
  const bytes = address === undefined ? undefined : parseAddress(address);
  if (!bytes || port === undefined) return undefined;
  let text = '';
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    const word = bytes.slice(at, at + WORD_BYTES);
    text += Buffer.from(endianness() === 'LE' ? word.toReversed() : word).toString('hex');
  }
  return `${text.toUpperCase()}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}
