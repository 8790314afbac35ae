// The parser of event streams: the same events however the text is cut.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { transformSync } from 'esbuild';

const source = readFileSync(new URL('../src/events.ts', import.meta.url), 'utf8').replace(/^import .*$/gm, '');
const { code } = transformSync(source, { loader: 'ts', format: 'esm' });
const { EventParser } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

test('events are read however the stream is cut', () => {
  const text = ': hi\r\nretry: 10\n\nid: 1\ndata: a\ndata:  b\n\nevent: gap\nid: 2\ndata: {}\n\nid\ndata\nnew: x\n\ndata: cut';
  const expected = [
    { name: 'message', data: '' }, { name: 'message', data: 'a\n b' }, { name: 'gap', data: '{}' }, { name: 'message', data: '' },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.feed(text.slice(at, at + size)));
    assert.deepEqual(events, expected, `cut every ${size} characters`);
    assert.equal(parser.lastId, '');
  }
});
