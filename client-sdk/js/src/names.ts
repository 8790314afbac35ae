//! The names of options and events, and the error for a name that does not exist.

import { FanwireError } from './errors.ts';
import { TRANSPORTS } from './options.ts';

const REQUEST = 'timeoutMs:number signal:object';

/** The options of each call, separated by spaces, each with the types that its value may have; a list has its elements. */
const OPTIONS = {
  connect: `token:string|function name:string transports:[${TRANSPORTS.join()}] reconnect:object timeoutMs:number payloadBytesMax:number codec:object share:function \
log:object|boolean WebSocket:function fetch:function clock:object memory:object`,
  reconnect: 'baseMs:number capMs:number attemptsMax:number',
  subscribe: 'since:object|string last:number token:string signal:object onLost:function',
  publish: `key:string echo:boolean ${REQUEST}`,
  history: `since:object|string limit:number reverse:boolean ${REQUEST}`,
  presence: REQUEST,
  request: REQUEST,
};

/** Throws a `FanwireError` with code `bad_option` if `options` is not an object that holds options of `call` alone, of the right types. */
export function checkOptions(call: keyof typeof OPTIONS, options: unknown): void {
  const bad = (why: string) => new FanwireError('bad_option', `${call}: ${why}`);
  if (typeof options !== 'object' || options === null) throw bad('the options must be an object');
  const names = namesOf(OPTIONS[call]);
  for (const [name, value] of Object.entries(options)) {
    const index = names.indexOf(name);
    if (index < 0) {
      const other = Object.entries(OPTIONS).find(([, others]) => namesOf(others).includes(name));
      throw bad(`there is no option '${name}'${other ? `: it belongs to ${other[0]}` : hint(name, names)}`);
    }
    const types = OPTIONS[call].split(' ')[index]!.split(':')[1]!;
    const isRight = Array.isArray(value) ? value.every((one) => types.split(/\W/).includes(one)) : value == null || types.includes(typeof value);
    if (!isRight) throw bad(`\`${name}\` must be of type ${types}`);
  }
}

function namesOf(options: string): string[] {
  return options.replace(/:\S+/g, '').split(' ');
}

/** Returns a proposal for a misspelt name, or the list of names if none is near. */
export function hint(name: string, names: string[]): string {
  const near = names.find((one) => isNear(name.toLowerCase(), one.toLowerCase()));
  return near ? `: did you mean '${near}'?` : `. There are: ${names.join(' ')}`;
}

/** Returns whether `word` begins `name`, or both are the same after one letter is left out of each at most. */
function isNear(word: string, name: string): boolean {
  const cuts = (text: string) => [text, ...[...text].map((_, at) => text.slice(0, at) + text.slice(at + 1))];
  return (word.length > 2 && name.startsWith(word)) || cuts(word).some((cut) => cuts(name).includes(cut));
}
