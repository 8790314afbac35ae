//! One session: its user, its subscriptions, and its outbox.

import { useState } from 'preact/hooks';
import { ApiError, request, paths, type SessionDetails } from '../api.ts';
import { bytes, clock, count, duration, TRANSPORTS } from '../format.ts';
import { Disconnect } from '../parts/disconnect.tsx';
import { Done, Loading, Trouble } from '../parts/notices.tsx';
import { usePolled } from '../poll.ts';
import { hrefOf } from '../router.ts';
import { Outbox } from './sessions.tsx';

const EVERY_MS = 2000;

export function Session({ connection }: { connection: string }) {
  const { value, error, refresh } = usePolled(connection, (signal) => request<SessionDetails>(paths.session(connection), { signal }), EVERY_MS);
  const [isConfirming, setConfirming] = useState(false);
  const [done, setDone] = useState('');
  const isGone = error instanceof ApiError && error.status === 404;
  return (
    <>
      <p class="crumbs"><a href={hrefOf(['sessions'])}>Sessions</a></p>
      <h1 tabIndex={-1}>Session <code>{connection}</code></h1>
      {isGone ? <p class="card empty">This session has ended.</p> : <Trouble error={error} />}
      <Done>{done}</Done>
      {value && !isGone && <>
        <Facts session={value} />
        <Subscriptions session={value} />
        <p><button type="button" class="danger" onClick={() => setConfirming(true)}>Disconnect …</button></p>
      </>}
      {value === undefined && error === undefined && <Loading />}
      {isConfirming && (
        <Disconnect
          connection={connection} who={value?.user ?? ''} onClose={() => setConfirming(false)}
          onDone={() => {
            setDone('The session is disconnected.');
            refresh();
          }}
        />
      )}
    </>
  );
}

function Facts({ session }: { session: SessionDetails }) {
  return (
    <dl class="facts card wide">
      <div><dt>User</dt><dd>{session.user === undefined ? <span class="soft">anonymous</span> : <a href={hrefOf(['sessions'], { user: session.user })}>{session.user}</a>}</dd></div>
      <div><dt>Transport</dt><dd>{TRANSPORTS[session.transport] ?? session.transport}</dd></div>
      <div><dt>Address</dt><dd><code>{session.address}</code></dd></div>
      <div><dt>Client</dt><dd>{session.name ?? <span class="soft">unknown</span>}</dd></div>
      <div><dt>Connected</dt><dd>{duration(Date.now() - session.opened)}, since {new Date(session.opened).toLocaleDateString('en')} {clock(session.opened).slice(0, 8)}</dd></div>
      <div><dt>Outbox</dt><dd><Outbox session={session} /> {bytes(session.outbox_bytes)} of {bytes(session.outbox_bytes_max)}</dd></div>
    </dl>
  );
}

function Subscriptions({ session }: { session: SessionDetails }) {
  return (
    <section aria-labelledby="subscriptions">
      <h2 id="subscriptions">{count(session.subscriptions)} {session.subscriptions === 1 ? 'subscription' : 'subscriptions'}</h2>
      <ul class="topics">
        {session.topics.map((topic) => <li key={topic}><a href={hrefOf(['topics', topic])} class="name">{topic}</a></li>)}
      </ul>
      {session.topics.length < session.subscriptions && <p class="soft">The first {count(session.topics.length)} are shown.</p>}
    </section>
  );
}
