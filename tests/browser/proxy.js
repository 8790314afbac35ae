// A TCP proxy that can be told to behave badly: it cuts connections, refuses them and delays what it carries. It knows
// nothing of the protocols inside.
import net from 'node:net';

/**
 * Starts a proxy to `port` on loopback.
 *
 * @param {number} port where the broker listens
 * @param {number} latencyMs how long every chunk is held back, in each direction
 */
export async function startProxy(port, latencyMs = 0) {
  const proxy = new Proxy(port, latencyMs);
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
  return proxy;
}

class Proxy {
  constructor(port, latencyMs) {
    /** Where new connections go; may be changed to point at a restarted broker. */
    this.port = port;
    /** While true, every new connection is closed at once. */
    this.refusing = false;
    this.latencyMs = latencyMs;
    this.pairs = new Set();
    this.halving = false;
    this.server = net.createServer((client) => this.accept(client));
  }

  accept(client) {
    if (this.refusing) return client.destroy();
    const broker = net.connect(this.port, '127.0.0.1');
    const pair = { client, broker };
    this.pairs.add(pair);
    const end = () => {
      client.destroy();
      broker.destroy();
      this.pairs.delete(pair);
    };
    for (const socket of [client, broker]) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
    }
    client.on('data', (chunk) => this.later(() => broker.write(chunk)));
    broker.on('data', (chunk) => this.later(() => {
      if (!this.halving) return client.write(chunk);
      this.halving = false;
      client.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => this.cut());
    }));
  }

  later(action) {
    if (this.latencyMs === 0) return action();
    setTimeout(action, this.latencyMs);
  }

  /** Cuts every connection now. */
  cut() {
    for (const { client, broker } of this.pairs) {
      client.destroy();
      broker.destroy();
    }
  }

  /** Lets half of the next chunk to a client through and cuts every connection then, in the middle of whatever it is. */
  cutInTheMiddle() {
    this.halving = true;
  }

  /** Cuts what there is and closes. */
  async stop() {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
