// The README's snippets do what the README says, run as they are written; only the port is the test broker's. Its pages are in
// javascript-docs.test.js.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startBroker } from './broker.js';
import { PATIENCE_MS } from './browser.js';

let broker;
before(async () => { broker = await startBroker(); });
after(async () => { await broker?.stop(); });

/** The snippet's text with the test broker's address in place of the default one. */
function snippet(name) {
  const text = readFileSync(new URL(`../../examples/snippets/${name}`, import.meta.url), 'utf8');
  assert.ok(text.includes('localhost:7400'), `${name} speaks to the default address`);
  return text.replaceAll('localhost:7400', `127.0.0.1:${broker.port}`);
}

/** Runs a shell snippet; `printed` resolves with what it has printed once that matches, `ended` when it has ended. */
function run(name) {
  const shell = spawn('sh', ['-euc', snippet(name)], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let complaints = '';
  let wake = () => {};
  shell.stdout.on('data', (chunk) => {
    output += chunk;
    wake();
  });
  shell.stderr.on('data', (chunk) => { complaints += chunk; });
  const ended = new Promise((resolve) => shell.on('close', (code) => resolve({ code, output, complaints })));
  const printed = (pattern) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} did not print ${pattern}; it printed: ${output}${complaints}`)), PATIENCE_MS);
    wake = () => {
      if (!pattern.test(output)) return;
      clearTimeout(timer);
      resolve(output);
    };
    wake();
  });
  const kill = () => process.kill(-shell.pid);  // The whole group: the shell and its curl.
  return { ended, printed, kill };
}

test('subscribe.sh prints what publish.sh publishes', async () => {
  const subscriber = run('subscribe.sh');
  try {
    await subscriber.printed(/^(retry|:)/m);  // The stream is open.
    const { code, output, complaints } = await run('publish.sh').ended;
    assert.equal(code, 0, complaints);
    const receipt = JSON.parse(output);
    assert.equal(receipt.topic, 'chat.lobby');
    assert.equal(receipt.subscribers, 1);
    await subscriber.printed(/^data: hello$/m);
  } finally {
    subscriber.kill();
  }
});

test('poll.sh waits for what is newer and prints it', async () => {
  const poller = run('poll.sh');
  // When the poll has begun cannot be seen from outside, so publish until it has answered.
  const publishing = setInterval(() => broker.publish('chat.lobby', 'tick').catch(() => {}), 200);
  const timer = setTimeout(poller.kill, PATIENCE_MS);
  const { code, output, complaints } = await poller.ended;
  clearInterval(publishing);
  clearTimeout(timer);
  assert.equal(code, 0, complaints);
  const answer = JSON.parse(output);
  assert.deepEqual(answer.messages.map((message) => message.data), Array(answer.messages.length).fill('tick'));
  assert.ok(answer.messages.length > 0);
  assert.equal(answer.gap, false);
});

test('the Rust example publishes what the history then holds', async () => {
  const locked = process.env.CI === 'true' ? ['--locked'] : [];
  const { stdout } = await promisify(execFile)(
    'cargo',
    ['run', ...locked, '--quiet', '-p', 'fanwire-client', '--example', 'publish', '--', 'snippet.rust', 'Hello from Rust'],
    {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, FANWIRE_URL: broker.url },
    },
  );
  const { messages } = await (await fetch(broker.topic('snippet.rust'))).json();
  assert.deepEqual(messages.map((message) => message.data), ['Hello from Rust']);
  assert.equal(stdout, `snippet.rust has it at offset ${messages[0].offset} of epoch ${messages[0].epoch}\n`);
});
