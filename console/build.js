// Builds the files that the broker embeds: one script, one style sheet, the page that loads them, and the licences of the libraries.
// The files in dist/ are committed, so that the build of the broker needs no Node. A test builds them again and compares.
import { build } from 'esbuild';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const BANNER = '/* The console of fanwire. MIT OR Apache-2.0. With Preact and uPlot (MIT): see licences.txt beside this file. */';

/** The bundled libraries. */
const LIBRARIES = ['preact', 'uplot'];

/** Returns the text of each built file by its name. */
export async function buildAll() {
  const { outputFiles } = await build({
    absWorkingDir: HERE,
    entryPoints: { console: 'src/main.tsx' },
    outdir: 'dist',
    bundle: true,
    minify: true,
    write: false,
    legalComments: 'none',
    charset: 'utf8',
    target: 'es2022',
    format: 'esm',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
  });
  const built = new Map(outputFiles.map(({ path, text }) => [path.split('/').at(-1), `${BANNER}\n${text}`]));
  built.set('console.html', readFileSync(`${HERE}src/console.html`, 'utf8'));
  built.set('licences.txt', LIBRARIES.map(licence).join('\n\n'));
  return built;
}

function licence(name) {
  const folder = `${HERE}node_modules/${name}/`;
  const { version } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'));
  return `${name} ${version}\n\n${readFileSync(`${folder}LICENSE`, 'utf8').trim()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(`${HERE}dist`, { recursive: true });
  for (const [file, text] of await buildAll()) writeFileSync(`${HERE}dist/${file}`, text);
}
