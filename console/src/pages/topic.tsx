//! One topic: its position, its rule, its messages as they come, and a form to publish.

import { useRef, useState } from 'preact/hooks';
import { request, call, paths, publish, type TopicDetails } from '../api.ts';
import { ago, bytes, clock, count, duration } from '../format.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Badge, Done, Trouble } from '../parts/notices.tsx';
import { usePolled } from '../poll.ts';
import { hrefOf } from '../router.ts';
import { type Tail, textOf, useTail } from '../tail.ts';

const EVERY_MS = 2000;

export function Topic({ topic }: { topic: string }) {
  const { value, error, refresh } = usePolled(topic, (signal) => request<TopicDetails>(paths.topic(topic), { signal }), EVERY_MS);
  const [isPaused, setPaused] = useState(false);
  const [isConfirming, setConfirming] = useState(false);
  const [done, setDone] = useState('');
  const tail = useTail(topic, isPaused);
  return (
    <>
      <p class="crumbs"><a href={hrefOf(['topics'])}>Topics</a></p>
      <h1 tabIndex={-1} class="name">{topic}</h1>
      <Trouble error={error} />
      {value && <Facts details={value} />}
      <div class="columns topic">
        <Messages tail={tail} isPaused={isPaused} onPause={() => setPaused(!isPaused)} />
        <div>
          <Publish topic={topic} onPublished={refresh} />
          <section aria-labelledby="clear">
            <h2 id="clear">History</h2>
            <p class="soft">Clearing removes all messages that the topic holds. Clients that reconnect later learn that messages are missing.</p>
            <button type="button" class="danger" onClick={() => setConfirming(true)}>Clear history …</button>
            <Done>{done}</Done>
          </section>
        </div>
      </div>
      {isConfirming && (
        <Confirm
          title="Clear the history?" verb="Clear" onClose={() => setConfirming(false)}
          act={async () => {
            await call(paths.history(topic), {}, 'DELETE');
            tail.clear();
            setDone('The history is cleared.');
            refresh();
          }}
        >
          <p>All {value ? count(value.messages) : ''} messages that <b class="name">{topic}</b> holds will be removed. This cannot be undone.</p>
        </Confirm>
      )}
    </>
  );
}

function Facts({ details }: { details: TopicDetails }) {
  const now = Date.now();
  return (
    <dl class="facts card wide">
      <div><dt>Position</dt><dd>{details.offset === undefined ? <span class="soft">does not exist now</span> : <code>{details.epoch}:{details.offset}</code>}</dd></div>
      <div><dt>Holds</dt><dd>{count(details.messages)} messages, {bytes(details.bytes)}</dd></div>
      <div><dt>Last message</dt><dd>{ago(details.ts, now)}</dd></div>
      <div>
        <dt>Subscribers</dt>
        <dd>
          <a href={hrefOf(['sessions'], { topic: details.topic })}>{count(details.subscribers)}</a>
          {details.pattern_subscribers > 0 && `, ${count(details.pattern_subscribers)} of them by patterns`}
        </dd>
      </div>
      <div><dt>Rule</dt><dd>{details.rule === undefined ? <span class="soft">none: defaults apply</span> : <code>{details.rule}</code>}</dd></div>
      <div><dt>Keeps</dt><dd>{keeps(details)}{details.durable && <> <Badge kind="good">durable</Badge></>}</dd></div>
      <div><dt>Slow sessions</dt><dd>{SLOW[details.slow] ?? details.slow}</dd></div>
      {details.rate && <div><dt>Takes at most</dt><dd>{count(details.rate.per_second)}/s, bursts of {count(details.rate.burst)}</dd></div>}
      {details.presence && <div><dt>Present</dt><dd>{count(details.members)}</dd></div>}
    </dl>
  );
}

const SLOW: Record<string, string> = { disconnect: 'are disconnected', skip: 'skip messages', latest: 'get the latest only' };

function keeps({ history }: TopicDetails): string {
  if (history === undefined) return 'no history';
  const parts = [
    history.messages !== undefined && `${count(history.messages)} messages`,
    history.bytes !== undefined && bytes(history.bytes),
    history.ttl_ms !== undefined && duration(history.ttl_ms),
  ].filter(Boolean);
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

function Messages({ tail, isPaused, onPause }: { tail: Tail & { clear(): void }; isPaused: boolean; onPause(): void }) {
  return (
    <section aria-labelledby="messages">
      <div class="heading">
        <h2 id="messages">Messages</h2>
        <span class={`state ${tail.state}`}>{isPaused ? 'paused' : tail.state === 'connected' ? 'live' : tail.state}</span>
        <span class="soft">{count(tail.seen)} seen</span>
        <span class="buttons">
          <button type="button" aria-pressed={isPaused} onClick={onPause}>{isPaused ? 'Resume' : 'Pause'}</button>
          <button type="button" onClick={tail.clear}>Empty view</button>
        </span>
      </div>
      <Trouble error={tail.error} />
      <ol class="messages card" tabIndex={0} aria-label="Messages, newest first">
        {tail.shown.length === 0 && <li class="soft">No messages yet. New messages appear here.</li>}
        {tail.shown.map(({ number, message }) => {
          if (message === undefined) return <li key={number} class="soft">Messages may be missing here.</li>;
          const { kind, text } = textOf(message);
          const { ts } = message;
          return (
            <li key={number}>
              <p class="about">
                {ts !== undefined && <time dateTime={new Date(ts).toISOString()}>{clock(ts)}</time>}
                {message.offset !== undefined && <span>#{message.offset}</span>}
                {message.from && <span>from {message.from}</span>}
                <span class="kind">{kind}</span>
              </p>
              <pre>{text}</pre>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function Publish({ topic, onPublished }: { topic: string; onPublished(): void }) {
  const form = useRef<HTMLFormElement>(null);
  const [error, setError] = useState<Error>();
  const [done, setDone] = useState('');
  const send = async (event: Event) => {
    event.preventDefault();
    const fields = new FormData(form.current!);
    const text = String(fields.get('payload') ?? '');
    setError(undefined);
    try {
      const kind = fields.get('kind') === 'json' ? 'json' : 'text';
      if (kind === 'json') checkJson(text);
      await publish(topic, kind, text);
      setDone(`Published at ${clock(Date.now())}.`);
      onPublished();
    } catch (thrown) {
      setDone('');
      setError(thrown as Error);
    }
  };
  const sendByKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.current!.requestSubmit();
  };
  return (
    <section aria-labelledby="publish">
      <h2 id="publish">Publish</h2>
      <form class="publish card" ref={form} onSubmit={send}>
        <label for="payload">Payload</label>
        <textarea id="payload" name="payload" rows={4} spellcheck={false} onKeyDown={sendByKey} aria-describedby="keys" />
        <fieldset>
          <legend class="hidden">Kind of payload</legend>
          <label><input type="radio" name="kind" value="text" defaultChecked /> text</label>
          <label><input type="radio" name="kind" value="json" /> JSON</label>
        </fieldset>
        <div class="buttons">
          <span class="soft small" id="keys">Ctrl + Enter publishes</span>
          <button type="submit" class="primary">Publish</button>
        </div>
        <Trouble error={error} />
        <Done>{done}</Done>
      </form>
    </section>
  );
}

/** The document itself is sent as it was typed: parsing it would round large numbers. */
function checkJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`);
  }
}
