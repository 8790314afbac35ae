//! Topics and patterns: which names the client refuses, and which topics a pattern matches. The broker checks all other rules.

import { FanwireError } from './errors.ts';

/** Returns why a name cannot be a topic or pattern; undefined if the broker decides. */
export function topicError(name: unknown): FanwireError | undefined {
  if (typeof name !== 'string') return new FanwireError('bad_topic', `a topic must be text, not ${typeof name}`);
  const why = /\p{Cs}/u.test(name) ? 'is not valid Unicode' : name.split('.').includes('') ? 'has an empty level' : undefined;
  return why ? new FanwireError('bad_topic', `the topic '${name}' ${why}`) : undefined;
}

/** Returns whether `name` is a pattern with wildcards. */
export function isPattern(name: string): boolean {
  return name.split('.').some((level) => level === '*' || level === '>');
}

/** Returns whether `pattern` matches `topic`: `*` stands for one level, `>` at the end for one or more. */
export function matches(pattern: string, topic: string): boolean {
  const wanted = pattern.split('.');
  const levels = topic.split('.');
  if (levels[0]!.startsWith('$') && (wanted[0] === '*' || wanted[0] === '>')) return false;
  for (const [index, level] of wanted.entries()) {
    if (level === '>') return levels.length > index;
    if (levels[index] === undefined || (level !== '*' && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}
