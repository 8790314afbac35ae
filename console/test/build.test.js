// The committed files are those that the sources build. They are small, and load nothing from other hosts.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildAll } from '../build.js';

const dist = (file) => readFileSync(new URL(`../dist/${file}`, import.meta.url), 'utf8');

/** The maximum size of each file in bytes, compressed (gzip, level 9). */
const BOUNDS = { 'console.js': 44 * 1024, 'console.css': 6 * 1024, 'console.html': 1024, 'licences.txt': 2048 };

test('the committed files are what the sources build', async () => {
  const built = await buildAll();
  assert.deepEqual(readdirSync(new URL('../dist', import.meta.url)).sort(), [...built.keys()].sort());
  for (const [file, text] of built) assert.ok(dist(file) === text, `dist/${file} is not what src builds: run 'npm run build' in console and commit`);
});

for (const [file, bound] of Object.entries(BOUNDS)) {
  test(`${file} is small`, (context) => {
    const bytes = gzipSync(dist(file), { level: 9 }).length;
    context.diagnostic(`${file}: ${bytes} bytes gzipped, at most ${bound}`);
    assert.ok(bytes <= bound, `${file} has ${bytes} bytes gzipped, the maximum is ${bound}`);
  });
}

test('no other script is loaded', () => {
  const imports = [...dist('console.js').matchAll(/(?:^|[;}])\s*import\b[\w\s{},*$]*["']([^"']+)["']/gm)];
  assert.deepEqual(imports.map(([, from]) => from), []);
  assert.doesNotMatch(dist('console.js'), /\bimport\(|\beval\(|new Function\(/);
  assert.doesNotMatch(dist('console.css'), /@import|url\(/);
  assert.doesNotMatch(dist('console.html'), /<style|style=|\son\w+=|<script>|https?:/);
});
