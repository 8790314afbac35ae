// What is shipped: the committed files are what the sources build, and small.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildAll, OUTPUTS } from '../build.js';

const dist = (file) => readFileSync(new URL(`../dist/${file}`, import.meta.url), 'utf8');

/** The most bytes of each file, compressed as a server would (gzip, level 9). */
const BOUNDS = {
  'fanwire.js': 12_000, 'fanwire.mjs': 12_000, 'fanwire-tabs.js': 3000, 'fanwire-tabs.mjs': 3000, 'fanwire-msgpack.js': 2000, 'fanwire-msgpack.mjs': 2000,
};

test('the committed files are what the sources build', async () => {
  const built = await buildAll();
  assert.deepEqual(readdirSync(new URL('../dist', import.meta.url)).filter((name) => name !== 'types').sort(), [...built.keys()].sort());
  for (const [file, text] of built) assert.ok(dist(file) === text, `dist/${file} is not what src builds: run 'npm run build' in client-sdk/js and commit`);
});

for (const { file } of OUTPUTS) {
  test(`${file} is small`, (context) => {
    const bytes = gzipSync(dist(file), { level: 9 }).length;
    context.diagnostic(`${file}: ${bytes} bytes gzipped, at most ${BOUNDS[file]}`);
    assert.ok(bytes <= BOUNDS[file], `${file} has ${bytes} bytes gzipped, and the most is ${BOUNDS[file]}`);
  });
}

test('nothing is needed at run time', () => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
  for (const { file } of OUTPUTS) assert.doesNotMatch(dist(file), /\brequire\(|\bimport[\s{*"'(]/);
});

test('the package carries the licences of the project', () => {
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) {
    const text = (place) => readFileSync(new URL(`${place}/${name}`, import.meta.url), 'utf8');
    assert.equal(text('..'), text('../../..'), name);
  }
});
