const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * What may wait for a slow destination at each place. Beyond it the place before waits, and the first one drops whole pictures.
 * The group of pictures that a run begins with comes on top (`MAX_GOP_BYTES`), but is no backlog: its memory is the stream's,
 * shared by all who begin with it, and it goes when it has been taken or when a keyframe has come and `maxQueueMs` have passed.
 */
export interface PushBounds {
  /** In the reader of the stream: when it is full, video is dropped up to the next keyframe. Never less than one big frame. */
  readonly maxQueueBytes: number;
  /** The same in media time: what has waited for longer is given up, so that a slow destination shows pictures of nearly now. */
  readonly maxQueueMs: number;
  /** Media time that may be on its way to a destination that has not taken it. Behind it the reader waits. */
  readonly maxAheadMs: number;
  /** In user space for the child's input pipe. */
  readonly maxPipeBytes: number;
  /** In user space for the destination's socket. */
  readonly maxBacklogBytes: number;
}

/** About a second of a 2 Mbit/s stream in the pipe and at the socket, so that a slow destination shows upstream soon. */
export const USUAL_BOUNDS: PushBounds = {
  maxQueueBytes: 8 * MIB,
  maxQueueMs: 4000,
  maxAheadMs: 2000,
  maxPipeBytes: 256 * KIB,
  maxBacklogBytes: 256 * KIB,
};

/** `rtmp.server_buffer_enabled`: for FullHD and more, whose keyframes fill the usual ones (WCS documentation, "Known issues", 4). */
export const LARGE_BOUNDS: PushBounds = {
  maxQueueBytes: 64 * MIB,
  maxQueueMs: 15_000,
  maxAheadMs: 4000,
  maxPipeBytes: 4 * MIB,
  maxBacklogBytes: 4 * MIB,
};
