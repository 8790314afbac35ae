//! Polling: one request at a time while the page is visible, and none for a view that is gone.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

/** The state of a polled resource. */
export interface Polled<T> {
  /** The newest response for the current subject. */
  value: T | undefined;
  /** The error of the newest request, if it failed. */
  error: Error | undefined;
  /** Requests it at once. */
  refresh(): void;
}

/**
 * Calls `request` every `everyMs`, and at once when `subject` changes or the page becomes visible.
 * `subject` names the resource: a response for one subject is never shown for another.
 */
export function usePolled<T>(subject: string, request: (signal: AbortSignal) => Promise<T>, everyMs: number): Polled<T> {
  const [state, setState] = useState<{ subject: string; value?: T | undefined; error?: Error | undefined }>({ subject });
  const latest = useRef(request);
  latest.current = request;
  const now = useRef(() => {});
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let isPending = false;
    const round = async () => {
      clearTimeout(timer);
      if (isPending || document.hidden || abort.signal.aborted) return;
      isPending = true;
      try {
        const value = await latest.current(abort.signal);
        if (!abort.signal.aborted) setState({ subject, value });
      } catch (error) {
        if (!abort.signal.aborted) setState((before) => ({ subject, value: before.subject === subject ? before.value : undefined, error: error as Error }));
      }
      isPending = false;
      if (!abort.signal.aborted) timer = window.setTimeout(round, everyMs);
    };
    now.current = () => { void round(); };
    document.addEventListener('visibilitychange', now.current);
    void round();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', now.current);
      now.current = () => {};
    };
  }, [subject, everyMs]);
  const refresh = useCallback(() => now.current(), []);
  return state.subject === subject ? { value: state.value, error: state.error, refresh } : { value: undefined, error: undefined, refresh };
}
