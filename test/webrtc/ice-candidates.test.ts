import { describe, expect, it } from 'vitest';
import { hostCandidates, reachableAddresses } from '../../src/webrtc/ice-candidates.ts';

describe('host candidates', () => {
  it('have falling priorities of the host type and a foundation each', () => {
    const candidates = hostCandidates(['203.0.113.9', '2001:db8::9'], 4000, 'UDP');
    // RFC 8445 §5.1.2.1 with type preference 126, local preference 65535 and component 1.
    expect(candidates[0]).toEqual({
      foundation: 'udp1',
      protocol: 'udp',
      priority: 2130706431,
      address: '203.0.113.9',
      port: 4000,
    });
    expect(candidates[1]!.priority).toBe(2130706431 - 256);
    expect(candidates[1]!.foundation).not.toBe(candidates[0]!.foundation);
  });

  it('of TCP say passive in their preference', () => {
    const [candidate] = hostCandidates(['203.0.113.9'], 4000, 'TCP');
    expect(candidate!.protocol).toBe('tcp');
    expect(((candidate!.priority >> 8) & 0xffff) >> 13).toBe(4);
  });

  it('are of the bound address when there is one, and never of none', () => {
    expect(reachableAddresses('192.0.2.7')).toEqual(['192.0.2.7']);
    expect(reachableAddresses('::').length).toBeGreaterThan(0);
    for (const address of reachableAddresses('0.0.0.0')) expect(address).not.toContain(':');
  });
});
