// The package as applications install it: from a checkout and from `npm pack`, with its types, in strict TypeScript, in Node.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const TSC = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')));
let folder;
before(() => { folder = mkdtempSync(join(tmpdir(), 'fanwire-package-')); });
after(() => rmSync(folder, { recursive: true }));

/** Makes an application that has this package, `ws`, and the types of both. */
function application(name, install) {
  const place = join(folder, name);
  mkdirSync(join(place, 'node_modules/@types'), { recursive: true });
  for (const other of ['ws', '@types/ws', '@types/node', 'undici-types']) symlinkSync(join(HERE, 'node_modules', other), join(place, 'node_modules', other));
  install(join(place, 'node_modules/fanwire'));
  cpSync(join(HERE, 'test/consumer.ts'), join(place, 'app.ts'));
  cpSync(join(HERE, 'test/consumer-page.ts'), join(place, 'page.ts'));
  writeFileSync(join(place, 'package.json'), '{"type":"module"}');
  return place;
}

function checkTypes(place, options) {
  const compilerOptions = {
    target: 'ES2022', lib: BROWSER, strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false, noEmit: true, types: ['node'], ...options,
  };
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: compilerOptions.lib === BROWSER ? ['app.ts', 'page.ts'] : ['app.ts'] }));
  try {
    execFileSync(process.execPath, [TSC, '-p', place], { encoding: 'utf8' });
  } catch ({ stdout }) {
    // What the types of other packages lack is not ours.
    const ours = stdout.split('\n').filter((line) => /^\S/.test(line) && !/node_modules\/(@types|undici-types)/.test(line));
    assert.equal(ours.join('\n'), '');
  }
}

const BROWSER = ['ES2022', 'DOM', 'ESNext.Disposable'];
const RESOLUTIONS = [
  { module: 'NodeNext', moduleResolution: 'NodeNext' },
  { module: 'ESNext', moduleResolution: 'bundler' },
  // A program for Node alone knows no types of browsers.
  { module: 'NodeNext', moduleResolution: 'NodeNext', lib: ['ES2022', 'ESNext.Disposable'] },
];

test('a checkout has its types, with strict options and every resolution', () => {
  const place = application('checkout', (target) => symlinkSync(HERE, target));
  for (const options of RESOLUTIONS) checkTypes(place, options);
});

test('npm pack has its types and all scripts, without a build by the one who installs', () => {
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: HERE, stdio: 'pipe' });
  const [archive] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const place = application('packed', (target) => {
    mkdirSync(target);
    execFileSync('tar', ['-xzf', join(folder, archive), '-C', target, '--strip-components=1']);
  });
  for (const options of RESOLUTIONS) checkTypes(place, options);
  const dist = readdirSync(join(place, 'node_modules/fanwire/dist'));
  assert.deepEqual(dist.filter((name) => !name.startsWith('fanwire')), ['types']);
  assert.ok(dist.includes('fanwire-http.mjs'));
});

test('with ws, and in a process without a handler for rejections, odd errors of handlers end nothing', async () => {
  const place = application('run', (target) => symlinkSync(HERE, target));
  writeFileSync(join(place, 'app.mjs'), `
    import { WebSocketServer, WebSocket } from 'ws';
    import { connect } from 'fanwire';
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', (socket) => socket.on('message', (text) => {
      const { type, id, topic } = JSON.parse(text);
      const say = (frame) => socket.send(JSON.stringify(frame));
      if (type === 'connect') say({ type: 'connected', id, connection: 'c', ping_interval: 25, server: 'test' });
      if (type === 'subscribe') say({ type: 'subscribed', id, topic, epoch: '1', offset: 0, recovered: true });
      if (type === 'subscribe') for (const data of ['odd', 'last']) say({ type: 'message', topic, data });
    }));
    server.on('listening', async () => {
      const broker = connect('http://127.0.0.1:' + server.address().port, { WebSocket });
      broker.subscribe('t', ({ data }) => { if (data === 'odd') throw Object.create(null); });
      broker.subscribe('t', () => Promise.reject(Object.create(null)));
      broker.subscribe('t', ({ data }) => {
        if (data !== 'last') return;
        console.log('transport', broker.status.transport);
        setImmediate(() => { broker.close(); server.close(); });
      });
    });
  `);
  const run = spawn(process.execPath, [join(place, 'app.mjs')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  run.stdout.on('data', (chunk) => { printed += chunk; });
  run.stderr.on('data', (chunk) => { printed += chunk; });
  const code = await new Promise((resolve) => { run.on('close', resolve); });
  assert.equal(code, 0, printed);
  assert.match(printed, /transport websocket/);
  assert.equal(printed.match(/listener of 't' failed/g).length, 3, printed);
});
