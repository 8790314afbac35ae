// The sources as one module, so that tests can reach what the package does not export. It knows no test.
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

const PARTS = [
  'index', 'address', 'backoff', 'base64', 'channels', 'close', 'credentials', 'cursor', 'emitter', 'exchange', 'frames', 'life', 'msgpack', 'names', 'payload',
  'progress', 'topic', 'transports/choice', 'transports/event-stream',
];

const { outputFiles } = await build({
  stdin: { contents: PARTS.map((part) => `export * from './src/${part}.ts';`).join('\n'), resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
  bundle: true, write: false, format: 'esm', target: 'es2022', logLevel: 'error',
});

/** Everything that the sources export. */
export const source = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
