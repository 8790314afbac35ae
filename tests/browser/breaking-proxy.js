// An HTTP proxy that breaks what badly configured proxies break: WebSockets, event streams, long answers. It passes everything
// else.
import http from 'node:http';
import net from 'node:net';

/**
 * Starts a proxy to `port` on loopback. What it does to WebSockets and event streams is in its fields, and may be changed.
 *
 * @param {number} port where the broker listens
 */
export async function startBreakingProxy(port) {
  const proxy = new BreakingProxy(port);
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
  return proxy;
}

class BreakingProxy {
  constructor(port) {
    this.port = port;
    /** `pass`; `refuse`: answer an upgrade with 502; `strip`: pass the request on without its upgrade; `swallow`: never answer. */
    this.websocket = 'pass';
    /** How long a WebSocket that passes lives, in milliseconds; for ever if not set. */
    this.websocketMs = undefined;
    /** `pass`; `gather`: hold an event stream back; `refuse`: answer with 502. */
    this.stream = 'pass';
    /** The paths that were requested, upgrades as `ws PATH`. */
    this.asked = [];
    this.sockets = new Set();
    this.server = http.createServer((request, response) => this.pass(request, response));
    this.server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  pass(request, response, headers = request.headers) {
    this.asked.push(request.url);
    const isStream = (request.headers.accept ?? '').includes('text/event-stream');
    if (isStream && this.stream === 'refuse') return response.writeHead(502).end();
    const gathers = isStream && this.stream === 'gather';
    const passed = http.request({ port: this.port, host: '127.0.0.1', path: request.url, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      if (!gathers) answer.pipe(response);
      else response.flushHeaders();
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    return request.pipe(passed);
  }

  upgrade(request, socket, head) {
    socket.on('error', () => {});
    if (this.websocket === 'swallow') return this.asked.push(`ws ${request.url}`);
    if (this.websocket === 'refuse') {
      this.asked.push(`ws ${request.url}`);
      return socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    }
    if (this.websocket === 'strip') {
      const { upgrade: _, connection: __, ...headers } = request.headers;
      const response = new http.ServerResponse(request);
      response.assignSocket(socket);
      return this.pass(request, response, headers);
    }
    this.asked.push(`ws ${request.url}`);
    const broker = net.connect(this.port, '127.0.0.1', () => {
      const lines = request.rawHeaders.reduce((text, part, index) => text + (index % 2 ? `: ${part}\r\n` : part), '');
      broker.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines}\r\n`);
      broker.write(head);
      broker.pipe(socket).pipe(broker);
      if (this.websocketMs !== undefined) setTimeout(() => socket.destroy(), this.websocketMs);
    });
    broker.on('error', () => socket.destroy());
    return socket.on('close', () => broker.destroy());
  }

  /** Cuts every connection now. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Cuts what there is and closes. */
  async stop() {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
