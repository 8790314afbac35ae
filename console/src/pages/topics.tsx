//! All topics. The broker searches, sorts and pages them, so a hundred thousand topics cost no more than a hundred.

import { useEffect, useState } from 'preact/hooks';
import { request, paths, queryOf, type TopicList } from '../api.ts';
import { ago, bytes, count } from '../format.ts';
import { Badge, Loading, Trouble } from '../parts/notices.tsx';
import { Pager, usePages } from '../parts/pager.tsx';
import { Heading, type Sorting, Table } from '../parts/table.tsx';
import { usePolled } from '../poll.ts';
import { hrefOf, replaceParameters } from '../router.ts';

const LIMIT = 100;
const EVERY_MS = 4000;

/** The pause in typing after which the search begins, in milliseconds. */
const PAUSE_MS = 250;

export function Topics({ parameters }: { parameters: URLSearchParams }) {
  const [typed, setTyped] = useState(parameters.get('search') ?? '');
  const [search, setSearch] = useState(typed);
  const [sorting, setSorting] = useState<Sorting>({ by: parameters.get('sort') ?? 'name', isDescending: parameters.get('order') === 'desc' });
  useEffect(() => {
    const timer = setTimeout(() => setSearch(typed.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const order = sorting.isDescending ? 'desc' : 'asc';
  const query = { search, sort: sorting.by, order };
  const subject = JSON.stringify(query);
  useEffect(() => replaceParameters(['topics'], query), [subject]);
  const pages = usePages(subject);
  const { value, error } = usePolled(
    `${subject}${pages.after}`,
    (signal) => request<TopicList>(paths.topics + queryOf({ ...query, after: pages.after, limit: LIMIT }), { signal }),
    EVERY_MS,
  );
  return (
    <>
      <h1 tabIndex={-1}>Topics</h1>
      <form class="filters" role="search" onSubmit={(event) => { event.preventDefault(); setSearch(typed.trim()); }}>
        <label for="search">Search</label>
        <input id="search" type="search" value={typed} placeholder="part of a name" spellcheck={false} onInput={(event) => setTyped(event.currentTarget.value)} />
        <OpenTopic />
      </form>
      <Trouble error={error} />
      {value === undefined ? !error && <Loading /> : <List list={value} sorting={sorting} onSort={setSorting} isSearch={search !== ''} />}
      {value && (
        <Pager
          what="topics" first={pages.number * LIMIT + 1} count={value.topics.length} next={value.next} pages={pages}
          total={search ? `${count(value.matching)} found in ${count(value.total)}` : count(value.total)}
        />
      )}
    </>
  );
}

/** Opens a topic by its name, whether it exists or not. */
function OpenTopic() {
  const [name, setName] = useState('');
  const open = () => { if (name.trim()) location.hash = hrefOf(['topics', name.trim()]); };
  return (
    <span class="open">
      <label for="open">Open</label>
      <input
        id="open" value={name} placeholder="a whole name" spellcheck={false} autocapitalize="none" onInput={(event) => setName(event.currentTarget.value)}
        onKeyDown={(event) => { if (event.key === 'Enter') { event.preventDefault(); open(); } }}
      />
      <button type="button" onClick={open}>Go</button>
    </span>
  );
}

function List({ list, sorting, onSort, isSearch }: { list: TopicList; sorting: Sorting; onSort(sorting: Sorting): void; isSearch: boolean }) {
  const now = Date.now();
  if (list.topics.length === 0) {
    return (
      <p class="card empty soft">
        {isSearch ? 'No topic contains this text.' : 'There is no topic yet. A topic exists while it has subscribers or holds messages: publish a message, and its topic appears here.'}
      </p>
    );
  }
  const heading = { sorting, onSort };
  return (
    <Table caption="Topics">
      <thead>
        <tr>
          <Heading by="name" {...heading}>Topic</Heading>
          <Heading by="subscribers" number {...heading}>Subscribers</Heading>
          <Heading by="messages" number extra {...heading}>Messages held</Heading>
          <Heading by="bytes" number extra {...heading}>Memory</Heading>
          <Heading by="newest" number {...heading}>Last message</Heading>
        </tr>
      </thead>
      <tbody>
        {list.topics.map((row) => (
          <tr key={row.topic}>
            <th scope="row">
              <a href={hrefOf(['topics', row.topic])} class="name">{row.topic}</a>
              {row.durable && <> <Badge kind="plain">durable</Badge></>}
              {row.members > 0 && <> <Badge kind="plain">{count(row.members)} present</Badge></>}
            </th>
            <td class="number">{count(row.subscribers)}</td>
            <td class="number extra">{count(row.messages)}</td>
            <td class="number extra">{bytes(row.bytes)}</td>
            <td class="number">{ago(row.ts, now)}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}
