// Builds what is shipped: for each entry a module and a plain script, minified, without a dependency. The results in dist/
// are committed, so that building the broker, which embeds them, needs no Node; a test builds them anew and compares.
import { build } from 'esbuild';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(`${HERE}package.json`, 'utf8'));
const BANNER = `/* fanwire ${version} for JavaScript. MIT OR Apache-2.0 */`;

/**
 * Members that only the client's own classes use, and that may get shorter names. What applications, other entries, the wire or
 * the browser know by name must not stand here.
 */
const INTERNAL = `
  isSent isRepeatable isLive isAsking wanted settleDoubt doubt renewalMs isRenewable attached detached blamed trouble flush wasJoined places rejoin
  isLossy catchUp pending attempts knows forget answered isHeard unwatch onThrown planRenewal resumeLoop cancelRenewal wasConnected isSuspended
  isClosed isJoined progress muted publishing isPublishing held joins receiver calls credentials backoff exchange channels complain received
  concerned refused readLast joinedBefore subscriptions streams keeper waiting dropped kept lastId nextId isUnfit afterMs isRefused isComplaining
  deliver restart choice dials dialMs isPattern hasLink era unfit aborts demote judge suspend intervalMs dial mute current source
  seen start listener settle base dead finish pause member report ask best who page`.trim().split(/\s+/);

/** What is built: modules end with .mjs, plain scripts with .js. */
export const OUTPUTS = [
  { entry: 'index.ts', file: 'fanwire.mjs' },
  { entry: 'script.ts', file: 'fanwire.js' },
  { entry: 'tabs.ts', file: 'fanwire-tabs.mjs' },
  { entry: 'tabs-script.ts', file: 'fanwire-tabs.js' },
  { entry: 'msgpack.ts', file: 'fanwire-msgpack.mjs' },
  { entry: 'msgpack-script.ts', file: 'fanwire-msgpack.js' },
];

/** Builds everything; the bytes of each file by its name. */
export async function buildAll() {
  const built = new Map();
  for (const { entry, file } of OUTPUTS) {
    const isModule = file.endsWith('.mjs');
    const { outputFiles } = await build({
      absWorkingDir: HERE,
      entryPoints: [`src/${entry}`],
      bundle: true,
      minify: true,
      mangleProps: file.startsWith('fanwire.') ? new RegExp(`^(${INTERNAL.join('|')})$`) : undefined,
      write: false,
      legalComments: 'none',
      target: 'es2022',
      format: isModule ? 'esm' : 'iife',
      logLevel: 'warning',
    });
    const { code } = await minify(outputFiles[0].text, {
      module: isModule,
      ecma: 2020,
      compress: { passes: 3, ecma: 2020, unsafe_arrows: true, pure_getters: true },
      mangle: { toplevel: true },
    });
    built.set(file, `${BANNER}\n${code}\n`);
  }
  return built;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(`${HERE}dist`, { recursive: true });
  for (const [file, text] of await buildAll()) writeFileSync(`${HERE}dist/${file}`, text);
}
