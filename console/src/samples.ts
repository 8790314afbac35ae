//! The last minutes for the charts: one sample for each response of /api/v1/stats. It does not know the charts.

import type { Stats } from './api.ts';

/** The maximum number of samples: ten minutes at one every two seconds. */
const SAMPLES_MAX = 300;

/** The time without a sample after which a line has a gap, in milliseconds. */
const GAP_MS = 8000;

/** One sample. Rates are per second since the sample before, or null without one. */
export interface Sample {
  /** The time in seconds since 1970, as uPlot needs it. */
  at: number;
  publications: number | null;
  deliveries: number | null;
  received: number | null;
  sent: number | null;
  /** The processor time, in percent of one core. */
  cpu: number | null;
  memory: number | null;
  connections: Record<string, number | null>;
}

/** The samples, and the responses behind them. */
export interface History {
  samples: Sample[];
  last?: Stats;
  /** The responses of the last minute, for differences. */
  minutes: Stats[];
}

/** Returns the history with one more response. After a restart of the broker it begins anew. */
export function withStats(before: History, stats: Stats): History {
  const last = before.last?.started === stats.started ? before.last : undefined;
  const samples = before.samples.slice(-(SAMPLES_MAX - 2));
  const isAfterGap = last === undefined || stats.now - last.now > GAP_MS;
  if (isAfterGap && samples.length > 0) samples.push(emptySample(stats));
  samples.push(sampleOf(stats, isAfterGap ? undefined : last));
  const minutes = (last ? before.minutes : []).filter((old) => stats.now - old.now < 65_000);
  return { samples, last: stats, minutes: [...minutes, stats] };
}

/** Returns the growth of a count within the last minute, or since the console was opened. */
export function lately(history: History, pick: (stats: Stats) => number): number {
  const [first] = history.minutes;
  return first && history.last ? Math.max(0, pick(history.last) - pick(first)) : 0;
}

/** Returns the bucket bound within which 99 % of the deliveries of the last minute were handed over. */
export function latency99(history: History): number | undefined {
  const [first] = history.minutes;
  if (!first || !history.last) return undefined;
  const counts = history.last.latency.buckets.map((bucket, index) => bucket.count - (first.latency.buckets[index]?.count ?? 0));
  const total = counts.reduce((sum, more) => sum + more, 0);
  if (total === 0) return undefined;
  let seen = 0;
  const index = counts.findIndex((more) => (seen += more) >= total * 0.99);
  return history.last.latency.buckets[index]?.at_most_us ?? Infinity;
}

function emptySample(stats: Stats): Sample {
  const connections = Object.fromEntries(Object.keys(stats.connections).map((name) => [name, null]));
  return { at: stats.now / 1000 - 1, publications: null, deliveries: null, received: null, sent: null, cpu: null, memory: null, connections };
}

function sampleOf(stats: Stats, last: Stats | undefined): Sample {
  const seconds = last ? (stats.now - last.now) / 1000 : 0;
  const rate = (pick: (stats: Stats) => number | undefined) => {
    const [now, then] = [pick(stats), last && pick(last)];
    return now !== undefined && then !== undefined && seconds > 0 ? Math.max(0, (now - then) / seconds) : null;
  };
  const cpu = rate((of) => of.process['cpu_seconds_total']);
  return {
    at: stats.now / 1000,
    publications: rate((of) => of.totals.publications),
    deliveries: rate((of) => of.totals.deliveries),
    received: rate((of) => of.totals.received_bytes),
    sent: rate((of) => of.totals.sent_bytes),
    cpu: cpu === null ? null : cpu * 100,
    memory: stats.process['resident_memory_bytes'] ?? null,
    connections: stats.connections,
  };
}
