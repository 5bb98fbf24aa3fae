import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { ACKNOWLEDGEMENT_WINDOW_BYTES, SocketViewer } from '../../../src/edges/rtmp/socket-viewer.ts';

/** A socket that takes nothing until it is told to. */
function heldSocket() {
  const calls: string[] = [];
  const waiting: (() => void)[] = [];
  const socket = {
    writable: true,
    writableLength: 0,
    write(bytes: Buffer, done: () => void = () => {}) {
      socket.writableLength += bytes.length;
      waiting.push(done);
      calls.push(`write ${bytes.length}`);
    },
    cork: () => calls.push('cork'),
    uncork: () => calls.push('uncork'),
  };
  const takeAll = (): void => {
    socket.writableLength = 0;
    for (const done of waiting.splice(0)) done();
  };
  return { socket: socket as unknown as Socket, calls, takeAll, end: () => (socket.writable = false) };
}

function viewerOf({ socket }: { socket: Socket }) {
  const state = { acknowledgedBytes: 0, acknowledgementBytes: 0, windows: [] as number[], unread: 0 };
  const viewer = new SocketViewer({
    socket,
    acknowledgedBytes: () => state.acknowledgedBytes,
    acknowledgementBytes: () => state.acknowledgementBytes,
    announceWindow: (windowBytes) => void state.windows.push(windowBytes),
    onUnreadAnswers: () => (state.unread += 1),
  });
  return { viewer, state };
}

it('the backlog of a client that never acknowledges is what its socket holds', () => {
  const held = heldSocket();
  const { viewer } = viewerOf(held);
  viewer.write(Buffer.alloc(1_000_000));
  expect(viewer.backlogBytes).toBe(1_000_000);
  held.takeAll();
  expect(viewer.backlogBytes).toBe(0);
});

it('the backlog of a client that acknowledges is what it has not acknowledged, but for its window', () => {
  const held = heldSocket();
  const { viewer, state } = viewerOf(held);
  viewer.write(Buffer.alloc(1_000_000));
  held.takeAll();
  state.acknowledgedBytes = 250_000;
  expect(viewer.backlogBytes).toBe(750_000 - ACKNOWLEDGEMENT_WINDOW_BYTES);
  state.acknowledgedBytes = 900_000;
  expect(viewer.backlogBytes).toBe(0);
  state.acknowledgedBytes = 5_000_000;
  viewer.write(Buffer.alloc(10));
  expect(viewer.backlogBytes).toBe(10);
});

it('a client that is to acknowledge is known to have waiting what it has not acknowledged yet', () => {
  const held = heldSocket();
  const { viewer } = viewerOf(held);
  viewer.write(Buffer.alloc(1_000_000));
  held.takeAll();
  expect(viewer.backlogBytes).toBe(0);
  expect(viewer.unacknowledgedBytes).toBe(1_000_000 - ACKNOWLEDGEMENT_WINDOW_BYTES);
});

it('acknowledgements are asked for twice in a second of what is sent, where that is less than usual', () => {
  const { viewer, state } = viewerOf(heldSocket());
  for (const bytesPerSecond of [0, 400_000, 200_000, 100_000, 110_000, 25_000, 30_000, 5_000, 1_000_000]) {
    viewer.expectRate(bytesPerSecond);
  }
  expect(state.windows).toEqual([50_000, 12_500, 8_000, ACKNOWLEDGEMENT_WINDOW_BYTES]);
});

it('a client that goes on acknowledging less often is not taken for slow', () => {
  const held = heldSocket();
  const { viewer, state } = viewerOf(held);
  viewer.expectRate(25_000);
  viewer.write(Buffer.alloc(200_000));
  held.takeAll();
  Object.assign(state, { acknowledgedBytes: 125_000, acknowledgementBytes: 125_000 });
  expect(viewer.backlogBytes).toBe(0);
  Object.assign(state, { acknowledgedBytes: 137_500, acknowledgementBytes: 12_500 });
  expect(viewer.backlogBytes).toBe(200_000 - 137_500 - 12_500);
});

it('progress is whatever the kernel takes and whatever the client acknowledges', () => {
  const held = heldSocket();
  const { viewer, state } = viewerOf(held);
  viewer.write(Buffer.alloc(1000));
  const before = viewer.takenBytes;
  viewer.write(Buffer.alloc(1000));
  expect(viewer.takenBytes).toBe(before);
  held.takeAll();
  const taken = viewer.takenBytes;
  expect(taken).toBeGreaterThan(before);
  state.acknowledgedBytes = 500;
  expect(viewer.takenBytes).toBeGreaterThan(taken);
});

it('several buffers go out as one write', () => {
  const held = heldSocket();
  viewerOf(held).viewer.writeAll([Buffer.alloc(1), Buffer.alloc(2)]);
  expect(held.calls).toEqual(['cork', 'write 1', 'write 2', 'uncork']);
});

it('answers that nobody reads are reported, media is not', () => {
  const held = heldSocket();
  const { viewer, state } = viewerOf(held);
  viewer.write(Buffer.alloc(10_000_000));
  viewer.answer(Buffer.alloc(200_000));
  expect(state.unread).toBe(0);
  viewer.answer(Buffer.alloc(200_000));
  expect(state.unread).toBe(1);
  held.takeAll();
  viewer.answer(Buffer.alloc(200_000));
  expect(state.unread).toBe(1);
});

it('nothing is written to a socket that has ended', () => {
  const held = heldSocket();
  const { viewer } = viewerOf(held);
  held.end();
  viewer.writeAll([Buffer.alloc(1)]);
  viewer.answer(Buffer.alloc(1));
  expect(held.calls).toEqual(['cork', 'uncork']);
});
