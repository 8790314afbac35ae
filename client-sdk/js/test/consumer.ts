//! What an application in strict TypeScript may and may not write. The tests compile it against the shipped types, and never run it.

import { connect, FanwireError, type Message, type Status, type WebSocketClass } from 'fanwire';
import { tabs } from 'fanwire/tabs';
import { msgpack } from 'fanwire/msgpack';
import { WebSocket } from 'ws';
import WebSocketDefault from 'ws';

const broker = connect('http://localhost:7400', { token: async (why) => why, share: tabs('x'), codec: msgpack, transports: ['sse'], log: false });
connect('http://localhost:7400', { WebSocket });
connect('http://localhost:7400', { WebSocket: WebSocketDefault });
const own: WebSocketClass = WebSocket;
connect(new URL('http://localhost:7400'), { WebSocket: own, fetch });
const sub = broker.subscribe('a', (message: Message) => console.log(message.data), { since: new Date(), signal: new AbortController().signal });
sub.on('lost', ({ topic, missed }) => console.log(topic, missed));
broker.on('status', (status: Status) => console.log(status.state));
for await (const message of broker.subscribe('b', { last: 3 })) console.log(message.position?.offset);
try { await broker.publish('a', { n: 1 }, { key: 'k', echo: false, timeoutMs: 5 }); } catch (error) { if (error instanceof FanwireError && error.code === 'timeout') console.log(error.status); }
await broker.publish('a', 5n);
const answer = await broker.request<{ total: number }>('x', [1]); console.log(answer.total);
// @ts-expect-error there is no such event
broker.on('nothing', () => {});
// @ts-expect-error undefined is no payload
await broker.publish('a', undefined);
// @ts-expect-error there is no such option
connect('http://localhost:7400', { tokn: 'x' });
