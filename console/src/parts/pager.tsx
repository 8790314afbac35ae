//! Paging through a long list by the broker's cursors.

import { useState } from 'preact/hooks';

/** The cursors of the pages before the current one. A list with another `subject` begins with its first page. */
export function usePages(subject: string): { after: string | undefined; number: number; forward(cursor: string): void; back(): void } {
  const [state, setState] = useState<{ subject: string; cursors: string[] }>({ subject, cursors: [] });
  const cursors = state.subject === subject ? state.cursors : [];
  return {
    after: cursors.at(-1),
    number: cursors.length,
    forward: (cursor) => setState({ subject, cursors: [...cursors, cursor] }),
    back: () => setState({ subject, cursors: cursors.slice(0, -1) }),
  };
}

export function Pager({ what, first, count, total, next, pages }: {
  what: string; first: number; count: number; total: string; next: string | undefined; pages: ReturnType<typeof usePages>;
}) {
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <span class="soft">{count === 0 ? total : `${first.toLocaleString('en')}–${(first + count - 1).toLocaleString('en')} of ${total}`}</span>
      <span class="buttons">
        <button type="button" disabled={pages.number === 0} onClick={pages.back}>Previous</button>
        <button type="button" disabled={next === undefined} onClick={() => pages.forward(next!)}>Next</button>
      </span>
    </nav>
  );
}
