import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openSecretBox } from '../../src/store/secret-box.ts';
import { storeDirectory } from './store-fixture.ts';

const files = storeDirectory();
afterAll(() => files.remove());
const box = openSecretBox(files.keyPath);

describe('secret box', () => {
  it('opens what it sealed, with the same key read again', () => {
    const again = openSecretBox(files.keyPath);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (secret, context) => {
        expect(again.open(box.seal(secret, context), context)).toBe(secret);
      }),
    );
  });

  it('does not open a value that was changed anywhere, cut, or moved to another row', () => {
    const sealed = box.seal('rtmp://host/app/key', 'row1');
    expect(() => box.open(sealed, 'row2')).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
    for (let index = 0; index < sealed.length; index++) {
      const changed = Buffer.from(sealed);
      changed[index]! ^= 1;
      expect(() => box.open(changed, 'row1')).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
      expect(() => box.open(sealed.subarray(0, index), 'row1')).toThrow(
        expect.objectContaining({ code: 'STORE_FAILED' }),
      );
    }
  });

  it('never seals the same text to the same bytes, and never shows it', () => {
    const [a, b] = [box.seal('canary-secret', 'x'), box.seal('canary-secret', 'x')];
    expect(a.equals(b)).toBe(false);
    expect(a.includes('canary-secret')).toBe(false);
  });

  it('hashes by key: equal for equal texts, different with another key', () => {
    const other = openSecretBox(`${files.keyPath}2`);
    expect(box.hash('rtmp://h/a')).toBe(box.hash('rtmp://h/a'));
    expect(box.hash('rtmp://h/a')).not.toBe(box.hash('rtmp://h/b'));
    expect(other.hash('rtmp://h/a')).not.toBe(box.hash('rtmp://h/a'));
    expect(other.keyId).not.toBe(box.keyId);
  });
});
