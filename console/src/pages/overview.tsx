//! The state of the broker: charts of its traffic, errors by reason, and the health of callouts, webhooks and disk.

import { useMemo } from 'preact/hooks';
import type { Stats } from '../api.ts';
import { Chart } from '../chart.tsx';
import { EXAMPLES } from '../examples.ts';
import { bytes, compact, count, duration, micros, TRANSPORTS, words } from '../format.ts';
import { Meter } from '../parts/meter.tsx';
import { Badge, Loading } from '../parts/notices.tsx';
import { Table } from '../parts/table.tsx';
import { hrefOf } from '../router.ts';
import { type History, lately, latency99, type Sample } from '../samples.ts';

export function Overview({ history }: { history: History }) {
  const stats = history.last;
  return (
    <>
      <h1 tabIndex={-1}>Overview</h1>
      {stats ? <Board history={history} stats={stats} /> : <Loading />}
    </>
  );
}

function Board({ history, stats }: { history: History; stats: Stats }) {
  return (
    <>
      <Tiles history={history} stats={stats} />
      <Charts samples={history.samples} />
      <div class="columns">
        <Reasons history={history} stats={stats} />
        <div>
          <Health stats={stats} />
          <Workers stats={stats} />
        </div>
      </div>
      <section aria-labelledby="examples">
        <h2 id="examples">Examples to open</h2>
        <ul class="cards">
          {EXAMPLES.map(({ href, name, about }) => (
            <li key={href}><a class="card" href={href} target="_blank" rel="noopener"><b>{name}</b><span>{about}</span></a></li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Tiles({ history, stats }: { history: History; stats: Stats }) {
  const sample = history.samples.at(-1);
  const p99 = latency99(history);
  const sessions = ['ws', 'bare', 'sse', 'poll', 'pusher'].reduce((sum, name) => sum + (stats.connections[name] ?? 0), 0);
  const rate = (value: number | null | undefined) => (value === null || value === undefined ? '–' : compact(value));
  return (
    <section aria-label="Now">
      <dl class="tiles">
        <Tile label="Publications/s" value={rate(sample?.publications)} note={`${compact(stats.totals.publications)} so far`} />
        <Tile label="Deliveries/s" value={rate(sample?.deliveries)} note={`${compact(stats.totals.deliveries)} so far`} />
        <Tile label="Sessions" value={count(sessions)} href={hrefOf(['sessions'])} note={`${count(stats.subscriptions)} subscriptions`} />
        <Tile label="Topics" value={count(stats.topics)} href={hrefOf(['topics'])} note={`${compact(stats.history.publications)} messages held`} />
        <Tile label="Latency p99" value={p99 === undefined ? '–' : p99 === Infinity ? '> 5 s' : `≤ ${micros(p99)}`} note="in the last minute" />
        <Tile label="History" value={bytes(stats.history.bytes)} note={<Meter value={stats.history.bytes} max={stats.history.bytes_max} label="History of its memory" warnAt={0.9} />} />
        <Tile label="Outboxes" value={bytes(stats.outbox_bytes)} note="of all sessions" />
        <Tile label="Up" value={duration(stats.now - stats.started)} note={`version ${stats.version}`} />
      </dl>
    </section>
  );
}

function Tile({ label, value, note, href }: { label: string; value: string; note: preact.ComponentChildren; href?: string }) {
  return (
    <div class="tile card">
      <dt>{href ? <a href={href}>{label}</a> : label}</dt>
      <dd class="value">{value}</dd>
      <dd class="note">{note}</dd>
    </div>
  );
}

function Charts({ samples }: { samples: Sample[] }) {
  const times = useMemo(() => samples.map((sample) => sample.at), [samples]);
  const line = (label: string, colour: 1 | 2 | 3 | 4, pick: (sample: Sample) => number | null) => ({ label, colour, values: samples.map(pick) });
  const transports = [['ws', 1], ['bare', 2], ['sse', 3], ['poll', 4]] as const;
  return (
    <section class="charts" aria-label="The last five minutes">
      <Chart title="Publications per second" times={times} format={compact} lines={[line('publications', 1, (sample) => sample.publications)]} />
      <Chart title="Deliveries per second" times={times} format={compact} lines={[line('deliveries', 2, (sample) => sample.deliveries)]} />
      <Chart
        title="Connections" times={times} format={compact}
        lines={transports.map(([name, colour]) => line(TRANSPORTS[name]!, colour, (sample) => sample.connections[name] ?? null))}
      />
      <Chart
        title="Bytes per second" times={times} format={bytes} isBytes
        lines={[line('in', 3, (sample) => sample.received), line('out', 1, (sample) => sample.sent)]}
      />
      <Chart title="Processor (% of a core)" times={times} format={(value) => `${compact(value)} %`} lines={[line('CPU', 4, (sample) => sample.cpu)]} />
      <Chart title="Memory" times={times} format={bytes} isBytes lines={[line('resident', 2, (sample) => sample.memory)]} />
    </section>
  );
}

/** The counts of refusals, drops and closes, and their labels. */
const REASONS: [string, (stats: Stats) => Record<string, number>][] = [
  ['Error', (stats) => stats.errors],
  ['Close', (stats) => stats.closes],
  ['Connection refused', (stats) => stats.connections_refused],
  ['Handshake failed', (stats) => stats.handshakes_failed],
  ['Publish refused', (stats) => stats.publishes_refused],
  ['Delivery dropped', (stats) => stats.dropped_deliveries],
  ['Key set', (stats) => ({ fetch_failed: stats.key_set['failed'] ?? 0 })],
];

/** Closes that are no errors. */
const HARMLESS = new Set(['Close by_client', 'Close normal', 'Handshake failed left']);

function Reasons({ history, stats }: { history: History; stats: Stats }) {
  const rows = REASONS.flatMap(([kind, pick]) => Object.entries(pick(stats)).map(([reason, total]) => ({
    kind, reason, total, minute: lately(history, (of) => pick(of)[reason] ?? 0),
  }))).filter((row) => row.total > 0).sort((one, other) => other.minute - one.minute || other.total - one.total);
  return (
    <section aria-labelledby="reasons">
      <h2 id="reasons">Errors and closes, by reason</h2>
      {rows.length === 0 ? <p class="card empty soft">No refusals, drops or closes.</p> : (
        <Table caption="Errors and closes by reason">
          <thead><tr><th scope="col">What</th><th scope="col">Reason</th><th scope="col" class="number">Last minute</th><th scope="col" class="number">So far</th></tr></thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.kind + row.reason}>
                <td class="soft">{row.kind}</td>
                <th scope="row">{words(row.reason)}</th>
                <td class="number">{row.minute > 0 && !HARMLESS.has(`${row.kind} ${row.reason}`) ? <Badge kind="warn">{count(row.minute)}</Badge> : count(row.minute)}</td>
                <td class="number">{count(row.total)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </section>
  );
}

function Health({ stats: { hooks, callouts, webhooks, store, ...stats } }: { stats: Stats }) {
  const { total } = callouts;
  const made = Object.values(total).reduce((sum, more) => sum + more, 0);
  return (
    <section aria-labelledby="health">
      <h2 id="health">Health</h2>
      <dl class="facts card">
        <div><dt>Callouts</dt>
          <dd>
            {!hooks.configured ? <span class="soft">none configured</span> : <>
              <Badge kind={total['failed'] ? 'warn' : 'good'}>{total['failed'] ? `${count(total['failed'])} failed` : 'answered'}</Badge>{' '}
              {count(total['allowed'] ?? 0)} allowed, {count(total['refused'] ?? 0)} refused; {made ? micros(callouts.us / made) : '–'} each; {callouts.active} in progress, {callouts.waiting} waiting
            </>}
          </dd></div>
        {hooks.configured && <div><dt>Webhook events</dt><dd><WebhookEvents webhooks={webhooks} /></dd></div>}
        <div><dt>Disk</dt>
          <dd>
            {!store.configured ? <span class="soft">no durable topics</span> : store.failure ? <><Badge kind="bad">failing</Badge> {store.failure}</> : <>
              <Badge kind="good">well</Badge> {count(store.publications)} publications in {count(store.commits)} commits of {store.commits ? micros(store.commit_us / store.commits) : '–'}; {bytes(store.queue_bytes)} waiting
            </>}
          </dd></div>
        <div><dt>Deliveries waiting</dt><dd>{bytes(stats.inbox_bytes)} in inboxes, {bytes(stats.outbox_bytes)} in outboxes</dd></div>
        {stats.process['open_fds'] !== undefined && <div><dt>Open files</dt><dd>{count(stats.process['open_fds'])} of {count(stats.process['max_fds'] ?? 0)}</dd></div>}
        {stats.certificate_expires !== undefined && <div><dt>Certificate</dt>
          <dd>{stats.certificate_expires > stats.now ? `ends in ${duration(stats.certificate_expires - stats.now)}` : <Badge kind="bad">has ended</Badge>}</dd></div>}
      </dl>
    </section>
  );
}

/** Webhook events: delivered, waiting and dropped. */
function WebhookEvents({ webhooks: { delivered, dropped, waiting, oldest_ms, retries } }: { webhooks: Stats['webhooks'] }) {
  const lost = Object.values(dropped).reduce((sum, more) => sum + more, 0);
  const isLate = oldest_ms > LATE_MS;
  return (
    <>
      <Badge kind={lost > 0 ? 'bad' : isLate ? 'warn' : 'good'}>{lost > 0 ? `${count(lost)} dropped` : isLate ? 'late' : 'delivered'}</Badge>{' '}
      {count(delivered)} delivered, {count(waiting)} waiting{waiting > 0 && `, for ${duration(oldest_ms)}`}; {count(retries)} calls repeated
    </>
  );
}

/** The age of the oldest waiting event from which the application counts as late, in milliseconds. */
const LATE_MS = 10_000;

function Workers({ stats }: { stats: Stats }) {
  return (
    <section aria-labelledby="workers">
      <h2 id="workers">Workers</h2>
      <Table caption="Workers">
        <thead><tr>
          <th scope="col">Worker</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Subscriptions</th>
          <th scope="col" class="number extra">Deliveries</th><th scope="col" class="number extra">Outboxes</th>
        </tr></thead>
        <tbody>
          {stats.workers.map((worker, index) => (
            <tr key={index}>
              <th scope="row">{index}</th><td class="number">{count(worker.connections)}</td><td class="number">{count(worker.subscriptions)}</td>
              <td class="number extra">{compact(worker.deliveries)}</td><td class="number extra">{bytes(worker.outbox_bytes)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </section>
  );
}
