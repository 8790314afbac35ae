// Starts the real broker for a test and ends it again. It owns the process and its address; what is tested it does not
// know.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.FANWIRE_BIN || fileURLToPath(new URL('../../target/debug/fanwire', import.meta.url));
const START_MS = 20_000;
const STOP_MS = 20_000;

/**
 * Starts a broker on a free port of loopback.
 *
 * @param {object} environment settings, as `FANWIRE_*` variables
 * @param {string[]} more further command-line arguments
 * @param {string} listen the address; port 0 is a free one
 * @returns {Promise<Broker>} once it has printed where it listens
 */
export async function startBroker(environment = {}, more = [], listen = '127.0.0.1:0') {
  if (!existsSync(BINARY)) throw new Error(`There is no broker at ${BINARY}: build it with 'cargo build -p fanwire' or set FANWIRE_BIN.`);
  const env = { ...globalThis.process.env, ...environment };
  const process = spawn(BINARY, ['serve', '--listen', listen, ...more], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let printed = '';
    const fail = (why) => reject(new Error(`The broker ${why}. It printed:\n${printed}`));
    const timer = setTimeout(() => {
      process.kill('SIGKILL');
      fail('did not say where it listens');
    }, START_MS);
    process.on('error', (error) => fail(`could not be started: ${error.message}`));
    process.on('exit', (code) => fail(`ended with ${code} instead of listening`));
    process.stderr.on('data', (chunk) => { printed += chunk; });
    process.stdout.on('data', (chunk) => {
      printed += chunk;
      const found = /http:\/\/127\.0\.0\.1:(\d+)\b/.exec(printed);
      if (!found) return;
      clearTimeout(timer);
      resolve(new Broker(process, Number(found[1]), () => printed));
    });
  });
}

/** One running broker. */
class Broker {
  constructor(process, port, printed) {
    this.process = process;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.printed = printed;
    this.ended = new Promise((resolve) => process.on('exit', (code, signal) => resolve(code ?? signal)));
  }

  /** The URL of a topic. */
  topic(name) {
    return `${this.url}/topics/${encodeURIComponent(name)}`;
  }

  /** Publishes over HTTP: a string as text, a Buffer as binary, anything else as JSON. Returns the receipt. */
  async publish(topic, payload) {
    const kind = Buffer.isBuffer(payload) ? 'application/octet-stream' : typeof payload === 'string' ? 'text/plain' : 'application/json';
    const body = kind === 'application/json' ? JSON.stringify(payload) : payload;
    const response = await fetch(this.topic(topic), { method: 'POST', headers: { 'Content-Type': kind }, body });
    const answer = await response.json();
    if (!response.ok) throw new Error(`publishing to ${topic}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Kills the broker as a crash would. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** Asks the broker to end (SIGTERM) and fails if it does not do so cleanly and in time. */
  async stop() {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    this.process.kill('SIGTERM');
    const code = await this.ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`After SIGTERM the broker ended with ${code} instead of 0. It printed:\n${this.printed()}`);
  }
}
