//! Numbers, sizes and times for people.

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** 12,345 */
export function count(value: number): string {
  return whole.format(Math.round(value));
}

/** 12.3K */
export function compact(value: number): string {
  if (value > 0 && value < 10) return String(Math.round(value * 10) / 10);
  return short.format(value);
}

/** 1.5 KiB */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let power = 0;
  while (value >= 1024 && power < units.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${value >= 100 || power === 0 ? Math.round(value) : Math.round(value * 10) / 10} ${units[power]}`;
}

/** 3 d 4 h, 5 min, 12 s: two units at most. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const two = (large: string, small: number, unit: string) => (small > 0 ? `${large} ${small} ${unit}` : large);
  if (days > 0) return two(`${days} d`, hours, 'h');
  if (hours > 0) return two(`${hours} h`, minutes, 'min');
  if (minutes > 0) return two(`${minutes} min`, seconds < 600 ? seconds % 60 : 0, 's');
  return `${seconds} s`;
}

/** Returns the age of a time at `now`. */
export function ago(ts: number | undefined, now: number): string {
  if (ts === undefined) return 'never';
  return now - ts < 1500 ? 'just now' : `${duration(now - ts)} ago`;
}

/** 300 µs, 2.5 ms, 1 s */
export function micros(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  return us < 1_000_000 ? `${Math.round(us / 100) / 10} ms` : `${Math.round(us / 100_000) / 10} s`;
}

/** The time of day with milliseconds. */
export function clock(ts: number): string {
  const date = new Date(ts);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** Returns a code of the broker as words: outbox_full becomes 'outbox full'. */
export function words(code: string): string {
  return code.replaceAll('_', ' ');
}

/** The labels of transports. */
export const TRANSPORTS: Record<string, string> = {
  ws: 'WebSocket', bare: 'bare WebSocket', sse: 'Server-Sent Events', poll: 'long polling', http: 'HTTP', pusher: 'Pusher',
};
