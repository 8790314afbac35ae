//! A table that may be wider than the screen, and headings that sort it.

import type { ComponentChildren } from 'preact';

/** A table with a caption, in a frame that scrolls sideways and is reached by keyboard. */
export function Table({ caption, children }: { caption: string; children: ComponentChildren }) {
  return (
    <div class="scroll card" tabIndex={0} role="region" aria-label={`${caption}, table`}>
      <table>
        <caption class="hidden">{caption}</caption>
        {children}
      </table>
    </div>
  );
}

/** The order of a list. */
export interface Sorting {
  by: string;
  isDescending: boolean;
}

/** A heading that sorts by its column. A second click reverses the order. */
export function Heading({ by, sorting, onSort, number, children, extra }: {
  by: string; sorting: Sorting; onSort(sorting: Sorting): void; number?: boolean; children: ComponentChildren; extra?: boolean;
}) {
  const isThis = sorting.by === by;
  const next = { by, isDescending: isThis ? !sorting.isDescending : by !== 'name' };
  return (
    <th scope="col" class={classes(number && 'number', extra && 'extra')} aria-sort={isThis ? (sorting.isDescending ? 'descending' : 'ascending') : undefined}>
      <button type="button" class="sort" onClick={() => onSort(next)}>
        {children}<span aria-hidden="true" class="arrow">{isThis ? (sorting.isDescending ? '▼' : '▲') : ''}</span>
      </button>
    </th>
  );
}

/** Joins the given class names. */
export function classes(...names: (string | false | undefined)[]): string | undefined {
  return names.filter(Boolean).join(' ') || undefined;
}
