import { assert, jsonValue, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nestsDeeperThan } from '../../../src/protocol/json/nesting.ts';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('nestsDeeperThan', () => {
  it('agrees with the parsed value for any JSON', () => {
    assert(
      property(jsonValue({ maxDepth: 6 }), (value) => {
        const json = JSON.stringify(value);
        const depth = depthOf(JSON.parse(json));
        expect(nestsDeeperThan(json, depth)).toBe(false);
        expect(nestsDeeperThan(json, depth - 1)).toBe(depth > 0);
      }),
    );
  });

  it('passes over brackets in texts, also behind an escaped quote', () => {
    expect(nestsDeeperThan(JSON.stringify(['[[[{{{', 'a"[[[', '\\', '[[']), 1)).toBe(false);
  });

  it('takes text that is no JSON', () => {
    expect(nestsDeeperThan('"\\', 1)).toBe(false);
    expect(nestsDeeperThan(']]]][[', 0)).toBe(false);
    expect(nestsDeeperThan('[[', 1)).toBe(true);
  });
});
