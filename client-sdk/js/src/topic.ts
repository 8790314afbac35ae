//! Patterns: which topics a subscription is for. Whether a name is allowed, the broker says.

/** Whether this is a pattern with wildcards and not a plain topic. */
export function isPattern(name: string): boolean {
  return name.split('.').some((level) => level === '*' || level === '>');
}

/** Whether `topic` is one that `pattern` asks for: `*` stands for one level, `>` at the end for one or more. */
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
