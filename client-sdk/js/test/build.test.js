// The shipped files: they are what the sources build, and small.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildAll, buildTypes, INTERNAL as INTERNAL_NAMES, OUTPUTS } from '../build.js';

const dist = (file) => readFileSync(new URL(`../dist/${file}`, import.meta.url), 'utf8');

/** The maximum bytes of each file, compressed as a server compresses (gzip, level 9). */
const BOUNDS = {
  'fanwire.js': 12_000, 'fanwire.mjs': 12_000, 'fanwire-http.mjs': 5200, 'fanwire-tabs.js': 3000, 'fanwire-tabs.mjs': 3000, 'fanwire-msgpack.js': 2000, 'fanwire-msgpack.mjs': 2000,
};

test('the committed files are what the sources build', async () => {
  const built = await buildAll();
  assert.deepEqual(readdirSync(new URL('../dist', import.meta.url)).filter((name) => name !== 'types').sort(), [...built.keys()].sort());
  for (const [file, text] of built) assert.ok(dist(file) === text, `dist/${file} is not what src builds: run 'npm run build' in client-sdk/js and commit`);
});

test('the committed types are what the sources build', () => {
  const folder = new URL('../dist/types/', import.meta.url);
  const built = buildTypes();
  const committed = existsSync(folder) ? readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.d.ts')).sort() : [];
  assert.deepEqual(committed, [...built.keys()]);
  for (const [file, text] of built) assert.equal(readFileSync(new URL(file, folder), 'utf8'), text, `dist/types/${file}: run 'npm run build' and commit`);
});

for (const { file } of OUTPUTS) {
  test(`${file} is small`, (context) => {
    const bytes = gzipSync(dist(file), { level: 9 }).length;
    context.diagnostic(`${file}: ${bytes} bytes gzipped, at most ${BOUNDS[file]}`);
    assert.ok(bytes <= BOUNDS[file], `${file} has ${bytes} bytes gzipped, and the maximum is ${BOUNDS[file]}`);
  });
}

test('nothing is needed at run time', () => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
  // Only the client's own second file is loaded, where no WebSocket gets through: beside the module, and for the script, also from the broker.
  const loads = { 'fanwire.mjs': 1, 'fanwire.js': 2 };
  for (const { file } of OUTPUTS) {
    assert.doesNotMatch(dist(file), /\brequire\(|\bimport[\s{*"']/, file);
    assert.equal(dist(file).split('import(').length - 1, loads[file] ?? 0, file);
    if (loads[file]) assert.match(dist(file), /fanwire-http\.mjs/);
  }
});

test('the package carries the licences of the project', () => {
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) {
    const text = (place) => readFileSync(new URL(`${place}/${name}`, import.meta.url), 'utf8');
    assert.equal(text('..'), text('../../..'), name);
  }
});

test('no name that applications, the wire or other files use is shortened', () => {
  const files = ['status', 'payload', 'subscription', 'broker', 'options', 'frames', 'transports/dialer', 'transports/websocket'];
  const fields = files.flatMap((file) => [...readFileSync(new URL(`../dist/types/${file}.d.ts`, import.meta.url), 'utf8').matchAll(/^ +(?:readonly )?(\w+)\??(?:: |\(|<)/gm)])
    .map(([, name]) => name);
  assert.ok(fields.includes('attempt') && fields.includes('isReplaced') && fields.length > 100);
  // `Keeper.report` is the client's own.
  assert.deepEqual(fields.filter((name) => INTERNAL_NAMES.includes(name)), ['report']);
});
