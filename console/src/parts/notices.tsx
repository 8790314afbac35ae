//! Short messages for the operator: errors, results, and loading.

import type { ComponentChildren } from 'preact';

/** An error. Screen readers read it at once. */
export function Trouble({ error }: { error: Error | undefined }) {
  return error ? <p class="trouble" role="alert">{error.message}</p> : null;
}

/** A result. Screen readers read it in the next pause. */
export function Done({ children }: { children?: ComponentChildren }) {
  return <p class="done" role="status">{children}</p>;
}

/** Shown before the first response. */
export function Loading() {
  return <p class="soft loading">Loading …</p>;
}

/** A label in a coloured frame. */
export function Badge({ kind, children }: { kind: 'good' | 'bad' | 'warn' | 'plain'; children: ComponentChildren }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}
