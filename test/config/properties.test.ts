import { describe, expect, it } from 'vitest';
import { parseProperties } from '../../src/config/properties.ts';

const entries = (text: string) => parseProperties(text).map(({ key, value }) => [key, value]);

describe('the reader of .properties files', () => {
  it('takes the three separators and blanks around them', () => {
    expect(entries('a=1\nb : 2\nc 3\n rtmp_flash_ver_subscriber = LNX 76.219.189.0  ')).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
      ['rtmp_flash_ver_subscriber', 'LNX 76.219.189.0'],
    ]);
  });

  it('keeps further separators as part of the value', () => {
    expect(entries('url=rtmp://h:1935/live?a=b')).toEqual([['url', 'rtmp://h:1935/live?a=b']]);
  });

  it('skips comments and empty lines and counts lines for messages', () => {
    expect(parseProperties('# one\n\n! two\nkey=v')).toEqual([{ key: 'key', value: 'v', line: 4 }]);
  });

  it('joins continuation lines and reads escapes', () => {
    expect(entries('a=one, \\\n   two\nb=tab\\tand \\u00e9\nc=back\\\\slash')).toEqual([
      ['a', 'one, two'],
      ['b', 'tab\tand é'],
      ['c', 'back\\slash'],
    ]);
  });

  it('takes a key without a value as an empty value and tolerates a byte order mark and CRLF', () => {
    expect(entries('\uFEFFprefix=\r\nother=x\r\n')).toEqual([
      ['prefix', ''],
      ['other', 'x'],
    ]);
  });
});
