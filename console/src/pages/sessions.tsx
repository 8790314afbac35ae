//! The connected sessions, filtered by user, transport or topic, with their outboxes.

import { useEffect, useState } from 'preact/hooks';
import { request, paths, queryOf, type SessionList, type SessionRow } from '../api.ts';
import { bytes, count, duration, TRANSPORTS } from '../format.ts';
import { Disconnect } from '../parts/disconnect.tsx';
import { Meter } from '../parts/meter.tsx';
import { Badge, Done, Loading, Trouble } from '../parts/notices.tsx';
import { Pager, usePages } from '../parts/pager.tsx';
import { Table } from '../parts/table.tsx';
import { usePolled } from '../poll.ts';
import { hrefOf, replaceParameters } from '../router.ts';

const LIMIT = 50;
const EVERY_MS = 3000;
const PAUSE_MS = 250;

interface Filter {
  user: string;
  topic: string;
  transport: string;
  slow: string;
}

export function Sessions({ parameters }: { parameters: URLSearchParams }) {
  const read = (name: string) => parameters.get(name) ?? '';
  const [typed, setTyped] = useState<Filter>({ user: read('user'), topic: read('topic'), transport: read('transport'), slow: read('slow') });
  const [filter, setFilter] = useState(typed);
  const [leaving, setLeaving] = useState<SessionRow>();
  const [done, setDone] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setFilter(typed), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const subject = JSON.stringify(filter);
  useEffect(() => replaceParameters(['sessions'], { ...filter }), [subject]);
  const pages = usePages(subject);
  const { value, error, refresh } = usePolled(
    `${subject}${pages.after}`,
    (signal) => request<SessionList>(paths.sessions + queryOf({ ...filter, after: pages.after, limit: LIMIT }), { signal }),
    EVERY_MS,
  );
  return (
    <>
      <h1 tabIndex={-1}>Sessions</h1>
      <Filters filter={typed} onChange={setTyped} />
      <Trouble error={error} />
      <Done>{done}</Done>
      {value === undefined ? !error && <Loading /> : <List list={value} onLeave={setLeaving} isFiltered={Object.values(filter).some(Boolean)} />}
      {value && (
        <Pager
          what="sessions" first={pages.number * LIMIT + 1} count={value.sessions.length} total={`${count(value.total)} connected`} next={value.next} pages={pages}
        />
      )}
      {leaving && (
        <Disconnect
          connection={leaving.connection} who={leaving.user ?? ''} onClose={() => setLeaving(undefined)}
          onDone={() => {
            setDone(`Session ${leaving.connection} is disconnected.`);
            refresh();
          }}
        />
      )}
    </>
  );
}

function Filters({ filter, onChange }: { filter: Filter; onChange(filter: Filter): void }) {
  const field = (name: 'user' | 'topic', label: string, hint: string) => (
    <span class="field">
      <label for={name}>{label}</label>
      <input id={name} type="search" value={filter[name]} placeholder={hint} spellcheck={false} autocapitalize="none"
        onInput={(event) => onChange({ ...filter, [name]: event.currentTarget.value })} />
    </span>
  );
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {field('user', 'User', 'a whole id')}
      {field('topic', 'Topic', 'subscribed to')}
      <span class="field">
        <label for="transport">Transport</label>
        <select id="transport" value={filter.transport} onChange={(event) => onChange({ ...filter, transport: event.currentTarget.value })}>
          <option value="">all</option>
          {['ws', 'bare', 'sse', 'poll', 'pusher'].map((name) => <option key={name} value={name}>{TRANSPORTS[name]}</option>)}
        </select>
      </span>
      <label class="check"><input type="checkbox" checked={filter.slow === 'true'} onChange={(event) => onChange({ ...filter, slow: event.currentTarget.checked ? 'true' : '' })} /> slow only</label>
    </form>
  );
}

function List({ list, onLeave, isFiltered }: { list: SessionList; onLeave(session: SessionRow): void; isFiltered: boolean }) {
  const now = Date.now();
  if (list.sessions.length === 0) {
    return <p class="card empty soft">{isFiltered ? 'No session on this page matches.' : 'No session is connected.'}</p>;
  }
  return (
    <Table caption="Sessions">
      <thead>
        <tr>
          <th scope="col">Session</th><th scope="col">User</th><th scope="col" class="extra">Transport</th><th scope="col" class="extra">Address</th>
          <th scope="col" class="number extra">Connected</th><th scope="col" class="number">Topics</th><th scope="col">Outbox</th><th scope="col" class="extra"><span class="hidden">Actions</span></th>
        </tr>
      </thead>
      <tbody>
        {list.sessions.map((session) => (
          <tr key={session.connection}>
            <th scope="row"><a href={hrefOf(['sessions', session.connection])}><code>{session.connection}</code></a></th>
            <td>{session.user ? <span class="name">{session.user}</span> : <span class="soft">anonymous</span>}</td>
            <td class="extra">{TRANSPORTS[session.transport] ?? session.transport}</td>
            <td class="extra"><code>{session.address}</code></td>
            <td class="number extra">{duration(now - session.opened)}</td>
            <td class="number">{count(session.subscriptions)}</td>
            <td><Outbox session={session} /></td>
            <td class="extra number"><button type="button" class="small danger" aria-label={`Disconnect session ${session.connection}`} onClick={() => onLeave(session)}>Disconnect</button></td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** The fill of a session's outbox, and whether the session is slow. */
export function Outbox({ session }: { session: SessionRow }) {
  return (
    <span title={`${bytes(session.outbox_bytes)} of ${bytes(session.outbox_bytes_max)}`}>
      <Meter value={session.outbox_bytes} max={session.outbox_bytes_max} label={`Outbox of session ${session.connection}`} />
      {session.slow && <Badge kind="warn">slow</Badge>}
    </span>
  );
}
