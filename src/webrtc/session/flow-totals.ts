import type { FlowTotals } from '../media-worker.ts';

export const NO_FLOW: FlowTotals = { packets: 0, payloadBytes: 0, nacks: 0, keyframeRequests: 0, lostPackets: 0 };

export function addFlow(left: FlowTotals, right: FlowTotals): FlowTotals {
  return {
    packets: left.packets + right.packets,
    payloadBytes: left.payloadBytes + right.payloadBytes,
    nacks: left.nacks + right.nacks,
    keyframeRequests: left.keyframeRequests + right.keyframeRequests,
    lostPackets: left.lostPackets + right.lostPackets,
  };
}
