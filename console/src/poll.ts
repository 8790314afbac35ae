//! Asking again and again: while the page is looked at, one request at a time, and never for a view that is gone.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

/** What is known of something that is asked for again and again. */
export interface Polled<T> {
  /** The newest answer; that of the view before is not kept. */
  value: T | undefined;
  /** Why the newest question was not answered. */
  error: Error | undefined;
  /** Asks at once. */
  refresh(): void;
}

/**
 * Asks for `what` every `everyMs`, and at once when `subject` changes or the page is shown again.
 * `subject` names what is asked for: an answer to one subject is never shown for another.
 */
export function usePolled<T>(subject: string, what: (signal: AbortSignal) => Promise<T>, everyMs: number): Polled<T> {
  const [state, setState] = useState<{ subject: string; value?: T | undefined; error?: Error | undefined }>({ subject });
  const question = useRef(what);
  question.current = what;
  const now = useRef(() => {});
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let isAsking = false;
    const round = async () => {
      clearTimeout(timer);
      if (isAsking || document.hidden || abort.signal.aborted) return;
      isAsking = true;
      try {
        const value = await question.current(abort.signal);
        if (!abort.signal.aborted) setState({ subject, value });
      } catch (error) {
        if (!abort.signal.aborted) setState((before) => ({ subject, value: before.subject === subject ? before.value : undefined, error: error as Error }));
      }
      isAsking = false;
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
