// What requests to `/stream` need, whether they stream or poll.

/** Returns whether the number of connections to a host may be limited. */
export function isBrowser(): boolean {
  return typeof document !== 'undefined';
}

/** Returns the topics as the query of `/stream`. */
export function topicsOf(names: Iterable<string>): string {
  return [...names].map((name) => `topic=${encodeURIComponent(name)}`).join('&');
}
