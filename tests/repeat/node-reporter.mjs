// A reporter of node --test that writes one line for each test, "VERDICT<tab>FILE: NAME", for tests/repeat/run.sh. A test inside
// another one carries the names of both. It knows nothing of runs.

import { basename } from 'node:path';

export default async function* report(source) {
  const names = new Map();
  for await (const { type, data } of source) {
    const file = data?.file ?? '';
    if (type === 'test:start') {
      const path = names.get(file) ?? [];
      path.length = data.nesting;
      path.push(data.name);
      names.set(file, path);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const outer = (names.get(file) ?? []).slice(0, data.nesting);
    const name = [...outer, data.name].join(' > ').replace(/\s+/g, ' ');
    yield `${skipped ? 'skipped' : type === 'test:pass' ? 'ok' : 'failed'}\t${basename(file)}: ${name}\n`;
  }
}
