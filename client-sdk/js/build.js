// Builds what is shipped: for each entry a module and a plain script, minified, without a dependency, and the types. The results in dist/
// are committed, so that building the broker, which embeds them, needs no Node. A test builds them again and compares.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(`${HERE}package.json`, 'utf8'));
const BANNER = `/* fanwire ${version} for JavaScript. MIT OR Apache-2.0 */`;

/**
 * Members that only the client's own files use, and that get shorter names, the same ones in all of them. Names that applications, the
 * wire, the browser, or the files that are not mangled use must not be here.
 */
export const INTERNAL = `
  isSent isRepeatable isLive isPending wanted settleDoubt doubt renewalMs isRenewable attached detached blamed trouble flush wasJoined places rejoin
  isLossy catchUp pending attempts knows forget answered isHeard unwatch onThrown planRenewal resumeLoop cancelRenewal wasConnected isSuspended
  isClosed isJoined progress muted publishing isStale late held joins receiver calls credentials backoff exchange channels complain received
  concerned refused readLast joinedBefore subscriptions streams keeper waiting dropped kept lastId nextId isUnfit afterMs isRefused isComplaining
  deliver restart choice dials dialMs isPattern hasLink era unfit aborts demote judge suspend intervalMs dial mute current source
  seen start listener settle base dead finish pause member report best page release probe withRoom refusedAll readAll
  silence backlog early unheard lastJoined forgetSignal hasSentPayload transmit blame shorts refusals isPinging within fail refuse
  isReported over others emit listeners cancel until life head failed heard attach change printed`.trim().split(/\s+/);

/** What is built: modules end with .mjs, plain scripts with .js. */
export const OUTPUTS = [
  { entry: 'index.ts', file: 'fanwire.mjs' },
  { entry: 'script.ts', file: 'fanwire.js' },
  { entry: 'http.ts', file: 'fanwire-http.mjs' },
  { entry: 'tabs.ts', file: 'fanwire-tabs.mjs' },
  { entry: 'tabs-script.ts', file: 'fanwire-tabs.js' },
  { entry: 'msgpack.ts', file: 'fanwire-msgpack.mjs' },
  { entry: 'msgpack-script.ts', file: 'fanwire-msgpack.js' },
];

/** Keeps the connection over HTTP in a file of its own, which the client loads when it needs it. */
const lazyHttp = (isModule) => ({
  name: 'lazy-http',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/http\.ts$/ }, ({ kind }) => (kind === 'dynamic-import' ? { path: './fanwire-http.mjs', external: true } : undefined));
    if (!isModule) onResolve({ filter: /^\.\/load-http\.ts$/ }, () => ({ path: `${HERE}src/load-http-script.ts` }));
  },
});

/** Builds all scripts. Returns the text of each file by its name. */
export async function buildAll() {
  const built = new Map();
  let mangleCache = {};
  for (const { entry, file } of OUTPUTS) {
    const isModule = file.endsWith('.mjs');
    const isMangled = /^fanwire(-http)?\./.test(file);
    const result = await build({
      absWorkingDir: HERE,
      entryPoints: [`src/${entry}`],
      bundle: true,
      minify: true,
      ...(isMangled ? { mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`), mangleCache } : {}),
      plugins: [lazyHttp(isModule)],
      write: false,
      legalComments: 'none',
      target: 'es2022',
      format: isModule ? 'esm' : 'iife',
      logLevel: 'warning',
    });
    if (isMangled) ({ mangleCache } = result);
    const { code } = await minify(result.outputFiles[0].text, {
      module: isModule,
      ecma: 2020,
      compress: { passes: 3, ecma: 2020, unsafe_arrows: true, pure_getters: true },
      mangle: { toplevel: true },
    });
    built.set(file, `${BANNER}\n${code}\n`);
  }
  return built;
}

/** Builds the types. Returns the text of each file by its path below dist/types. */
export function buildTypes() {
  const folder = mkdtempSync(join(tmpdir(), 'fanwire-types-'));
  try {
    const options = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--stripInternal', '--outDir', folder];
    execFileSync(process.execPath, [fileURLToPath(import.meta.resolve('typescript/package.json')).replace('package.json', 'bin/tsc'), ...options], { cwd: HERE, stdio: 'inherit' });
    const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.d.ts')).sort();
    // Every resolution of TypeScript finds a declaration by the name of its script.
    return new Map(files.map((name) => [name.replaceAll('\\', '/'), readFileSync(join(folder, name), 'utf8').replace(/(from|import\()( ?)(['"])(\.[^'"]*)\.ts\3/g, '$1$2$3$4.js$3')]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync(`${HERE}dist`, { recursive: true, force: true });
  mkdirSync(`${HERE}dist/types`, { recursive: true });
  for (const [file, text] of await buildAll()) writeFileSync(`${HERE}dist/${file}`, text);
  for (const [file, text] of buildTypes()) {
    mkdirSync(join(`${HERE}dist/types`, file, '..'), { recursive: true });
    writeFileSync(`${HERE}dist/types/${file}`, text);
  }
}
