//! The names of options and events, and the error for a name that does not exist.

import { FanwireError } from './errors.ts';
import type { TransportName } from './link.ts';
import { TRANSPORTS } from './options.ts';

const REQUEST = 'timeoutMs signal';

/** The options of each call, separated by spaces. */
const OPTIONS = {
  connect: 'token name transports reconnect timeoutMs payloadBytesMax codec share log WebSocket fetch clock memory',
  reconnect: 'baseMs capMs attemptsMax',
  subscribe: 'since last token signal onLost',
  publish: `key echo ${REQUEST}`,
  history: `since limit reverse ${REQUEST}`,
  presence: REQUEST,
  request: REQUEST,
};

/** Throws a `FanwireError` with code `bad_option` if `options` is not an object that holds options of `call` alone. */
export function checkOptions(call: keyof typeof OPTIONS, options: unknown): void {
  if (typeof options !== 'object' || options === null) throw new FanwireError('bad_option', `${call}: the options must be an object`);
  const names = OPTIONS[call];
  for (const name of Object.keys(options)) {
    if (names.split(' ').includes(name)) continue;
    const other = Object.entries(OPTIONS).find(([, others]) => others.split(' ').includes(name));
    throw new FanwireError('bad_option', `${call}: there is no option '${name}'${other ? `: it belongs to ${other[0]}` : hint(name, names)}`);
  }
}

/** Throws a `FanwireError` with code `bad_option` for values of `connect` that no connection can have. */
export function checkValues(name: unknown, transports: unknown = []): void {
  if (name !== undefined && typeof name !== 'string') throw new FanwireError('bad_option', 'connect: `name` must be text');
  if (!Array.isArray(transports) || !transports.every((one) => TRANSPORTS.includes(one as TransportName))) {
    throw new FanwireError('bad_option', `connect: \`transports\` must be a list of ${TRANSPORTS.join()}`);
  }
}

/** Returns a proposal for a misspelt name, or the list of names if none is near. */
export function hint(name: string, names: string): string {
  const near = names.split(' ').find((one) => distance(name.toLowerCase(), one.toLowerCase()) <= Math.max(1, name.length / 3));
  return near ? `: did you mean '${near}'?` : `. There are: ${names}`;
}

/** Returns how many letters must be inserted, removed, replaced or swapped to make one word of the other (Damerau and Levenshtein). */
function distance(one: string, other: string): number {
  const rows = [[...other, ''].map((_, index) => index)];
  for (let i = 1; i <= one.length; i++) {
    const row = rows[i] = [i];
    for (let j = 1; j <= other.length; j++) {
      row[j] = Math.min(
        rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + Number(one[i - 1] !== other[j - 1]),
        one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1] ? rows[i - 2]?.[j - 2]! + 1 : Infinity,
      );
    }
  }
  return rows[one.length]![other.length]!;
}
