// The sources as one module, so that tests can use what the package does not export.
import { build } from 'esbuild';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PARTS = [
  'index', 'address', 'backoff', 'base64', 'channels', 'close', 'credentials', 'cursor', 'emitter', 'exchange', 'frames', 'life', 'msgpack', 'names', 'payload',
  'progress', 'topic', 'transports/choice', 'transports/event-stream',
];

const { outputFiles } = await build({
  stdin: { contents: PARTS.map((part) => `export * from './src/${part}.ts';`).join('\n'), resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
  bundle: true, write: false, format: 'esm', target: 'es2022', logLevel: 'error',
});

const folder = mkdtempSync(join(tmpdir(), 'fanwire-source-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'source.mjs'), outputFiles[0].contents);
/** Everything that the sources export. */
export const source = await import(pathToFileURL(join(folder, 'source.mjs')));
