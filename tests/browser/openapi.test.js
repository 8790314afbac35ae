// /openapi.json against the running broker: every route has its entry, and every documented request gets the documented answer.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Ajv2020 from 'ajv/dist/2020.js';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

const SOURCES = new URL('../../broker/src/http/', import.meta.url);
const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

const description = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const operations = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ $id: 'openapi', ...description });

let broker;
let guarded;
let browser;
let folder;
let connection;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fanwire-openapi-'));
  const file = join(folder, 'fanwire.toml');
  writeFileSync(file, "[auth]\nsecret = 'a secret of these tests, long enough'\n");
  [broker, guarded, browser] = await Promise.all([startBroker(), startBroker({}, ['--config', file]), startBrowser()]);
  const page = await openTab(browser, broker.url);
  connection = await page.evaluate(() => new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, 'fanwire.v1.json');
    socket.onopen = () => socket.send('{"type":"connect","id":1}');
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).connection);
  }));
});
after(async () => {
  await browser?.close();
  await broker?.stop();
  await guarded?.stop();
  rmSync(folder, { recursive: true });
});

/** The routes of a file of the broker, below `prefix`, each with the methods its source names. */
function routesIn(file, prefix) {
  const source = readFileSync(new URL(file, SOURCES), 'utf8').split('#[cfg(test)]')[0];
  return source.split('.route(').slice(1).map((rest) => {
    const path = /^\s*"([^"]+)"/.exec(rest)[1];
    const handlers = rest.slice(0, rest.search(/\n\s*\./) >>> 0);
    const methods = METHODS.filter((method) => new RegExp(`\\b${method}\\(`).test(handlers));
    return { path: prefix + path.replace('{*', '{'), methods };
  });
}

test('every route of the broker is described, and nothing else is', () => {
  const routes = [...routesIn('mod.rs', ''), ...routesIn('api/mod.rs', '/api/v1')];
  assert.ok(routes.length >= 13, JSON.stringify(routes));
  for (const { path, methods } of routes) {
    for (const method of methods) assert.ok(description.paths[path]?.[method], `${method} ${path} has no entry in docs/openapi.json`);
  }
  // The transports answer GET before the router does, and the pages have their own file.
  const known = [...routes.map(({ path }) => path), '/ws', '/openapi.json', '/topics/{topic}/presence'];
  for (const path of Object.keys(description.paths)) assert.ok(known.includes(path), `${path} is described, and the broker has no such route`);
});

test('the broker serves the description that stands in the repository', async () => {
  const response = await fetch(`${broker.url}/openapi.json`);
  assert.equal(response.headers.get('content-type'), 'application/json');
  assert.deepEqual(await response.json(), description);
  assert.equal(description.openapi, '3.1.0');
  const names = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(names).size, names.length, 'each operation has a name of its own');
});

test('every documented answer is asked for by a request, or says why it is not', () => {
  for (const { path, method, operation } of operations) {
    const asked = new Set(operation['x-requests'].map(({ status }) => String(status)));
    for (const [status, response] of Object.entries(operation.responses)) {
      const isShown = asked.has(status) || response.$ref || response['x-not-shown'];
      assert.ok(isShown, `${method} ${path} documents ${status}, and no request of its asks for it`);
    }
    for (const status of asked) assert.ok(operation.responses[status], `${method} ${path} does not document ${status}`);
    for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
      assert.ok(operation.parameters.some((parameter) => parameter.name === name && parameter.in === 'path'), `${path}: ${name}`);
    }
  }
});

/** Sends a request and reads its answer; of a stream, only the beginning. */
function send(url, method, { headers = {}, body } = {}) {
  const upgrade = headers.Upgrade
    ? { Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } : {};
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: method.toUpperCase(), headers: { ...upgrade, ...headers } });
    const answer = (response, text) => resolve({ status: response.statusCode, kind: (response.headers['content-type'] ?? '').split(';')[0], text });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      answer(response, '');
    });
    request.on('response', (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
        if (response.headers['content-type']?.startsWith('text/event-stream')) {
          answer(response, text);
          request.destroy();
        }
      });
      response.on('end', () => answer(response, text));
    });
    request.on('error', reject);
    if (body !== undefined) request.write(typeof body === 'string' ? body : JSON.stringify(body));
    request.end();
  });
}

/** Holds an answer against what is documented for its status. */
function check(response, documented, what) {
  const resolved = documented.$ref ? description.components.responses[documented.$ref.split('/').at(-1)] : documented;
  if (!resolved.content) return;
  const content = resolved.content[response.kind];
  assert.ok(content, `${what}: ${response.kind} is not documented`);
  const body = response.kind.endsWith('json') ? JSON.parse(response.text) : response.text;
  const validate = ajv.compile(rooted(content.schema));
  assert.ok(validate(body), `${what}: ${JSON.stringify(validate.errors)} in ${response.text}`);
  if (response.kind === 'application/problem+json') assert.equal(body.status, response.status, what);
}

/** A schema whose references lead into the description. */
function rooted(schema) {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
}

// What ends the session comes last.
const inOrder = operations.toSorted?.((one, other) => Number(one.path.includes('disconnect')) - Number(other.path.includes('disconnect')))
  ?? [...operations].sort((one, other) => Number(one.path.includes('disconnect')) - Number(other.path.includes('disconnect')));

for (const { path, method, operation } of inOrder) {
  test(`${method.toUpperCase()} ${path} answers as it is documented`, async () => {
    assert.ok(operation['x-requests'].length > 0);
    for (const request of operation['x-requests']) {
      const url = broker.url + request.path.replace('{connection}', connection);
      const response = await send(url, method, request);
      const what = `${method} ${request.path}`;
      assert.equal(response.status, request.status, `${what}: ${response.text}`);
      check(response, operation.responses[request.status], what);
    }
  });
}

test('what asks for credentials is refused without them, as it is documented', async () => {
  for (const { path, method, operation } of operations.filter(({ operation }) => operation.security?.length !== 0)) {
    const [request] = operation['x-requests'];
    const response = await send(guarded.url + request.path.replace('{connection}', 'a'), method, { headers: path === '/topics/{topic}' ? {} : request.headers });
    assert.equal(response.status, 401, `${method} ${path}: ${response.text}`);
    check(response, operation.responses[401], `${method} ${path}`);
  }
});
