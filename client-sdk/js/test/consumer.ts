//! What an application written in strict TypeScript may and may not do. It is compiled by the tests, and never run.

import { connect, FanwireError, type Message, type Status } from '../src/index.ts';
import { tabs } from '../src/tabs.ts';
import { msgpack } from '../src/msgpack.ts';
const broker = connect('http://localhost:7400', { token: async (why) => why, share: tabs('x'), codec: msgpack, transports: ['sse'], log: false });
const sub = broker.subscribe('a', (message: Message) => console.log(message.data), { since: new Date(), signal: new AbortController().signal });
sub.on('lost', ({ topic, missed }) => console.log(topic, missed));
broker.on('status', (status: Status) => console.log(status.state));
for await (const message of broker.subscribe('b', { last: 3 })) console.log(message.position?.offset);
try { await broker.publish('a', { n: 1 }, { key: 'k', echo: false, timeoutMs: 5 }); } catch (error) { if (error instanceof FanwireError && error.code === 'timeout') console.log(error.status); }
const answer = await broker.request<{ total: number }>('x', [1]); console.log(answer.total);
// @ts-expect-error there is no such event
broker.on('nothing', () => {});
// @ts-expect-error a function is no payload
await broker.publish('a', undefined);
