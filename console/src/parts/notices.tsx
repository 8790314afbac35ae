//! Small words to the operator: what went wrong, what was done, what is still coming.

import type { ComponentChildren } from 'preact';

/** Something went wrong. Read out at once. */
export function Trouble({ error }: { error: Error | undefined }) {
  return error ? <p class="trouble" role="alert">{error.message}</p> : null;
}

/** What was done. Read out when there is a pause. */
export function Done({ children }: { children?: ComponentChildren }) {
  return <p class="done" role="status">{children}</p>;
}

/** Nothing has come yet. */
export function Loading() {
  return <p class="soft loading">Loading …</p>;
}

/** A word in a coloured frame. */
export function Badge({ kind, children }: { kind: 'good' | 'bad' | 'warn' | 'plain'; children: ComponentChildren }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}
