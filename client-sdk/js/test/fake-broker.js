// A broker inside the test: WebSockets whose other end the test holds, and HTTP answers that the test defines. It knows
// frames as JSON, and not what they mean.
import { settle } from './clock.js';

/** A broker in memory. Give its `WebSocket` and `fetch` to `connect`. */
export class FakeBroker {
  constructor() {
    /** The connections, newest last. */
    this.sockets = [];
    /** While false, connections fail as if no server listened. */
    this.isThere = true;
    /** Returns the answer to an HTTP request, or undefined for the default. */
    this.answer = () => undefined;
    /** Whether WebSockets get through. */
    this.takesWebSockets = true;
    const broker = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocol) {
        super(url, protocol);
        broker.sockets.push(this);
        queueMicrotask(() => (broker.isThere && broker.takesWebSockets ? this.opened() : this.cut()));
      }
    };
    this.fetch = async (url, init = {}) => {
      if (!this.isThere) throw new TypeError('fetch failed');
      return this.answer(String(url), init) ?? new Response(url.endsWith('/healthz') ? 'alive\n' : '{}', { status: url.endsWith('/healthz') ? 200 : 404 });
    };
  }

  /** The newest connection. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** Waits for the newest connection's `connect` frame, answers it, and returns it. */
  async welcome(fields = {}) {
    await settle();
    const hello = this.socket.heard.shift();
    this.socket.say({ type: 'connected', id: hello.id, connection: `c${this.sockets.length}`, ping_interval: 25, server: 'fake', ...fields });
    await settle();
    return hello;
  }
}

class FakeSocket {
  constructor(url, protocol) {
    Object.assign(this, { url, protocol, readyState: 0, heard: [], closedWith: undefined });
  }

  opened() {
    this.readyState = 1;
    this.onopen?.({});
  }

  send(data) {
    this.heard.push(JSON.parse(data));
  }

  close(code) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.closedWith = code;
    queueMicrotask(() => this.onclose?.({ code: code ?? 1005, reason: '' }));
  }

  /** Sends a frame to the client. */
  say(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** Answers the oldest request, and returns it. */
  reply(type, fields = {}) {
    const request = this.heard.shift();
    this.say({ type, id: request.id, ...fields });
    return request;
  }

  /** Sends `closing` and closes. */
  end(code, reason, fields = {}) {
    this.say({ type: 'closing', code, reason, reconnect: false, ...fields });
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The network breaks. */
  cut() {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code: 1006, reason: '' });
  }
}
