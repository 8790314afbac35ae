// The protocol's reference page tells the truth: every frame on it is a golden vector, and every kind of frame is there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const vectors = ['client', 'server'].flatMap((name) => JSON.parse(read(`protocol/vectors/${name}.json`)));
const examples = [...read('docs/protocol.md').matchAll(/^```json\n(.*)\n```$/gm)].map((match) => match[1]);

test('every frame in docs/protocol.md is a golden vector', () => {
  const known = new Set(vectors.map((vector) => vector.json));
  assert.deepEqual(examples.filter((example) => !known.has(example)), []);
});

test('docs/protocol.md shows or names every type of frame', () => {
  const shown = new Set(examples.map((example) => JSON.parse(example).type));
  const named = read('docs/protocol.md');
  const types = new Set(vectors.filter((vector) => vector.json).map((vector) => JSON.parse(vector.json).type));
  const missing = [...types].filter((type) => !shown.has(type) && !new RegExp(`\\b${type}\\b`).test(named));
  assert.deepEqual(missing, []);
});
